-- A less complete or older version never replaces what is there, and only rows that differ are written.
MERGE INTO {target} AS target
USING {source} AS source
ON (
    {same_key}
    AND (
        target.created_time BETWEEN getvariable('loaded_begin') AND getvariable('loaded_end')
        OR target.created_time IS NULL
    )
)
WHEN MATCHED
    AND (
        completeness_rank(source.content_status, source.sender_id, source.text, source.attachments, source.shares, source.story),
        -coalesce(epoch_us(source.extracted_time), 0)
    ) <= (
        completeness_rank(target.content_status, target.sender_id, target.text, target.attachments, target.shares, target.story),
        -coalesce(epoch_us(target.extracted_time), 0)
    )
    AND ({any_difference})
    THEN UPDATE SET {source_values}
WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({source_columns});
