-- Everything that was loaded or derived before concerns these conversations and no others.
CREATE OR REPLACE TEMP TABLE touched_conversation AS
SELECT {conversation_key} FROM {source_messages}
UNION SELECT {conversation_key} FROM {source_conversations}
UNION SELECT {conversation_key} FROM {source_conversation_gaps}
UNION SELECT {conversation_key} FROM examined_gap;

-- The counts are those of all windows: since the oldest message of these conversations.
SET VARIABLE counted_begin = (
    SELECT if(bool_or(oldest_message_time IS NULL), '-infinity'::TIMESTAMPTZ, min(oldest_message_time))
    FROM {conversations}
    SEMI JOIN touched_conversation USING ({conversation_key})
);

CREATE OR REPLACE TEMP TABLE conversation_total AS
WITH counted AS (
    SELECT
        {conversation_key},
        count(*) FILTER (content_status IS DISTINCT FROM 'unavailable') AS extracted,
        count(*) FILTER (content_status = 'unavailable') AS unavailable
    FROM {messages}
    SEMI JOIN touched_conversation USING ({conversation_key})
    WHERE created_time >= getvariable('counted_begin') OR created_time IS NULL
    GROUP BY {conversation_key}
),
open_gap AS (
    SELECT {conversation_key}, status, reason_code, reason
    FROM {conversation_gaps}
    SEMI JOIN touched_conversation USING ({conversation_key})
    WHERE closed_by_window IS NULL
    QUALIFY row_number() OVER (
        PARTITION BY {conversation_key}
        ORDER BY
            list_position([{conversation_statuses}], status) DESC NULLS LAST,
            extracted_time DESC NULLS LAST,
            window_until DESC NULLS LAST,
            folders, user_id, window_id
    ) = 1
)
SELECT
    {conversation_key},
    coalesce(extracted, 0) AS extracted,
    coalesce(unavailable, 0) AS unavailable,
    coalesce(status, 'complete') AS status,
    reason_code,
    reason
FROM touched_conversation
LEFT JOIN counted USING ({conversation_key})
LEFT JOIN open_gap USING ({conversation_key});

UPDATE {conversations} AS conversation
SET
    messages_extracted = total.extracted,
    messages_unavailable = total.unavailable,
    status = total.status,
    reason_code = total.reason_code,
    reason = total.reason
FROM conversation_total AS total
WHERE conversation.platform = total.platform
    AND conversation.page_id = total.page_id
    AND conversation.conversation_id = total.conversation_id
    AND (
        conversation.messages_extracted IS DISTINCT FROM total.extracted
        OR conversation.messages_unavailable IS DISTINCT FROM total.unavailable
        OR conversation.status IS DISTINCT FROM total.status
        OR conversation.reason_code IS DISTINCT FROM total.reason_code
        OR conversation.reason IS DISTINCT FROM total.reason
    );

DROP TABLE recounted_gap;
DROP TABLE examined_gap;
DROP TABLE closing_window;
DROP TABLE touched_conversation;
DROP TABLE conversation_total;
