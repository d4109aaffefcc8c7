SET {name}_distinct = (SELECT COUNT(*) FROM source_{name});
SET {name}_inserted = (
    SELECT COUNT(*)
    FROM source_{name} AS source
    WHERE NOT EXISTS (SELECT 1 FROM {target} AS target WHERE {same_key}{in_range})
);
