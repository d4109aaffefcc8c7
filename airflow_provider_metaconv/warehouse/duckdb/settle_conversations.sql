-- Makes the staged rows what the table is to hold: for each key the version seen latest, staged or held, with the oldest
-- and the newest message time of all versions: each run sees only its own window.
CREATE TEMP TABLE version AS
SELECT {key}, oldest_message_time, newest_message_time, status, reason, window_since, window_until,
    coalesce(window_since, '-infinity'::TIMESTAMPTZ) AS since, coalesce(extracted_time, '-infinity'::TIMESTAMPTZ) AS seen
FROM (FROM {staging} UNION ALL BY NAME FROM {target} SEMI JOIN {staging} USING ({key}));

CREATE TEMP TABLE reach AS
SELECT {key}, min(oldest_message_time) AS oldest, max(newest_message_time) AS newest
FROM version
GROUP BY {key};

-- What is missing stays missing until a later run over the same time, or more, has brought it. A row has room for one
-- window: it spans all that is missing, so that nothing is forgotten when a part of it is mended.
CREATE TEMP TABLE missing AS
SELECT DISTINCT ON ({key}) {key}, status, reason,
    CASE WHEN bool_and(window_since IS NOT NULL) OVER same THEN min(window_since) OVER same END AS window_since,
    CASE WHEN bool_and(window_until IS NOT NULL) OVER same THEN max(window_until) OVER same END AS window_until
FROM version AS held
WHERE status <> 'complete'
    AND NOT EXISTS (
        FROM version AS fresh
        WHERE {same_key}
            AND fresh.status = 'complete'
            AND fresh.seen >= held.seen
            AND fresh.since <= held.since
            AND fresh.window_until >= held.window_until
    )
WINDOW same AS (PARTITION BY {key})
ORDER BY seen DESC, held.window_until DESC;

DELETE FROM {staging}
WHERE rowid IN (
    SELECT rowid
    FROM {staging}
    QUALIFY row_number() OVER (
        PARTITION BY {key}
        ORDER BY updated_time DESC NULLS LAST, extracted_time DESC NULLS LAST, rowid DESC
    ) > 1
);

UPDATE {staging} AS fresh
SET {held_values}
FROM {target} AS held
WHERE {same_key}
    AND (
        held.updated_time > coalesce(fresh.updated_time, '-infinity'::TIMESTAMPTZ)
        OR held.updated_time IS NOT DISTINCT FROM fresh.updated_time
            AND held.extracted_time > coalesce(fresh.extracted_time, '-infinity'::TIMESTAMPTZ)
    );

UPDATE {staging} AS fresh
SET oldest_message_time = held.oldest, newest_message_time = held.newest
FROM reach AS held
WHERE {same_key};

UPDATE {staging} AS fresh
SET status = held.status, reason = held.reason, window_since = held.window_since, window_until = held.window_until
FROM missing AS held
WHERE {same_key};

DROP TABLE version;
DROP TABLE reach;
DROP TABLE missing;
