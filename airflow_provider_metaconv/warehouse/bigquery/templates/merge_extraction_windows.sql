-- Select one staged version of each window: a complete one if there is one, or else the one extracted last.
CREATE TEMP TABLE source_extraction_windows AS
SELECT {{ extraction_windows.columns }}
FROM {{ extraction_windows.staged }} AS version
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY {{ extraction_windows.key }}
    ORDER BY IF(status = 'complete', 0, 1), extracted_time DESC NULLS LAST, TO_JSON_STRING(version)
) = 1;

SET extraction_windows_distinct = (SELECT COUNT(*) FROM source_extraction_windows);
SET extraction_windows_inserted = (
    SELECT COUNT(*)
    FROM source_extraction_windows AS source
    WHERE NOT EXISTS (
        SELECT 1
        FROM {{ extraction_windows.target }} AS target
        WHERE {{ extraction_windows.same_key }}
    )
);

-- A partial version never replaces a complete one. Otherwise the version extracted last is kept.
MERGE {{ extraction_windows.target }} AS target
USING source_extraction_windows AS source
ON {{ extraction_windows.same_key }}
WHEN MATCHED
    AND (source.status = 'complete' OR target.status <> 'complete')
    AND (
        (source.status = 'complete' AND target.status <> 'complete')
        OR COALESCE(source.extracted_time, {{ first_moment }}) >= COALESCE(target.extracted_time, {{ first_moment }})
    )
    AND ({{ extraction_windows.any_difference }})
    THEN UPDATE SET {{ extraction_windows.source_values }}
WHEN NOT MATCHED THEN INSERT ({{ extraction_windows.columns }}) VALUES ({{ extraction_windows.source_columns }});
SET extraction_windows_updated = @@row_count - extraction_windows_inserted;
