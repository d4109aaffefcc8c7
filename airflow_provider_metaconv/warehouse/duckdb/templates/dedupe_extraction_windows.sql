-- Of all staged versions of a window a complete one stays, and of those the one extracted last.
DELETE FROM {source}
WHERE rowid IN (
    SELECT rowid
    FROM {source}
    QUALIFY row_number() OVER (
        PARTITION BY {key}
        ORDER BY status = 'complete' DESC, extracted_time DESC NULLS LAST, rowid DESC
    ) > 1
);
