DECLARE cutoff TIMESTAMP DEFAULT @cutoff;
DECLARE counted_begin, counted_end TIMESTAMP;
DECLARE counted_pages ARRAY<STRING>;
{% for table in tables %}
DECLARE {{ table.name }}_removed INT64 DEFAULT 0;
{% endfor %}

{% include "lock_table.sql" %}

BEGIN TRANSACTION;
{% include "lock.sql" %}

-- Conversations without a message since the cutoff and without news since. Those without a time of their own stay until
-- the last window that has them is too old. An extraction that begins at the cutoff also lists conversations of the
-- minutes before, and its rows stay for its check.
CREATE TEMP TABLE gone_conversation AS
SELECT conversation.platform, conversation.page_id, conversation.conversation_id
FROM {{ conversations.target }} AS conversation
LEFT JOIN (
    SELECT DISTINCT platform, page_id, conversation_id
    FROM {{ messages.target }}
    WHERE created_time >= cutoff OR created_time IS NULL
) AS kept ON kept.platform = conversation.platform
    AND kept.page_id = conversation.page_id
    AND kept.conversation_id = conversation.conversation_id
WHERE kept.conversation_id IS NULL
    AND COALESCE(conversation.updated_time, conversation.window_until, {{ first_moment }})
        < TIMESTAMP_SUB(cutoff, INTERVAL 1 HOUR);

-- These rows stand in for a load's: the ledger's steps then count again what they have touched. BigQuery may already
-- have dropped the messages, so the conversations that had one are found by their own time.
CREATE TEMP TABLE {{ messages.source }} AS
SELECT {{ touching["messages"] }}
FROM {{ messages.target }}
WHERE created_time < cutoff;

CREATE TEMP TABLE {{ conversations.source }} AS
SELECT {{ touching["conversations"] }}
FROM {{ conversations.target }}
WHERE oldest_message_time < cutoff;

CREATE TEMP TABLE {{ conversation_gaps.source }} AS
SELECT {{ touching["conversation_gaps"] }}
FROM {{ conversation_gaps.target }}
WHERE window_since IS NULL OR window_since < cutoff;

CREATE TEMP TABLE {{ extraction_windows.source }} AS
SELECT {{ touching["extraction_windows"] }}
FROM {{ extraction_windows.target }}
WHERE window_since IS NULL OR window_since < cutoff;

DELETE FROM {{ messages.target }}
WHERE created_time < cutoff;
SET messages_removed = @@row_count;

DELETE FROM {{ conversation_gaps.target }} AS gap
WHERE window_until <= cutoff
    OR EXISTS (
        SELECT 1
        FROM gone_conversation AS gone
        WHERE gone.platform = gap.platform
            AND gone.page_id = gap.page_id
            AND gone.conversation_id = gap.conversation_id
    );
SET conversation_gaps_removed = @@row_count;

DELETE FROM {{ conversations.target }} AS conversation
WHERE EXISTS (
        SELECT 1
        FROM gone_conversation AS gone
        WHERE gone.platform = conversation.platform
            AND gone.page_id = conversation.page_id
            AND gone.conversation_id = conversation.conversation_id
    );
SET conversations_removed = @@row_count;

-- Of older windows, those of one person name that person, and partial ones can no longer be completed.
DELETE FROM {{ extraction_windows.target }}
WHERE window_until <= cutoff AND (user_id <> '' OR status = 'partial');
SET extraction_windows_removed = @@row_count;

-- What is left of a window begins at the cutoff, so that a later window that begins there closes its gaps.
UPDATE {{ conversation_gaps.target }}
SET window_since = cutoff
WHERE window_since IS NULL OR window_since < cutoff;

UPDATE {{ extraction_windows.target }}
SET window_since = cutoff
WHERE window_until > cutoff AND (window_since IS NULL OR window_since < cutoff);

{% include "erase_time_ranges.sql" %}

{% include "count_gaps.sql" %}

{% include "close_gaps.sql" %}

{% include "total_conversations.sql" %}

COMMIT TRANSACTION;

SELECT
{% for table in tables %}
    {{ table.name }}_removed AS {{ table.name }}{{ ";" if loop.last else "," }}
{% endfor %}
