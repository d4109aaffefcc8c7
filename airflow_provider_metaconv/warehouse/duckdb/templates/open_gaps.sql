{# Followed by further CTEs. #}
-- Windows of a conversation of which messages are missing. Of a deleted message, only the direction is.
missing AS (
    SELECT
        platform,
        page_id,
        conversation_id,
        status,
        coalesce(window_since, {{ first_moment }}) AS since,
        coalesce(window_until, {{ last_moment }}) AS until
    FROM {{ conversation_gaps.target }}
    WHERE closed_by_window IS NULL AND status <> 'complete'
),
