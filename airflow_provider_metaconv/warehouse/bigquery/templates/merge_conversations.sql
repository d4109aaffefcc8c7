-- Select the staged version of each conversation that was updated last, or else extracted last. Its oldest and newest
-- message times cover all staged versions, because each window sees only its own messages. Its folder is the one that
-- was seen last, because not every version was read from the list of a folder.
CREATE TEMP TABLE source_conversations AS
SELECT
    version.* REPLACE (
        MIN(oldest_message_time) OVER (PARTITION BY {{ conversations.key }}) AS oldest_message_time,
        MAX(newest_message_time) OVER (PARTITION BY {{ conversations.key }}) AS newest_message_time,
        FIRST_VALUE(folder) OVER (PARTITION BY {{ conversations.key }} ORDER BY folder_time DESC NULLS LAST) AS folder,
        MAX(folder_time) OVER (PARTITION BY {{ conversations.key }}) AS folder_time
    )
FROM {{ conversations.staged }} AS version
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY {{ conversations.key }}
    ORDER BY updated_time DESC NULLS LAST, extracted_time DESC NULLS LAST, TO_JSON_STRING(version)
) = 1;

SET conversations_distinct = (SELECT COUNT(*) FROM source_conversations);
SET conversations_inserted = (
    SELECT COUNT(*)
    FROM source_conversations AS source
    WHERE NOT EXISTS (
        SELECT 1
        FROM {{ conversations.target }} AS target
        WHERE {{ conversations.same_key }}
    )
);

-- The version updated last is kept. Columns that total_conversations.sql derives are not compared.
MERGE {{ conversations.target }} AS target
USING source_conversations AS source
ON {{ conversations.same_key }}
WHEN MATCHED
    AND (
        COALESCE(source.updated_time, {{ first_moment }}) > COALESCE(target.updated_time, {{ first_moment }})
        OR (
            COALESCE(source.updated_time, {{ first_moment }}) = COALESCE(target.updated_time, {{ first_moment }})
            AND COALESCE(source.extracted_time, {{ first_moment }}) >= COALESCE(target.extracted_time, {{ first_moment }})
        )
    )
    AND (
        {{ conversations.any_difference }}
        OR source.oldest_message_time < COALESCE(target.oldest_message_time, {{ last_moment }})
        OR source.newest_message_time > COALESCE(target.newest_message_time, {{ first_moment }})
        OR source.folder_time > COALESCE(target.folder_time, {{ first_moment }})
    )
    THEN UPDATE SET
        {{ conversations.compared_values }},
        oldest_message_time = COALESCE(
            LEAST(target.oldest_message_time, source.oldest_message_time),
            target.oldest_message_time,
            source.oldest_message_time
        ),
        newest_message_time = COALESCE(
            GREATEST(target.newest_message_time, source.newest_message_time),
            target.newest_message_time,
            source.newest_message_time
        ),
        folder = IF(source.folder_time > COALESCE(target.folder_time, {{ first_moment }}), source.folder, target.folder),
        folder_time = COALESCE(
            GREATEST(target.folder_time, source.folder_time), target.folder_time, source.folder_time
        )
WHEN MATCHED
    AND (
        source.oldest_message_time < COALESCE(target.oldest_message_time, {{ last_moment }})
        OR source.newest_message_time > COALESCE(target.newest_message_time, {{ first_moment }})
        OR source.folder_time > COALESCE(target.folder_time, {{ first_moment }})
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
        ),
        folder = IF(source.folder_time > COALESCE(target.folder_time, {{ first_moment }}), source.folder, target.folder),
        folder_time = COALESCE(
            GREATEST(target.folder_time, source.folder_time), target.folder_time, source.folder_time
        )
WHEN NOT MATCHED THEN INSERT ({{ conversations.columns }}) VALUES ({{ conversations.source_columns }});
SET conversations_updated = @@row_count - conversations_inserted;
