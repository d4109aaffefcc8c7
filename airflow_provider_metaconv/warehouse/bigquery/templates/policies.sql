-- The privacy policies, each with its key, of the windows in the table and of those to load. Files of the first releases
-- have no windows, and full rows.
SET policies = (
    SELECT ARRAY_AGG(DISTINCT CONCAT(
        COALESCE(privacy_policy, 'full'),
        IF(privacy_key_id IS NULL, '', CONCAT(' (key ', privacy_key_id, ')'))
    ))
    FROM (
        SELECT privacy_policy, privacy_key_id
        FROM {{ extraction_windows.target }}
        UNION ALL
        SELECT privacy_policy, privacy_key_id
        FROM {{ extraction_windows.staged }}
{% if not extraction_windows.stagings %}
        UNION ALL
        SELECT 'full' AS privacy_policy, CAST(NULL AS STRING) AS privacy_key_id
{% endif %}
    )
);
