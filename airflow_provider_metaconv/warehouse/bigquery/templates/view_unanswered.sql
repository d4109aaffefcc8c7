CREATE OR REPLACE VIEW {{ view }}
OPTIONS (description = {{ description }}, labels = [{{ labels }}])
AS
SELECT
    platform,
    page_id,
    conversation_id,
    asked_time AS waiting_since,
    last_asked_time,
    messages,
    CASE
        WHEN covered_until > asked_time THEN TIMESTAMP_DIFF(covered_until, asked_time, MICROSECOND) / 60000000
    END AS minutes,
    covered_until,
    is_complete
FROM {{ views.reply_times }}
WHERE answered_time IS NULL;
