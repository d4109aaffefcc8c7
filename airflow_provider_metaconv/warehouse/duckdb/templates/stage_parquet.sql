-- Nested values are JSON text in Parquet. The conversion makes them as compact as DuckDB's values from NDJSON, so that
-- a row compares equal whichever format it was read from. Columns that files of an earlier release lack are null.
INSERT INTO {{ staging }} ({{ columns }})
SELECT {{ converted_columns }}
FROM (
    SELECT {{ typed_nulls }}
    WHERE FALSE
    UNION ALL BY NAME
    SELECT * FROM read_parquet($files, hive_partitioning = FALSE, union_by_name = TRUE)
);
