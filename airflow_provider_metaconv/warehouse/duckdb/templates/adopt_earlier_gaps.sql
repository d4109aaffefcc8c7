-- Releases before conversation_gaps recorded missing messages only in conversations, as a status without a reason_code.
-- Such rows, in old files and in the table, are converted to gaps. The merge then sets the conversation's reason_code.
INSERT INTO {{ conversation_gaps.source }} BY NAME
SELECT
    platform,
    page_id,
    '' AS folders,
    '' AS user_id,
    coalesce(strftime(window_since, '%Y%m%dT%H%M%SZ'), 'begin')
        || '_' || coalesce(strftime(window_until, '%Y%m%dT%H%M%SZ'), 'end') AS window_id,
    conversation_id,
    window_since,
    window_until,
    status,
    CASE
        WHEN status = 'unreadable' THEN 'refused'
        WHEN reason LIKE '%without an id or a time%' THEN 'unplaced_messages'
        ELSE 'instagram_limit'
    END AS reason_code,
    coalesce(reason, 'an earlier release did not say why') AS reason,
    extracted_time
FROM (
    SELECT * FROM {{ conversations.source }}
    UNION ALL BY NAME
    SELECT * FROM {{ conversations.target }}
)
WHERE status <> 'complete' AND reason_code IS NULL;
