-- The version that was updated last stays. What is derived from other rows (total_conversations.sql) is not compared.
MERGE INTO {target} AS target
USING {source} AS source
ON ({same_key})
WHEN MATCHED
    AND (
        coalesce(source.updated_time, '-infinity'::TIMESTAMPTZ),
        coalesce(source.extracted_time, '-infinity'::TIMESTAMPTZ)
    ) >= (
        coalesce(target.updated_time, '-infinity'::TIMESTAMPTZ),
        coalesce(target.extracted_time, '-infinity'::TIMESTAMPTZ)
    )
    AND (
        {any_difference}
        OR least(target.oldest_message_time, source.oldest_message_time) IS DISTINCT FROM target.oldest_message_time
        OR greatest(target.newest_message_time, source.newest_message_time) IS DISTINCT FROM target.newest_message_time
    )
    THEN UPDATE SET
        updated_time = source.updated_time,
        participants = source.participants,
        message_count = source.message_count,
        window_since = source.window_since,
        window_until = source.window_until,
        extracted_time = source.extracted_time,
        oldest_message_time = least(target.oldest_message_time, source.oldest_message_time),
        newest_message_time = greatest(target.newest_message_time, source.newest_message_time)
WHEN MATCHED
    AND (
        least(target.oldest_message_time, source.oldest_message_time) IS DISTINCT FROM target.oldest_message_time
        OR greatest(target.newest_message_time, source.newest_message_time) IS DISTINCT FROM target.newest_message_time
    )
    THEN UPDATE SET
        oldest_message_time = least(target.oldest_message_time, source.oldest_message_time),
        newest_message_time = greatest(target.newest_message_time, source.newest_message_time)
WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({source_columns});
