-- Of all staged versions of a window a complete one, and of those the one extracted last.
CREATE TEMP TABLE source_extraction_windows AS
SELECT {columns}
FROM {staged} AS version
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY {key}
    ORDER BY IF(status = 'complete', 0, 1), extracted_time DESC NULLS LAST, TO_JSON_STRING(version)
) = 1;
