-- The version that was updated last stays. What is derived from other rows (total_conversations.sql) is not compared.
MERGE {target} AS target
USING source_conversations AS source
ON {same_key}
WHEN MATCHED
    AND (
        COALESCE(source.updated_time, {first_moment}) > COALESCE(target.updated_time, {first_moment})
        OR (
            COALESCE(source.updated_time, {first_moment}) = COALESCE(target.updated_time, {first_moment})
            AND COALESCE(source.extracted_time, {first_moment}) >= COALESCE(target.extracted_time, {first_moment})
        )
    )
    AND (
        {any_difference}
        OR source.oldest_message_time < COALESCE(target.oldest_message_time, {last_moment})
        OR source.newest_message_time > COALESCE(target.newest_message_time, {first_moment})
    )
    THEN UPDATE SET
        updated_time = source.updated_time,
        participants = source.participants,
        message_count = source.message_count,
        window_since = source.window_since,
        window_until = source.window_until,
        extracted_time = source.extracted_time,
        oldest_message_time = COALESCE(
            LEAST(target.oldest_message_time, source.oldest_message_time),
            target.oldest_message_time,
            source.oldest_message_time
        ),
        newest_message_time = COALESCE(
            GREATEST(target.newest_message_time, source.newest_message_time),
            target.newest_message_time,
            source.newest_message_time
        )
WHEN MATCHED
    AND (
        source.oldest_message_time < COALESCE(target.oldest_message_time, {last_moment})
        OR source.newest_message_time > COALESCE(target.newest_message_time, {first_moment})
    )
    THEN UPDATE SET
        oldest_message_time = COALESCE(
            LEAST(target.oldest_message_time, source.oldest_message_time),
            target.oldest_message_time,
            source.oldest_message_time
        ),
        newest_message_time = COALESCE(
            GREATEST(target.newest_message_time, source.newest_message_time),
            target.newest_message_time,
            source.newest_message_time
        )
WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({source_columns});
SET {name}_updated = @@row_count - {name}_inserted;
