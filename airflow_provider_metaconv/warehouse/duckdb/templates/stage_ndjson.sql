-- All options are explicit. Detection would read folder names (platform=messenger) as columns, would take the
-- compression from a file name that DuckDB cuts at "?", and would derive one file's types from its rows.
INSERT INTO {{ staging }} ({{ columns }})
SELECT {{ columns }}
FROM read_json(
    $files,
    format = 'newline_delimited',
    compression = 'gzip',
    columns = { {{ column_types }} },
    maximum_object_size = 67108864, -- 64 MiB, far more than any message
    hive_partitioning = false
);
