-- Conversations without a message since the cutoff and without news since. Those without a time of their own stay until
-- the last window that has them is too old. An extraction that begins at the cutoff also lists conversations of the
-- minutes before, and its rows stay for its check.
CREATE OR REPLACE TEMP TABLE gone_conversation AS
SELECT {{ conversations.key }}
FROM {{ conversations.target }}
ANTI JOIN (
    SELECT {{ conversations.key }}
    FROM {{ messages.target }}
    WHERE created_time >= getvariable('cutoff') OR created_time IS NULL
) AS kept USING ({{ conversations.key }})
WHERE coalesce(updated_time, window_until, '-infinity'::TIMESTAMPTZ) < getvariable('cutoff') - INTERVAL 1 HOUR;

-- These rows stand in for a load's: the ledger's steps then count again what they have touched.
CREATE OR REPLACE TEMP TABLE {{ messages.source }} AS
SELECT {{ touching["messages"] }}
FROM {{ messages.target }}
WHERE created_time < getvariable('cutoff');

CREATE OR REPLACE TEMP TABLE {{ conversations.source }} AS
SELECT {{ touching["conversations"] }}
FROM {{ conversations.target }}
WHERE oldest_message_time < getvariable('cutoff');

CREATE OR REPLACE TEMP TABLE {{ conversation_gaps.source }} AS
SELECT {{ touching["conversation_gaps"] }}
FROM {{ conversation_gaps.target }}
WHERE window_since IS NULL OR window_since < getvariable('cutoff');

CREATE OR REPLACE TEMP TABLE {{ extraction_windows.source }} AS
SELECT {{ touching["extraction_windows"] }}
FROM {{ extraction_windows.target }}
WHERE window_since IS NULL OR window_since < getvariable('cutoff');

DELETE FROM {{ messages.target }}
WHERE created_time < getvariable('cutoff');

DELETE FROM {{ conversation_gaps.target }} AS gap
WHERE window_until <= getvariable('cutoff')
    OR EXISTS (
        SELECT 1
        FROM gone_conversation AS gone
        WHERE gone.platform = gap.platform
            AND gone.page_id = gap.page_id
            AND gone.conversation_id = gap.conversation_id
    );

DELETE FROM {{ conversations.target }} AS conversation
WHERE EXISTS (
        SELECT 1
        FROM gone_conversation AS gone
        WHERE gone.platform = conversation.platform
            AND gone.page_id = conversation.page_id
            AND gone.conversation_id = conversation.conversation_id
    );

-- Of older windows, those of one person name that person, and partial ones can no longer be completed.
DELETE FROM {{ extraction_windows.target }}
WHERE window_until <= getvariable('cutoff') AND (user_id <> '' OR status = 'partial');

-- What is left of a window begins at the cutoff, so that a later window that begins there closes its gaps.
UPDATE {{ conversation_gaps.target }}
SET window_since = getvariable('cutoff')
WHERE window_since IS NULL OR window_since < getvariable('cutoff');

UPDATE {{ extraction_windows.target }}
SET window_since = getvariable('cutoff')
WHERE window_until > getvariable('cutoff') AND (window_since IS NULL OR window_since < getvariable('cutoff'));

DROP TABLE gone_conversation;
