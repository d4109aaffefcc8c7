CREATE OR REPLACE VIEW {{ view }} AS
SELECT
    platform,
    page_id,
    conversation_id,
    asked_time AS waiting_since,
    last_asked_time,
    messages,
    CASE
        WHEN covered_until > asked_time THEN (epoch_us(covered_until) - epoch_us(asked_time)) / 60000000
    END AS minutes,
    covered_until,
    is_complete
FROM {{ views.reply_times }}
WHERE answered_time IS NULL;
