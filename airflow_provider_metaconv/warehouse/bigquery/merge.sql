CREATE TEMP TABLE {fresh} AS
{settled};
SET {name}_distinct = (SELECT COUNT(*) FROM {fresh});
SET {name}_inserted = (
    SELECT COUNT(*)
    FROM {fresh} AS fresh
    WHERE NOT EXISTS (SELECT 1 FROM {target} AS held WHERE {same_key_held_fresh}{in_range})
);

-- Only rows that differ are written: loading the same files again writes nothing.
MERGE {target} AS held
USING {fresh} AS fresh
ON {same_key_held_fresh}{in_range}
WHEN MATCHED AND {replaces} AND ({any_difference}) THEN UPDATE SET {fresh_values}
WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({fresh_columns});
SET {name}_updated = @@row_count - {name}_inserted;
