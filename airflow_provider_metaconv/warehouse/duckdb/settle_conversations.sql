-- Makes the staged rows what the table is to hold: for each key the version seen latest, staged or held, with the oldest
-- and the newest message time of all versions: each run sees only its own window.
CREATE TEMP TABLE reach AS
SELECT {key}, min(oldest_message_time) AS oldest, max(newest_message_time) AS newest
FROM (
    SELECT {key}, oldest_message_time, newest_message_time FROM {staging}
    UNION ALL
    SELECT {key}, oldest_message_time, newest_message_time FROM {target} SEMI JOIN {staging} USING ({key})
)
GROUP BY {key};

DELETE FROM {staging}
WHERE rowid IN (
    SELECT rowid
    FROM {staging}
    QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY updated_time DESC NULLS LAST, rowid DESC) > 1
);

UPDATE {staging} AS fresh
SET {held_values}
FROM {target} AS held
WHERE {same_key}
    AND held.updated_time > coalesce(fresh.updated_time, '-infinity'::TIMESTAMPTZ);

UPDATE {staging} AS fresh
SET oldest_message_time = held.oldest, newest_message_time = held.newest
FROM reach AS held
WHERE {same_key};

-- What is missing stays missing until a run over the same time, or more, has brought it.
UPDATE {staging} AS fresh
SET status = held.status, reason = held.reason, window_since = held.window_since, window_until = held.window_until
FROM {target} AS held
WHERE {same_key}
    AND held.status <> 'complete'
    AND fresh.status = 'complete'
    AND NOT (
        coalesce(fresh.window_since, '-infinity'::TIMESTAMPTZ) <= coalesce(held.window_since, '-infinity'::TIMESTAMPTZ)
        AND fresh.window_until >= held.window_until
    );

DROP TABLE reach;
