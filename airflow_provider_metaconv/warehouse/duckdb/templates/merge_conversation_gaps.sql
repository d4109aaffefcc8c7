-- The version extracted last stays, with what its window says was listed without being a message of any row. The counts
-- are then those of the rows (count_gaps.sql), and are not compared here.
MERGE INTO {target} AS target
USING {source} AS source
ON ({same_key})
WHEN MATCHED
    AND coalesce(source.extracted_time, '-infinity'::TIMESTAMPTZ)
        >= coalesce(target.extracted_time, '-infinity'::TIMESTAMPTZ)
    AND ({any_difference})
    THEN UPDATE SET {source_values}
WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({source_columns});
