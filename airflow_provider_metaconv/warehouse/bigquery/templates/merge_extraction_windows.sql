-- A complete version is never replaced by a partial one; otherwise the one extracted last stays.
MERGE {target} AS target
USING source_extraction_windows AS source
ON {same_key}
WHEN MATCHED
    AND (source.status = 'complete' OR target.status <> 'complete')
    AND (
        (source.status = 'complete' AND target.status <> 'complete')
        OR COALESCE(source.extracted_time, {first_moment}) >= COALESCE(target.extracted_time, {first_moment})
    )
    AND ({any_difference})
    THEN UPDATE SET {source_values}
WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({source_columns});
SET {name}_updated = @@row_count - {name}_inserted;
