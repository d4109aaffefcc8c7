-- Of all staged versions of a message the one that Meta gave most of, and of those the one that was extracted last.
SELECT {columns}, {poverty_of_version} AS poverty
FROM {staged} AS version
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY {key} ORDER BY {poverty_of_version}, extracted_time DESC NULLS LAST, TO_JSON_STRING(version)
) = 1
