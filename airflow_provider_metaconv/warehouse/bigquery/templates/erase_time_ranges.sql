-- The time range of the messages that are left, of the conversations that lost one.
UPDATE {{ conversations.target }} AS conversation
SET
    oldest_message_time = left_over.first_time,
    newest_message_time = left_over.last_time
FROM (
    SELECT
        touched.platform, touched.page_id, touched.conversation_id,
        MIN(message.created_time) AS first_time, MAX(message.created_time) AS last_time
    FROM (
        SELECT platform, page_id, conversation_id FROM {{ messages.source }}
        UNION DISTINCT SELECT platform, page_id, conversation_id FROM {{ conversations.source }}
    ) AS touched
    LEFT JOIN {{ messages.target }} AS message ON message.platform = touched.platform
        AND message.page_id = touched.page_id
        AND message.conversation_id = touched.conversation_id
    GROUP BY touched.platform, touched.page_id, touched.conversation_id
) AS left_over
WHERE conversation.platform = left_over.platform
    AND conversation.page_id = left_over.page_id
    AND conversation.conversation_id = left_over.conversation_id;
