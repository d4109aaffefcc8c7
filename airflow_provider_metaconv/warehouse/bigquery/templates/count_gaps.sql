-- The gaps in this load, and the gaps whose window contains messages of this load.
CREATE TEMP TABLE recounted_gap AS
SELECT
    gap.platform, gap.page_id, gap.folders, gap.user_id, gap.window_id, gap.conversation_id,
    gap.window_since, gap.window_until
FROM {{ conversation_gaps.target }} AS gap
INNER JOIN {{ conversation_gaps.source }} AS source ON source.platform = gap.platform
    AND source.page_id = gap.page_id
    AND source.folders = gap.folders
    AND source.user_id = gap.user_id
    AND source.window_id = gap.window_id
    AND source.conversation_id = gap.conversation_id
UNION DISTINCT
SELECT
    gap.platform, gap.page_id, gap.folders, gap.user_id, gap.window_id, gap.conversation_id,
    gap.window_since, gap.window_until
FROM {{ conversation_gaps.target }} AS gap
INNER JOIN (
    SELECT platform, page_id, conversation_id, MIN(created_time) AS first_time, MAX(created_time) AS last_time
    FROM {{ messages.source }}
    GROUP BY platform, page_id, conversation_id
) AS loaded ON loaded.platform = gap.platform
    AND loaded.page_id = gap.page_id
    AND loaded.conversation_id = gap.conversation_id
    AND loaded.first_time < gap.window_until
    AND (gap.window_since IS NULL OR loaded.last_time >= gap.window_since);

IF EXISTS (SELECT 1 FROM recounted_gap) THEN
    -- Scans six small columns of messages, on the days of these gaps' windows: one day for an hourly load.
    SET counted_begin = (
        SELECT IF(COUNTIF(window_since IS NULL) > 0, {{ first_moment }}, MIN(window_since)) FROM recounted_gap
    );
    SET counted_end = (SELECT MAX(window_until) FROM recounted_gap);

    -- The counts come from the rows of messages, whichever window they were extracted with. Messages without an ID or a
    -- time have no row: their number is the excess of messages_known over the counts, which is preserved.
    UPDATE {{ conversation_gaps.target }} AS gap
    SET
        messages_known = counted.extracted + counted.unavailable + GREATEST(
            COALESCE(gap.messages_known, 0) - COALESCE(gap.messages_extracted, 0) - COALESCE(gap.messages_unavailable, 0), 0
        ),
        messages_extracted = counted.extracted,
        messages_unavailable = counted.unavailable
    FROM (
        SELECT
            listed.platform, listed.page_id, listed.folders, listed.user_id, listed.window_id, listed.conversation_id,
            COUNTIF(message.message_id IS NOT NULL AND message.content_status IS DISTINCT FROM 'unavailable') AS extracted,
            COUNTIF(message.message_id IS NOT NULL AND message.content_status = 'unavailable') AS unavailable
        FROM recounted_gap AS listed
        LEFT JOIN (
            SELECT platform, page_id, conversation_id, message_id, created_time, content_status
            FROM {{ messages.target }}
            WHERE created_time BETWEEN counted_begin AND counted_end
        ) AS message ON message.platform = listed.platform
            AND message.page_id = listed.page_id
            AND message.conversation_id = listed.conversation_id
            AND message.created_time < listed.window_until
            AND (listed.window_since IS NULL OR message.created_time >= listed.window_since)
        GROUP BY
            listed.platform, listed.page_id, listed.folders, listed.user_id, listed.window_id, listed.conversation_id
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
            OR COALESCE(gap.messages_known, -1) < counted.extracted + counted.unavailable
        );
END IF;
