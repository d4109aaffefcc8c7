-- A complete version is never replaced by a partial one; otherwise the one extracted last stays.
MERGE INTO {target} AS target
USING {source} AS source
ON ({same_key})
WHEN MATCHED
    AND (source.status = 'complete', coalesce(source.extracted_time, '-infinity'::TIMESTAMPTZ))
        >= (target.status = 'complete', coalesce(target.extracted_time, '-infinity'::TIMESTAMPTZ))
    AND ({any_difference})
    THEN UPDATE SET {source_values}
WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({source_columns});
