-- Releases before conversation_gaps recorded missing messages only in conversations, as a status without a reason_code.
-- Such rows, in old files and in the table, are converted to gaps. The merge then sets the conversation's reason_code.
CREATE TEMP TABLE adopted_gap AS
SELECT
    platform,
    page_id,
    '' AS folders,
    '' AS user_id,
    CONCAT(
        COALESCE(FORMAT_TIMESTAMP('%Y%m%dT%H%M%SZ', window_since), 'begin'), '_',
        COALESCE(FORMAT_TIMESTAMP('%Y%m%dT%H%M%SZ', window_until), 'end')
    ) AS window_id,
    conversation_id,
    window_since,
    window_until,
    status,
    IF(
        status = 'unreadable',
        'refused',
        IF(reason LIKE '%without an id or a time%', 'unplaced_messages', 'instagram_limit')
    ) AS reason_code,
    COALESCE(reason, 'an earlier release did not say why') AS reason,
    CAST(NULL AS INT64) AS messages_known,
    CAST(NULL AS INT64) AS messages_extracted,
    CAST(NULL AS INT64) AS messages_unavailable,
    CAST(NULL AS STRING) AS closed_by_window,
    extracted_time
FROM (
    SELECT platform, page_id, conversation_id, window_since, window_until, status, reason_code, reason, extracted_time
    FROM {{ conversations.staged }}
    UNION ALL
    SELECT platform, page_id, conversation_id, window_since, window_until, status, reason_code, reason, extracted_time
    FROM {{ conversations.target }}
) AS conversation
WHERE status <> 'complete' AND reason_code IS NULL;
SET conversation_gaps_adopted = (SELECT COUNT(*) FROM adopted_gap);
