-- The gaps in this load, and the gaps whose window contains messages of this load.
CREATE OR REPLACE TEMP TABLE recounted_gap AS
SELECT {{ conversation_gaps.key }}, window_since, window_until
FROM {{ conversation_gaps.target }}
SEMI JOIN {{ conversation_gaps.source }} USING ({{ conversation_gaps.key }})
UNION
SELECT {{ conversation_gaps.key }}, window_since, window_until
FROM {{ conversation_gaps.target }} AS gap
SEMI JOIN (
    SELECT {{ conversations.key }}, min(created_time) AS first_time, max(created_time) AS last_time
    FROM {{ messages.source }}
    SEMI JOIN {{ conversation_gaps.target }} USING ({{ conversations.key }})
    GROUP BY {{ conversations.key }}
) AS loaded ON gap.platform = loaded.platform
    AND gap.page_id = loaded.page_id
    AND gap.conversation_id = loaded.conversation_id
    AND loaded.first_time < gap.window_until
    AND (gap.window_since IS NULL OR loaded.last_time >= gap.window_since);

SET VARIABLE counted_begin = (
    SELECT if(bool_or(window_since IS NULL), '-infinity'::TIMESTAMPTZ, min(window_since)) FROM recounted_gap
);
SET VARIABLE counted_end = (SELECT max(window_until) FROM recounted_gap);

-- The counts come from the rows of messages, whichever window they were extracted with. Messages without an ID or a
-- time have no row: their number is the excess of messages_known over the counts, which is preserved.
UPDATE {{ conversation_gaps.target }} AS gap
SET
    messages_known = counted.extracted + counted.unavailable
        + greatest(
            coalesce(gap.messages_known, 0) - coalesce(gap.messages_extracted, 0) - coalesce(gap.messages_unavailable, 0), 0
        ),
    messages_extracted = counted.extracted,
    messages_unavailable = counted.unavailable
FROM (
    SELECT
        gap.platform, gap.page_id, gap.folders, gap.user_id, gap.window_id, gap.conversation_id,
        count(message.message_id) FILTER (message.content_status IS DISTINCT FROM 'unavailable') AS extracted,
        count(message.message_id) FILTER (message.content_status = 'unavailable') AS unavailable
    FROM recounted_gap AS gap
    LEFT JOIN {{ messages.target }} AS message ON message.platform = gap.platform
        AND message.page_id = gap.page_id
        AND message.conversation_id = gap.conversation_id
        AND message.created_time BETWEEN getvariable('counted_begin') AND getvariable('counted_end')
        AND message.created_time < gap.window_until
        AND (gap.window_since IS NULL OR message.created_time >= gap.window_since)
    GROUP BY ALL
) AS counted
WHERE gap.platform = counted.platform
    AND gap.page_id = counted.page_id
    AND gap.folders = counted.folders
    AND gap.user_id = counted.user_id
    AND gap.window_id = counted.window_id
    AND gap.conversation_id = counted.conversation_id
    AND (
        gap.messages_extracted IS DISTINCT FROM counted.extracted
        OR gap.messages_unavailable IS DISTINCT FROM counted.unavailable
        OR gap.messages_known IS NULL
        OR gap.messages_known < counted.extracted + counted.unavailable
    );
