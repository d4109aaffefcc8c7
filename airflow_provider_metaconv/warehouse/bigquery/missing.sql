SELECT COUNT(*)
FROM (SELECT DISTINCT {key} FROM {staged_key}) AS fresh
WHERE NOT EXISTS (SELECT 1 FROM {target} AS held WHERE {same_key_held_fresh}{in_range})
