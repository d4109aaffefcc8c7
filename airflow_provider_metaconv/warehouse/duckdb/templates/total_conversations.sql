-- The conversations that this load or the steps before this one have touched.
CREATE OR REPLACE TEMP TABLE touched_conversation AS
SELECT {{ conversations.key }} FROM {{ messages.source }}
UNION SELECT {{ conversations.key }} FROM {{ conversations.source }}
UNION SELECT {{ conversations.key }} FROM {{ conversation_gaps.source }}
UNION SELECT {{ conversations.key }} FROM examined_gap;

-- The counts cover all windows: every message since the oldest one of these conversations.
SET VARIABLE counted_begin = (
    SELECT if(bool_or(oldest_message_time IS NULL), '-infinity'::TIMESTAMPTZ, min(oldest_message_time))
    FROM {{ conversations.target }}
    SEMI JOIN touched_conversation USING ({{ conversations.key }})
);

CREATE OR REPLACE TEMP TABLE conversation_total AS
WITH counted AS (
    SELECT
        {{ conversations.key }},
        count(*) FILTER (content_status IS DISTINCT FROM 'unavailable') AS extracted,
        count(*) FILTER (content_status = 'unavailable') AS unavailable
    FROM {{ messages.target }}
    SEMI JOIN touched_conversation USING ({{ conversations.key }})
    WHERE created_time >= getvariable('counted_begin') OR created_time IS NULL
    GROUP BY {{ conversations.key }}
),
open_gap AS (
    SELECT {{ conversations.key }}, status, reason_code, reason
    FROM {{ conversation_gaps.target }}
    SEMI JOIN touched_conversation USING ({{ conversations.key }})
    WHERE closed_by_window IS NULL
    QUALIFY row_number() OVER (
        PARTITION BY {{ conversations.key }}
        ORDER BY
            list_position([{{ conversation_statuses }}], status) DESC NULLS LAST,
            extracted_time DESC NULLS LAST,
            window_until DESC NULLS LAST,
            folders ASC, user_id ASC, window_id ASC
    ) = 1
)
SELECT
    {{ conversations.key }},
    coalesce(extracted, 0) AS extracted,
    coalesce(unavailable, 0) AS unavailable,
    coalesce(status, 'complete') AS status,
    reason_code,
    reason
FROM touched_conversation
LEFT JOIN counted USING ({{ conversations.key }})
LEFT JOIN open_gap USING ({{ conversations.key }});

UPDATE {{ conversations.target }} AS conversation
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
