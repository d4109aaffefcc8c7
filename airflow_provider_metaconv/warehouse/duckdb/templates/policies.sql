-- The privacy policies, each with its key, of the windows in the table and of those to load.
SELECT coalesce(privacy_policy, 'full') || coalesce(' (key ' || privacy_key_id || ')', '') AS policy
FROM {{ extraction_windows.target }}
GROUP BY ALL
UNION
SELECT coalesce(privacy_policy, 'full') || coalesce(' (key ' || privacy_key_id || ')', '') AS policy
FROM {{ extraction_windows.source }}
GROUP BY ALL;
