-- The time range of the messages that are left, of the conversations that lost one.
UPDATE {{ conversations.target }} AS conversation
SET
    oldest_message_time = left_over.first_time,
    newest_message_time = left_over.last_time
FROM (
    SELECT {{ conversations.key }}, min(message.created_time) AS first_time, max(message.created_time) AS last_time
    FROM (
        SELECT {{ conversations.key }} FROM {{ messages.source }}
        UNION SELECT {{ conversations.key }} FROM {{ conversations.source }}
    ) AS touched
    LEFT JOIN {{ messages.target }} AS message USING ({{ conversations.key }})
    GROUP BY {{ conversations.key }}
) AS left_over
WHERE conversation.platform = left_over.platform
    AND conversation.page_id = left_over.page_id
    AND conversation.conversation_id = left_over.conversation_id;
