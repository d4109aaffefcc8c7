-- Of all staged versions of a conversation the one that was updated last, and of those the one extracted last, with the
-- oldest and the newest message of all of them: each window sees only its own.
CREATE TEMP TABLE source_conversations AS
SELECT
    version.* REPLACE (
        MIN(oldest_message_time) OVER (PARTITION BY {key}) AS oldest_message_time,
        MAX(newest_message_time) OVER (PARTITION BY {key}) AS newest_message_time
    )
FROM {staged} AS version
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY {key}
    ORDER BY updated_time DESC NULLS LAST, extracted_time DESC NULLS LAST, TO_JSON_STRING(version)
) = 1;
