-- Of all staged versions of a conversation the one stays that was updated last, and of those the one extracted last, with
-- the oldest and the newest message of all of them: each window sees only its own.
UPDATE {source} AS source
SET oldest_message_time = reach.oldest, newest_message_time = reach.newest
FROM (
    SELECT {key}, min(oldest_message_time) AS oldest, max(newest_message_time) AS newest
    FROM {source}
    GROUP BY {key}
    HAVING count(*) > 1
) AS reach
WHERE source.platform = reach.platform
    AND source.page_id = reach.page_id
    AND source.conversation_id = reach.conversation_id;

DELETE FROM {source}
WHERE rowid IN (
    SELECT rowid
    FROM {source}
    QUALIFY row_number() OVER (
        PARTITION BY {key}
        ORDER BY updated_time DESC NULLS LAST, extracted_time DESC NULLS LAST, rowid DESC
    ) > 1
);
