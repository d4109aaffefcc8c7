CREATE OR REPLACE VIEW {{ view }} AS
WITH
{% include "covered.sql" %}
covered_page AS (
    SELECT platform, page_id, max(until) AS covered_until
    FROM covered
    GROUP BY platform, page_id
),
-- Windows and open gaps, each with its days. A first day of NULL is that of the first known message.
recorded AS (
    SELECT
        platform,
        page_id,
        {{ local_date("window_since") }} AS first_day,
        {{ local_date("window_until - INTERVAL 1 MICROSECOND") }} AS last_day,
        1 AS windows,
        if(status = 'complete', 0, 1) AS partial_windows,
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
        {{ local_date("window_until - INTERVAL 1 MICROSECOND") }} AS last_day,
        0 AS windows,
        0 AS partial_windows,
        1 AS gaps,
        if(status = 'truncated_by_platform', 1, 0) AS truncated,
        if(status NOT IN ('complete', 'truncated_by_platform'), 1, 0) AS unreadable
    FROM {{ conversation_gaps.target }}
    WHERE closed_by_window IS NULL
),
span AS (
    SELECT platform, page_id, min(first_day) AS first_day, max(last_day) AS last_day
    FROM (
        SELECT platform, page_id, coalesce(first_day, last_day) AS first_day, coalesce(last_day, first_day) AS last_day
        FROM recorded
        UNION ALL
        SELECT
            platform,
            page_id,
            {{ local_date("min(created_time)") }} AS first_day,
            {{ local_date("max(created_time)") }} AS last_day
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
        sum(windows) AS windows,
        sum(partial_windows) AS partial_windows,
        sum(gaps) AS gaps,
        sum(truncated) AS truncated,
        sum(unreadable) AS unreadable
    FROM (
        SELECT
            recorded.platform, recorded.page_id, coalesce(recorded.first_day, span.first_day) AS day,
            recorded.windows, recorded.partial_windows, recorded.gaps, recorded.truncated, recorded.unreadable
        FROM recorded
        INNER JOIN span ON span.platform = recorded.platform AND span.page_id = recorded.page_id
        UNION ALL
        SELECT
            platform, page_id, last_day + 1 AS day,
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
        day::TIMESTAMP AT TIME ZONE {{ time_zone }} AS since,
        (day + 1)::TIMESTAMP AT TIME ZONE {{ time_zone }} AS until
    FROM (
        SELECT platform, page_id, unnest(generate_series(first_day, last_day, INTERVAL 1 DAY))::DATE AS day
        FROM span
    )
),
covered_day AS (
    SELECT
        every_day.platform,
        every_day.page_id,
        every_day.day,
        sum(epoch_us(least(covered.until, every_day.until)) - epoch_us(greatest(covered.since, every_day.since))) AS length,
        bool_or(covered.since = {{ first_moment }}) AS has_history
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
        epoch_us(every_day.until) - epoch_us(every_day.since) AS length,
        coalesce(covered_day.length, 0) AS covered_length,
        coalesce(covered_day.has_history, FALSE) AS has_history,
        coalesce(sum(change.windows) OVER so_far, 0) AS windows,
        coalesce(sum(change.partial_windows) OVER so_far, 0) AS partial_windows,
        coalesce(sum(change.gaps) OVER so_far, 0) AS gaps,
        coalesce(sum(change.truncated) OVER so_far, 0) AS truncated,
        coalesce(sum(change.unreadable) OVER so_far, 0) AS unreadable
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
    counted_day.windows::BIGINT AS windows,
    counted_day.partial_windows::BIGINT AS partial_windows,
    counted_day.covered_length / 60000000 AS covered_minutes,
    counted_day.gaps::BIGINT AS gaps,
    counted_day.truncated::BIGINT AS truncated,
    counted_day.unreadable::BIGINT AS unreadable,
    counted_day.has_history,
    covered_page.covered_until,
    counted_day.covered_length = counted_day.length
        AND counted_day.truncated = 0
        AND counted_day.unreadable = 0 AS is_complete
FROM counted_day
LEFT JOIN covered_page ON covered_page.platform = counted_day.platform
    AND covered_page.page_id = counted_day.page_id;
