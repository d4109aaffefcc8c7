-- Select the most complete staged version of each message, or else the one extracted last.
CREATE TEMP TABLE source_messages AS
SELECT {{ messages.columns }}
FROM {{ messages.staged }} AS version
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY {{ messages.key }}
    ORDER BY
        completeness_rank(content_status, sender_id, text, attachments, shares, story),
        extracted_time DESC NULLS LAST,
        TO_JSON_STRING(version)
) = 1;

SET messages_distinct = (SELECT COUNT(*) FROM source_messages);
SET messages_inserted = (
    SELECT COUNT(*)
    FROM source_messages AS source
    WHERE NOT EXISTS (
        SELECT 1
        FROM {{ messages.target }} AS target
        WHERE {{ messages.same_key }}{{ messages.in_range }}
    )
);

-- A less complete or older version never replaces the existing row, and only rows that differ are written.
MERGE {{ messages.target }} AS target
USING source_messages AS source
ON {{ messages.same_key }}{{ messages.in_range }}
WHEN MATCHED
    AND (
        completeness_rank(source.content_status, source.sender_id, source.text, source.attachments, source.shares, source.story)
            < completeness_rank(target.content_status, target.sender_id, target.text, target.attachments, target.shares, target.story)
        OR (
            completeness_rank(source.content_status, source.sender_id, source.text, source.attachments, source.shares, source.story)
                = completeness_rank(target.content_status, target.sender_id, target.text, target.attachments, target.shares, target.story)
            AND COALESCE(source.extracted_time, {{ first_moment }}) >= COALESCE(target.extracted_time, {{ first_moment }})
        )
    )
    AND ({{ messages.any_difference }})
    THEN UPDATE SET {{ messages.source_values }}
WHEN NOT MATCHED THEN INSERT ({{ messages.columns }}) VALUES ({{ messages.source_columns }});
SET messages_updated = @@row_count - messages_inserted;
