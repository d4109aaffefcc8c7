SELECT DISTINCT coalesce(privacy_policy, 'full') AS privacy_policy, coalesce(privacy_key_id, '') AS privacy_key_id
FROM {{ extraction_windows.target }};
