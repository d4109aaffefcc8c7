-- Of all staged versions of a gap the one extracted last stays.
DELETE FROM {source}
WHERE rowid IN (
    SELECT rowid
    FROM {source}
    QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY extracted_time DESC NULLS LAST, rowid DESC) > 1
);
