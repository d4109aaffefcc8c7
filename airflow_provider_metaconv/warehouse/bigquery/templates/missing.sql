SELECT COUNT(*)
FROM (SELECT DISTINCT {key} FROM {staged_key}) AS source
WHERE NOT EXISTS (SELECT 1 FROM {target} AS target WHERE {same_key}{in_range})
