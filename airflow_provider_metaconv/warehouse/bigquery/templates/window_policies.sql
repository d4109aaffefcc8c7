SELECT DISTINCT
    COALESCE({{ policy }}, 'full') AS privacy_policy,
    COALESCE({{ key_id }}, '') AS privacy_key_id
FROM {{ extraction_windows.target }};
