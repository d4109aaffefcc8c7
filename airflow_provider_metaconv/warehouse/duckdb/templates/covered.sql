{# The times in which every message is known. Followed by further CTEs. #}
read_window AS (
    SELECT
        platform,
        page_id,
        unnest(string_split(if(folders = '', 'inbox', folders), ',')) AS folder,
        coalesce(window_since, {{ first_moment }}) AS since,
        window_until AS until,
        status,
        messages
    FROM {{ extraction_windows.target }}
    -- The window of a single person covers nobody else.
    WHERE user_id = '' AND window_until IS NOT NULL
),
-- A folder is covered by its complete windows. Those that overlap or touch are one stretch.
reached_window AS (
    SELECT
        *,
        max(until) OVER (
            PARTITION BY platform, page_id, folder
            ORDER BY since, until
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS reached
    FROM read_window
    WHERE status = 'complete'
),
numbered_window AS (
    SELECT
        *,
        sum(if(since <= reached, 0, 1)) OVER (
            PARTITION BY platform, page_id, folder
            ORDER BY since, until
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS stretch
    FROM reached_window
),
folder_stretch AS (
    SELECT platform, page_id, folder, stretch, min(since) AS since, max(until) AS until
    FROM numbered_window
    GROUP BY platform, page_id, folder, stretch
),
-- A Page is covered while all folders are that were ever read.
boundary AS (
    SELECT platform, page_id, moment, sum(change) AS change
    FROM (
        SELECT platform, page_id, since AS moment, 1 AS change FROM folder_stretch
        UNION ALL
        SELECT platform, page_id, until AS moment, -1 AS change FROM folder_stretch
    )
    GROUP BY platform, page_id, moment
),
covered_folders AS (
    SELECT
        platform,
        page_id,
        moment AS since,
        lead(moment) OVER (PARTITION BY platform, page_id ORDER BY moment) AS until,
        sum(change) OVER (
            PARTITION BY platform, page_id
            ORDER BY moment
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS folders
    FROM boundary
),
all_folders AS (
    SELECT platform, page_id, count(DISTINCT folder) AS folders
    FROM read_window
    GROUP BY platform, page_id
),
first_message AS (
    SELECT platform, page_id, min(created_time) AS first_time
    FROM {{ messages.target }}
    GROUP BY platform, page_id
),
-- Old messages have been removed if a window has counted some, but none from before its end is left.
removed AS (
    SELECT
        read_window.platform,
        read_window.page_id,
        coalesce(min(first_message.first_time), {{ last_moment }}) AS until
    FROM read_window
    LEFT JOIN first_message ON first_message.platform = read_window.platform
        AND first_message.page_id = read_window.page_id
    WHERE read_window.messages > 0
        AND read_window.until <= coalesce(first_message.first_time, {{ last_moment }})
    GROUP BY read_window.platform, read_window.page_id
),
kept AS (
    SELECT
        covered_folders.platform,
        covered_folders.page_id,
        greatest(covered_folders.since, coalesce(removed.until, {{ first_moment }})) AS since,
        covered_folders.until
    FROM covered_folders
    INNER JOIN all_folders ON all_folders.platform = covered_folders.platform
        AND all_folders.page_id = covered_folders.page_id
        AND all_folders.folders = covered_folders.folders
    LEFT JOIN removed ON removed.platform = covered_folders.platform
        AND removed.page_id = covered_folders.page_id
    WHERE covered_folders.until > coalesce(removed.until, {{ first_moment }})
),
covered AS (
    SELECT
        platform,
        page_id,
        since,
        until,
        max(until) OVER (PARTITION BY platform, page_id) AS covered_until
    FROM kept
),
