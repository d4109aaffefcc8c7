-- Releases without conversation_gaps said in conversations alone what was missing: a status without a reason_code, in
-- their files and in their tables. It becomes a gap like any other, and the merge gives the conversation its reason_code.
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
