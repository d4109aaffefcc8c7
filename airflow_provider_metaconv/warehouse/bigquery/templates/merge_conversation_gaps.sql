-- The version extracted last stays, with what its window says was listed without being a message of any row. The counts
-- are then those of the rows (count_gaps.sql), and are not compared here.
MERGE {target} AS target
USING source_conversation_gaps AS source
ON {same_key}
WHEN MATCHED
    AND COALESCE(source.extracted_time, {first_moment}) >= COALESCE(target.extracted_time, {first_moment})
    AND ({any_difference})
    THEN UPDATE SET {source_values}
WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({source_columns});
SET {name}_updated = @@row_count - {name}_inserted;
