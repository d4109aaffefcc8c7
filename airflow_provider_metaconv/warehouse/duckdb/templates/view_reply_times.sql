{% macro business_microseconds(clock) %}
                {{ clock }} // {{ week }} * {{ business_week }}
                + CASE {{ clock }} % {{ week }} // {{ day }}
{% for weekday in range(7) if weekday in business_weekdays %}
                    WHEN {{ weekday }} THEN {{ business_before[weekday] }}
                        + least(greatest({{ clock }} % {{ day }} - {{ opens }}, 0), {{ business_day }})
{% endfor %}
{% for weekday in range(7) if weekday not in business_weekdays %}
                    WHEN {{ weekday }} THEN {{ business_before[weekday] }}
{% endfor %}
                END
{%- endmacro %}
CREATE OR REPLACE VIEW {{ view }} AS
WITH
{% include "covered.sql" %}
covered_page AS (
    SELECT platform, page_id, max(until) AS covered_until
    FROM covered
    GROUP BY platform, page_id
),
{% include "open_gaps.sql" %}
-- Messages of the same second are taken in this order: inbound, unknown, outbound.
counted_message AS (
    SELECT
        platform,
        page_id,
        conversation_id,
        created_time,
        direction,
        count(*) FILTER (direction = 'outbound') OVER (
            PARTITION BY platform, page_id, conversation_id
            ORDER BY created_time, CASE direction WHEN 'inbound' THEN 0 WHEN 'outbound' THEN 2 ELSE 1 END
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS answers_before
    FROM {{ messages.target }}
),
-- What lies between two outbound messages, with the second of them.
exchange AS (
    SELECT
        platform,
        page_id,
        conversation_id,
        answers_before,
        min(created_time) FILTER (direction = 'inbound') AS asked_time,
        max(created_time) FILTER (direction = 'inbound') AS last_asked_time,
        count(*) FILTER (direction = 'inbound') AS messages,
        min(created_time) FILTER (direction = 'outbound') AS answered_time,
        count(*) FILTER (direction IS NULL OR direction NOT IN ('inbound', 'outbound')) AS messages_unknown
    FROM counted_message
    GROUP BY platform, page_id, conversation_id, answers_before
),
followed_exchange AS (
    SELECT
        *,
        -- The turn can have begun at any time after the answer before it.
        coalesce(
            lag(answered_time) OVER (PARTITION BY platform, page_id, conversation_id ORDER BY answers_before),
            {{ first_moment }}
        ) AS since
    FROM exchange
),
turn AS (
    SELECT
        *,
{% if has_business_hours %}
        -- Microseconds on the local clock since a Monday.
        epoch_us(asked_time AT TIME ZONE {{ time_zone }}) - {{ first_monday }} AS asked_clock,
        epoch_us(answered_time AT TIME ZONE {{ time_zone }}) - {{ first_monday }} AS answered_clock,
{% endif %}
        (epoch_us(answered_time) - epoch_us(asked_time)) / 60000000 AS minutes
    FROM followed_exchange
    WHERE asked_time IS NOT NULL
),
incomplete_turn AS (
    SELECT DISTINCT turn.platform, turn.page_id, turn.conversation_id, turn.answers_before
    FROM turn
    INNER JOIN missing ON missing.platform = turn.platform
        AND missing.page_id = turn.page_id
        AND missing.conversation_id = turn.conversation_id
        AND missing.since <= coalesce(turn.answered_time, {{ last_moment }})
        AND missing.until > turn.since
)
SELECT
    turn.platform,
    turn.page_id,
    turn.conversation_id,
    turn.asked_time,
    turn.last_asked_time,
    turn.messages,
    turn.answered_time,
    turn.minutes,
    CASE
        WHEN turn.minutes < 60 THEN '0-1h'
        WHEN turn.minutes < 240 THEN '1-4h'
        WHEN turn.minutes < 480 THEN '4-8h'
        WHEN turn.minutes < 1440 THEN '8-24h'
        WHEN turn.minutes >= 1440 THEN '24h+'
    END AS bucket,
{% if has_business_hours %}
    turn.asked_clock % {{ week }} // {{ day }} IN ({{ business_weekdays | join(", ") }})
        AND turn.asked_clock % {{ day }} >= {{ opens }}
        AND turn.asked_clock % {{ day }} < {{ closes }} AS asked_in_business_hours,
    CASE
        WHEN turn.answered_time IS NOT NULL THEN greatest(
            (
{{ business_microseconds("turn.answered_clock") }}
            ) - (
{{ business_microseconds("turn.asked_clock") }}
            ), 0
        ) / 60000000
    END AS business_minutes,
{% else %}
    NULL::BOOLEAN AS asked_in_business_hours,
    NULL::DOUBLE AS business_minutes,
{% endif %}
    covered_page.covered_until,
    covered.since IS NOT NULL
        AND conversation.conversation_id IS NOT NULL
        AND incomplete_turn.conversation_id IS NULL
        AND turn.messages_unknown = 0 AS is_complete
FROM turn
LEFT JOIN covered_page ON covered_page.platform = turn.platform
    AND covered_page.page_id = turn.page_id
-- From the answer before to this answer or, without one, to the end of what is covered.
LEFT JOIN covered ON covered.platform = turn.platform
    AND covered.page_id = turn.page_id
    AND covered.since <= turn.since
    AND covered.until > coalesce(turn.answered_time, turn.last_asked_time)
    AND (turn.answered_time IS NOT NULL OR covered.until = covered.covered_until)
LEFT JOIN {{ conversations.target }} AS conversation ON conversation.platform = turn.platform
    AND conversation.page_id = turn.page_id
    AND conversation.conversation_id = turn.conversation_id
LEFT JOIN incomplete_turn ON incomplete_turn.platform = turn.platform
    AND incomplete_turn.page_id = turn.page_id
    AND incomplete_turn.conversation_id = turn.conversation_id
    AND incomplete_turn.answers_before = turn.answers_before;
