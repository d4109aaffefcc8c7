CREATE OR REPLACE VIEW {{ view }}
OPTIONS (description = {{ description }}, labels = [{{ labels }}])
AS
WITH
{% include "covered.sql" %}
covered_page AS (
    SELECT platform, page_id, MAX(until) AS covered_until
    FROM covered
    GROUP BY platform, page_id
),
-- Windows and open gaps, each with its days. A first day of NULL is that of the first known message.
recorded AS (
    SELECT
        platform,
        page_id,
        {{ local_date("window_since") }} AS first_day,
        {{ local_date("TIMESTAMP_SUB(window_until, INTERVAL 1 MICROSECOND)") }} AS last_day,
        1 AS windows,
        IF(status = 'complete', 0, 1) AS partial_windows,
        0 AS gaps,
        0 AS truncated,
        0 AS unreadable
    FROM {{ extraction_windows.target }}
    WHERE user_id = '' AND window_until IS NOT NULL
    UNION ALL
    SELECT
        platform,
        page_id,
        {{ local_date("window_since") }} AS first_day,
        {{ local_date("TIMESTAMP_SUB(window_until, INTERVAL 1 MICROSECOND)") }} AS last_day,
        0 AS windows,
        0 AS partial_windows,
        1 AS gaps,
        IF(status = 'truncated_by_platform', 1, 0) AS truncated,
        IF(status NOT IN ('complete', 'truncated_by_platform'), 1, 0) AS unreadable
    FROM {{ conversation_gaps.target }}
    WHERE closed_by_window IS NULL
),
span AS (
    SELECT platform, page_id, MIN(first_day) AS first_day, MAX(last_day) AS last_day
    FROM (
        SELECT platform, page_id, COALESCE(first_day, last_day) AS first_day, COALESCE(last_day, first_day) AS last_day
        FROM recorded
        UNION ALL
        SELECT
            platform,
            page_id,
            {{ local_date("MIN(created_time)") }} AS first_day,
            {{ local_date("MAX(created_time)") }} AS last_day
        FROM {{ messages.target }}
        GROUP BY platform, page_id
    )
    GROUP BY platform, page_id
),
-- How many of them begin on a day, and end on the day before it.
change AS (
    SELECT
        platform,
        page_id,
        day,
        SUM(windows) AS windows,
        SUM(partial_windows) AS partial_windows,
        SUM(gaps) AS gaps,
        SUM(truncated) AS truncated,
        SUM(unreadable) AS unreadable
    FROM (
        SELECT
            recorded.platform, recorded.page_id, COALESCE(recorded.first_day, span.first_day) AS day,
            recorded.windows, recorded.partial_windows, recorded.gaps, recorded.truncated, recorded.unreadable
        FROM recorded
        INNER JOIN span ON span.platform = recorded.platform AND span.page_id = recorded.page_id
        UNION ALL
        SELECT
            platform, page_id, DATE_ADD(last_day, INTERVAL 1 DAY) AS day,
            -windows, -partial_windows, -gaps, -truncated, -unreadable
        FROM recorded
    )
    GROUP BY platform, page_id, day
),
every_day AS (
    SELECT
        platform,
        page_id,
        day,
        TIMESTAMP(day, {{ time_zone }}) AS since,
        TIMESTAMP(DATE_ADD(day, INTERVAL 1 DAY), {{ time_zone }}) AS until
    FROM span
    CROSS JOIN UNNEST(GENERATE_DATE_ARRAY(first_day, last_day)) AS day
),
covered_day AS (
    SELECT
        every_day.platform,
        every_day.page_id,
        every_day.day,
        SUM(TIMESTAMP_DIFF(
            LEAST(covered.until, every_day.until), GREATEST(covered.since, every_day.since), MICROSECOND
        )) AS length,
        LOGICAL_OR(covered.since = {{ first_moment }}) AS has_history
    FROM every_day
    INNER JOIN covered ON covered.platform = every_day.platform
        AND covered.page_id = every_day.page_id
        AND covered.since < every_day.until
        AND covered.until > every_day.since
    GROUP BY every_day.platform, every_day.page_id, every_day.day
),
counted_day AS (
    SELECT
        every_day.platform,
        every_day.page_id,
        every_day.day,
        TIMESTAMP_DIFF(every_day.until, every_day.since, MICROSECOND) AS length,
        COALESCE(covered_day.length, 0) AS covered_length,
        COALESCE(covered_day.has_history, FALSE) AS has_history,
        COALESCE(SUM(change.windows) OVER so_far, 0) AS windows,
        COALESCE(SUM(change.partial_windows) OVER so_far, 0) AS partial_windows,
        COALESCE(SUM(change.gaps) OVER so_far, 0) AS gaps,
        COALESCE(SUM(change.truncated) OVER so_far, 0) AS truncated,
        COALESCE(SUM(change.unreadable) OVER so_far, 0) AS unreadable
    FROM every_day
    LEFT JOIN covered_day ON covered_day.platform = every_day.platform
        AND covered_day.page_id = every_day.page_id
        AND covered_day.day = every_day.day
    LEFT JOIN change ON change.platform = every_day.platform
        AND change.page_id = every_day.page_id
        AND change.day = every_day.day
    WINDOW so_far AS (
        PARTITION BY every_day.platform, every_day.page_id
        ORDER BY every_day.day
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
)
SELECT
    counted_day.platform,
    counted_day.page_id,
    counted_day.day,
    CAST(counted_day.windows AS INT64) AS windows,
    CAST(counted_day.partial_windows AS INT64) AS partial_windows,
    counted_day.covered_length / 60000000 AS covered_minutes,
    CAST(counted_day.gaps AS INT64) AS gaps,
    CAST(counted_day.truncated AS INT64) AS truncated,
    CAST(counted_day.unreadable AS INT64) AS unreadable,
    counted_day.has_history,
    covered_page.covered_until,
    counted_day.covered_length = counted_day.length
        AND counted_day.truncated = 0
        AND counted_day.unreadable = 0 AS is_complete
FROM counted_day
LEFT JOIN covered_page ON covered_page.platform = counted_day.platform
    AND covered_page.page_id = counted_day.page_id;
