-- Keep the staged version of each conversation that was updated last, or else extracted last. Its oldest and newest
-- message times cover all staged versions, because each window sees only its own messages. Its folder is the one that
-- was seen last, because not every version was read from the list of a folder.
UPDATE {{ conversations.source }} AS source
SET
    oldest_message_time = reach.oldest,
    newest_message_time = reach.newest,
    folder = reach.folder,
    folder_time = reach.folder_time
FROM (
    SELECT
        {{ conversations.key }},
        min(oldest_message_time) AS oldest,
        max(newest_message_time) AS newest,
        arg_max(folder, folder_time) AS folder,
        max(folder_time) AS folder_time
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
        OR source.folder_time > coalesce(target.folder_time, '-infinity'::TIMESTAMPTZ)
    )
    THEN UPDATE SET
        {{ conversations.compared_values }},
        oldest_message_time = least(target.oldest_message_time, source.oldest_message_time),
        newest_message_time = greatest(target.newest_message_time, source.newest_message_time),
        folder = if(
            source.folder_time > coalesce(target.folder_time, '-infinity'::TIMESTAMPTZ), source.folder, target.folder
        ),
        folder_time = greatest(target.folder_time, source.folder_time)
WHEN MATCHED
    AND (
        least(target.oldest_message_time, source.oldest_message_time) IS DISTINCT FROM target.oldest_message_time
        OR greatest(target.newest_message_time, source.newest_message_time) IS DISTINCT FROM target.newest_message_time
        OR source.folder_time > coalesce(target.folder_time, '-infinity'::TIMESTAMPTZ)
    )
    THEN UPDATE SET
        oldest_message_time = least(target.oldest_message_time, source.oldest_message_time),
        newest_message_time = greatest(target.newest_message_time, source.newest_message_time),
        folder = if(
            source.folder_time > coalesce(target.folder_time, '-infinity'::TIMESTAMPTZ), source.folder, target.folder
        ),
        folder_time = greatest(target.folder_time, source.folder_time)
WHEN NOT MATCHED THEN INSERT ({{ conversations.columns }}) VALUES ({{ conversations.source_columns }});
