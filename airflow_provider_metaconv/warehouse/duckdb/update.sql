-- Only rows that differ are written: loading the same files again writes nothing.
UPDATE {target} AS held
SET {fresh_values}
FROM {staging} AS fresh
WHERE {same_key}
    AND ({any_difference});
