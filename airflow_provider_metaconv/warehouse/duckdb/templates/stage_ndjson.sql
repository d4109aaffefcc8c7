-- Everything is said and nothing detected: detection would read the folders' names (platform=messenger) as columns, take
-- compression from a name that DuckDB cuts at "?", and let one file's types depend on its rows.
INSERT INTO {{ staging }} ({{ columns }})
SELECT {{ columns }}
FROM read_json(
    $files,
    format = 'newline_delimited',
    compression = 'gzip',
    columns = { {{ column_types }} },
    maximum_object_size = 67108864, -- 64 MiB: no message comes near it
    hive_partitioning = false
);
