-- The gaps that a loaded window may close, and those whose closing window may itself have a gap in the conversation.
CREATE TEMP TABLE examined_gap AS
SELECT
    gap.platform, gap.page_id, gap.folders, gap.user_id, gap.window_id, gap.conversation_id,
    gap.window_since, gap.window_until, gap.extracted_time
FROM {{ conversation_gaps.target }} AS gap
INNER JOIN {{ extraction_windows.source }} AS source ON source.platform = gap.platform
    AND source.page_id = gap.page_id
    AND source.folders = gap.folders
    AND source.user_id = gap.user_id
    AND source.window_until >= gap.window_until
    AND (source.window_since IS NULL OR source.window_since <= gap.window_since)
UNION DISTINCT
SELECT
    gap.platform, gap.page_id, gap.folders, gap.user_id, gap.window_id, gap.conversation_id,
    gap.window_since, gap.window_until, gap.extracted_time
FROM {{ conversation_gaps.target }} AS gap
INNER JOIN {{ conversation_gaps.source }} AS source ON source.platform = gap.platform
    AND source.page_id = gap.page_id
    AND source.folders = gap.folders
    AND source.user_id = gap.user_id
    AND source.conversation_id = gap.conversation_id
    AND source.window_until >= gap.window_until
    AND (source.window_since IS NULL OR source.window_since <= gap.window_since);

IF EXISTS (SELECT 1 FROM examined_gap) THEN
    -- A gap is closed by the first complete window that was extracted later, covers the gap's window (the same window,
    -- extracted again, counts) and has no gap in that conversation. A gap older than its window's row was found by an
    -- earlier extraction of that window.
    CREATE TEMP TABLE closing_window AS
    WITH gap_window AS (
        SELECT DISTINCT platform, page_id, folders, user_id, window_id, window_since, window_until
        FROM examined_gap
    ),
    spanning_window AS (
        SELECT
            gap_window.platform, gap_window.page_id, gap_window.folders, gap_window.user_id, gap_window.window_id,
            later.window_id AS later_window_id, later.extracted_time
        FROM gap_window
        INNER JOIN {{ extraction_windows.target }} AS later ON later.platform = gap_window.platform
            AND later.page_id = gap_window.page_id
            AND later.folders = gap_window.folders
            AND later.user_id = gap_window.user_id
            AND later.window_until >= gap_window.window_until
            AND (later.window_since IS NULL OR later.window_since <= gap_window.window_since)
        WHERE later.status = 'complete'
    )
    SELECT gap.platform, gap.page_id, gap.folders, gap.user_id, gap.window_id, gap.conversation_id, later.later_window_id
    FROM examined_gap AS gap
    INNER JOIN spanning_window AS later ON later.platform = gap.platform
        AND later.page_id = gap.page_id
        AND later.folders = gap.folders
        AND later.user_id = gap.user_id
        AND later.window_id = gap.window_id
        AND later.extracted_time > gap.extracted_time
    LEFT JOIN {{ conversation_gaps.target }} AS found_again ON found_again.platform = later.platform
        AND found_again.page_id = later.page_id
        AND found_again.folders = later.folders
        AND found_again.user_id = later.user_id
        AND found_again.window_id = later.later_window_id
        AND found_again.conversation_id = gap.conversation_id
        AND found_again.extracted_time >= later.extracted_time
    WHERE found_again.window_id IS NULL
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY gap.platform, gap.page_id, gap.folders, gap.user_id, gap.window_id, gap.conversation_id
        ORDER BY later.extracted_time, later.later_window_id
    ) = 1;

    UPDATE {{ conversation_gaps.target }} AS gap
    SET closed_by_window = examined.later_window_id
    FROM (
        SELECT
            open_or_closed.platform, open_or_closed.page_id, open_or_closed.folders, open_or_closed.user_id,
            open_or_closed.window_id, open_or_closed.conversation_id, closing_window.later_window_id
        FROM examined_gap AS open_or_closed
        LEFT JOIN closing_window ON closing_window.platform = open_or_closed.platform
            AND closing_window.page_id = open_or_closed.page_id
            AND closing_window.folders = open_or_closed.folders
            AND closing_window.user_id = open_or_closed.user_id
            AND closing_window.window_id = open_or_closed.window_id
            AND closing_window.conversation_id = open_or_closed.conversation_id
    ) AS examined
    WHERE gap.platform = examined.platform
        AND gap.page_id = examined.page_id
        AND gap.folders = examined.folders
        AND gap.user_id = examined.user_id
        AND gap.window_id = examined.window_id
        AND gap.conversation_id = examined.conversation_id
        AND gap.closed_by_window IS DISTINCT FROM examined.later_window_id;
END IF;
