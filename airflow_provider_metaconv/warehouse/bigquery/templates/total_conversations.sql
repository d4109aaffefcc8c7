-- The conversations that this load or the steps before this one have touched.
CREATE TEMP TABLE touched_conversation AS
SELECT platform, page_id, conversation_id FROM {{ messages.source }}
UNION DISTINCT SELECT platform, page_id, conversation_id FROM {{ conversations.source }}
UNION DISTINCT SELECT platform, page_id, conversation_id FROM {{ conversation_gaps.source }}
UNION DISTINCT SELECT platform, page_id, conversation_id FROM examined_gap;

-- Scans five small columns of messages, for these Pages (which the table is clustered by) and for the days since the
-- oldest message of these conversations. The counts cover all windows, so fewer days would not do.
SET counted_pages = ARRAY(SELECT DISTINCT page_id FROM touched_conversation);
SET counted_begin = (
    SELECT IF(COUNTIF(conversation.oldest_message_time IS NULL) > 0, {{ first_moment }}, MIN(conversation.oldest_message_time))
    FROM {{ conversations.target }} AS conversation
    INNER JOIN touched_conversation AS touched ON touched.platform = conversation.platform
        AND touched.page_id = conversation.page_id
        AND touched.conversation_id = conversation.conversation_id
);

CREATE TEMP TABLE conversation_total AS
WITH counted AS (
    SELECT
        message.platform, message.page_id, message.conversation_id,
        COUNTIF(message.content_status IS DISTINCT FROM 'unavailable') AS extracted,
        COUNTIF(message.content_status = 'unavailable') AS unavailable
    FROM {{ messages.target }} AS message
    INNER JOIN touched_conversation AS touched ON touched.platform = message.platform
        AND touched.page_id = message.page_id
        AND touched.conversation_id = message.conversation_id
    WHERE message.page_id IN UNNEST(counted_pages)
        AND (message.created_time >= counted_begin OR message.created_time IS NULL)
    GROUP BY message.platform, message.page_id, message.conversation_id
),
open_gap AS (
    SELECT gap.platform, gap.page_id, gap.conversation_id, gap.status, gap.reason_code, gap.reason
    FROM {{ conversation_gaps.target }} AS gap
    INNER JOIN touched_conversation AS touched ON touched.platform = gap.platform
        AND touched.page_id = gap.page_id
        AND touched.conversation_id = gap.conversation_id
    WHERE gap.closed_by_window IS NULL
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY gap.platform, gap.page_id, gap.conversation_id
        ORDER BY
            CASE gap.status {{ conversation_status_ranks }} END DESC,
            gap.extracted_time DESC NULLS LAST,
            gap.window_until DESC NULLS LAST,
            gap.folders ASC, gap.user_id ASC, gap.window_id ASC
    ) = 1
)
SELECT
    touched.platform, touched.page_id, touched.conversation_id,
    COALESCE(counted.extracted, 0) AS extracted,
    COALESCE(counted.unavailable, 0) AS unavailable,
    COALESCE(open_gap.status, 'complete') AS status,
    open_gap.reason_code,
    open_gap.reason
FROM touched_conversation AS touched
LEFT JOIN counted ON counted.platform = touched.platform
    AND counted.page_id = touched.page_id
    AND counted.conversation_id = touched.conversation_id
LEFT JOIN open_gap ON open_gap.platform = touched.platform
    AND open_gap.page_id = touched.page_id
    AND open_gap.conversation_id = touched.conversation_id;

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
