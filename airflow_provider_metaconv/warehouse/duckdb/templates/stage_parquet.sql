-- The conversions are written out per column: nested values are JSON text in the files and become as compact as DuckDB
-- makes those of NDJSON, so that the same row is the same row from either format.
INSERT INTO {{ staging }} ({{ columns }})
SELECT {{ converted_columns }}
FROM read_parquet($files, hive_partitioning = false);
