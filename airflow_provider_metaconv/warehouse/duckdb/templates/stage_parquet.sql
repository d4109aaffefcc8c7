-- Nested values are JSON text in Parquet. The conversion makes them as compact as DuckDB's values from NDJSON, so that
-- a row compares equal whichever format it was read from.
INSERT INTO {{ staging }} ({{ columns }})
SELECT {{ converted_columns }}
FROM read_parquet($files, hive_partitioning = false);
