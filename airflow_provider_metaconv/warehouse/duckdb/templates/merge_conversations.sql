-- Keep the staged version of each conversation that was updated last, or else extracted last. Its oldest and newest
-- message times cover all staged versions, because each window sees only its own messages.
UPDATE {{ conversations.source }} AS source
SET oldest_message_time = reach.oldest, newest_message_time = reach.newest
FROM (
    SELECT {{ conversations.key }}, min(oldest_message_time) AS oldest, max(newest_message_time) AS newest
    FROM {{ conversations.source }}
    GROUP BY {{ conversations.key }}
    HAVING count(*) > 1
) AS reach
WHERE source.platform = reach.platform
    AND source.page_id = reach.page_id
    AND source.conversation_id = reach.conversation_id;

DELETE FROM {{ conversations.source }}
WHERE rowid IN (
    SELECT rowid
    FROM {{ conversations.source }}
    QUALIFY row_number() OVER (
        PARTITION BY {{ conversations.key }}
        ORDER BY updated_time DESC NULLS LAST, extracted_time DESC NULLS LAST, rowid DESC
    ) > 1
);

-- The version updated last is kept. Columns that total_conversations.sql derives are not compared.
MERGE INTO {{ conversations.target }} AS target
USING {{ conversations.source }} AS source
ON ({{ conversations.same_key }})
WHEN MATCHED
    AND (
        coalesce(source.updated_time, '-infinity'::TIMESTAMPTZ),
        coalesce(source.extracted_time, '-infinity'::TIMESTAMPTZ)
    ) >= (
        coalesce(target.updated_time, '-infinity'::TIMESTAMPTZ),
        coalesce(target.extracted_time, '-infinity'::TIMESTAMPTZ)
    )
    AND (
        {{ conversations.any_difference }}
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
WHEN NOT MATCHED THEN INSERT ({{ conversations.columns }}) VALUES ({{ conversations.source_columns }});
