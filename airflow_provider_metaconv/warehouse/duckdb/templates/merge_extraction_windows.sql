-- Keep one staged version of each window: a complete one if there is one, or else the one extracted last.
DELETE FROM {{ extraction_windows.source }}
WHERE rowid IN (
    SELECT rowid
    FROM {{ extraction_windows.source }}
    QUALIFY row_number() OVER (
        PARTITION BY {{ extraction_windows.key }}
        ORDER BY status = 'complete' DESC, extracted_time DESC NULLS LAST, rowid DESC
    ) > 1
);

-- A partial version never replaces a complete one. Otherwise the version extracted last is kept.
MERGE INTO {{ extraction_windows.target }} AS target
USING {{ extraction_windows.source }} AS source
ON ({{ extraction_windows.same_key }})
WHEN MATCHED
    AND (source.status = 'complete', coalesce(source.extracted_time, '-infinity'::TIMESTAMPTZ))
        >= (target.status = 'complete', coalesce(target.extracted_time, '-infinity'::TIMESTAMPTZ))
    AND ({{ extraction_windows.any_difference }})
    THEN UPDATE SET {{ extraction_windows.source_values }}
WHEN NOT MATCHED THEN INSERT ({{ extraction_windows.columns }}) VALUES ({{ extraction_windows.source_columns }});
