CREATE OR REPLACE VIEW {{ view }}
OPTIONS (description = {{ description }}, labels = [{{ labels }}])
AS
WITH
{% include "covered.sql" %}
{% include "open_gaps.sql" %}
followed_message AS (
    SELECT
        platform,
        page_id,
        conversation_id,
        created_time,
        direction,
        LAG(created_time) OVER (
            PARTITION BY platform, page_id, conversation_id
            ORDER BY created_time
        ) AS previous_time
    FROM {{ messages.target }}
),
numbered_message AS (
    SELECT
        *,
        SUM(IF(TIMESTAMP_DIFF(created_time, previous_time, MICROSECOND) > {{ session_gap }}, 1, 0)) OVER (
            PARTITION BY platform, page_id, conversation_id
            ORDER BY created_time
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS session_number
    FROM followed_message
),
session AS (
    SELECT
        platform,
        page_id,
        conversation_id,
        session_number,
        MIN(created_time) AS started_time,
        MAX(created_time) AS ended_time,
        COUNT(*) AS messages,
        COUNTIF(direction = 'inbound') AS messages_inbound,
        COUNTIF(direction = 'outbound') AS messages_outbound,
        MIN(IF(direction = 'inbound', created_time, NULL)) AS first_inbound,
        MIN(IF(direction IS NULL OR direction NOT IN ('inbound', 'outbound'), created_time, NULL)) AS first_unknown
    FROM numbered_message
    GROUP BY platform, page_id, conversation_id, session_number
),
-- A missing message up to one gap before or after a session would belong to it.
bounded_session AS (
    SELECT
        *,
        TIMESTAMP_SUB(started_time, INTERVAL {{ session_gap }} MICROSECOND) AS since,
        TIMESTAMP_ADD(ended_time, INTERVAL {{ session_gap }} MICROSECOND) AS until
    FROM session
),
incomplete_session AS (
    SELECT DISTINCT session.platform, session.page_id, session.conversation_id, session.session_number
    FROM bounded_session AS session
    INNER JOIN missing ON missing.platform = session.platform
        AND missing.page_id = session.page_id
        AND missing.conversation_id = session.conversation_id
        AND missing.since <= session.until
        AND missing.until > session.since
)
SELECT
    session.platform,
    session.page_id,
    session.conversation_id,
    session.started_time,
    session.ended_time,
    TIMESTAMP_DIFF(session.ended_time, session.started_time, MICROSECOND) / 60000000 AS minutes,
    CASE session.started_time
        WHEN session.first_inbound THEN 'inbound'
        WHEN session.first_unknown THEN 'unknown'
        ELSE 'outbound'
    END AS started_by,
    session.messages,
    session.messages_inbound,
    session.messages_outbound,
    covered.since IS NOT NULL
        AND conversation.conversation_id IS NOT NULL
        AND incomplete_session.conversation_id IS NULL AS is_complete
FROM bounded_session AS session
LEFT JOIN covered ON covered.platform = session.platform
    AND covered.page_id = session.page_id
    AND covered.since <= session.since
    AND covered.until > session.until
LEFT JOIN {{ conversations.target }} AS conversation ON conversation.platform = session.platform
    AND conversation.page_id = session.page_id
    AND conversation.conversation_id = session.conversation_id
LEFT JOIN incomplete_session ON incomplete_session.platform = session.platform
    AND incomplete_session.page_id = session.page_id
    AND incomplete_session.conversation_id = session.conversation_id
    AND incomplete_session.session_number = session.session_number;
