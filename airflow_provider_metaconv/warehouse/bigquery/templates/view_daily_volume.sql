CREATE OR REPLACE VIEW {{ view }}
OPTIONS (description = {{ description }}, labels = [{{ labels }}])
AS
WITH
counted_message AS (
    SELECT
        platform,
        page_id,
        conversation_id,
        {{ local_date("created_time") }} AS day,
        IF(direction IN ('inbound', 'outbound'), direction, 'unknown') AS direction,
        COUNT(*) AS messages,
        MIN(created_time) AS first_time
    FROM {{ messages.target }}
    GROUP BY platform, page_id, conversation_id, day, direction
),
volume AS (
    SELECT platform, page_id, day, direction, SUM(messages) AS messages, COUNT(*) AS conversations
    FROM counted_message
    GROUP BY platform, page_id, day, direction
),
-- Messages of the same second are taken in this order: inbound, unknown, outbound.
first_message AS (
    SELECT platform, page_id, conversation_id, day, direction, first_time
    FROM counted_message
    WHERE TRUE
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY platform, page_id, conversation_id
        ORDER BY first_time, CASE direction WHEN 'inbound' THEN 0 WHEN 'outbound' THEN 2 ELSE 1 END
    ) = 1
),
-- Conversations of which messages from before the first known one are missing.
unknown_start AS (
    SELECT DISTINCT first_message.platform, first_message.page_id, first_message.conversation_id
    FROM first_message
    INNER JOIN {{ conversation_gaps.target }} AS gap ON gap.platform = first_message.platform
        AND gap.page_id = first_message.page_id
        AND gap.conversation_id = first_message.conversation_id
        AND COALESCE(gap.window_since, {{ first_moment }}) <= first_message.first_time
    WHERE gap.closed_by_window IS NULL AND gap.status <> 'complete'
),
started AS (
    SELECT
        first_message.platform,
        first_message.page_id,
        first_message.day,
        first_message.direction,
        COUNT(*) AS conversations,
        COUNT(unknown_start.conversation_id) AS unknown_starts
    FROM first_message
    LEFT JOIN unknown_start ON unknown_start.platform = first_message.platform
        AND unknown_start.page_id = first_message.page_id
        AND unknown_start.conversation_id = first_message.conversation_id
    GROUP BY first_message.platform, first_message.page_id, first_message.day, first_message.direction
)
SELECT
    coverage.platform,
    coverage.page_id,
    coverage.day,
    every_direction.direction,
    CAST(COALESCE(volume.messages, 0) AS INT64) AS messages,
    COALESCE(volume.conversations, 0) AS conversations,
    CASE WHEN coverage.has_history THEN COALESCE(started.conversations, 0) END AS conversations_started,
    coverage.is_complete AND COALESCE(started.unknown_starts, 0) = 0 AS is_complete
FROM {{ views.coverage }} AS coverage
CROSS JOIN (
    SELECT 'inbound' AS direction
    UNION ALL
    SELECT 'outbound' AS direction
    UNION ALL
    SELECT 'unknown' AS direction
) AS every_direction
LEFT JOIN volume ON volume.platform = coverage.platform
    AND volume.page_id = coverage.page_id
    AND volume.day = coverage.day
    AND volume.direction = every_direction.direction
LEFT JOIN started ON started.platform = coverage.platform
    AND started.page_id = coverage.page_id
    AND started.day = coverage.day
    AND started.direction = every_direction.direction
WHERE every_direction.direction <> 'unknown' OR volume.messages > 0;
