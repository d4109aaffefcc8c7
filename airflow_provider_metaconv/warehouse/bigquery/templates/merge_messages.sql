-- A less complete or older version never replaces what is there, and only rows that differ are written.
MERGE {target} AS target
USING source_messages AS source
ON {same_key}{in_range}
WHEN MATCHED
    AND (
        completeness_rank(source.content_status, source.sender_id, source.text, source.attachments, source.shares, source.story)
            < completeness_rank(target.content_status, target.sender_id, target.text, target.attachments, target.shares, target.story)
        OR (
            completeness_rank(source.content_status, source.sender_id, source.text, source.attachments, source.shares, source.story)
                = completeness_rank(target.content_status, target.sender_id, target.text, target.attachments, target.shares, target.story)
            AND COALESCE(source.extracted_time, {first_moment}) >= COALESCE(target.extracted_time, {first_moment})
        )
    )
    AND ({any_difference})
    THEN UPDATE SET {source_values}
WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({source_columns});
SET {name}_updated = @@row_count - {name}_inserted;
