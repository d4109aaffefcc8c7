-- For each key the version seen latest, staged or held, with the oldest and the newest message time of all versions: each
-- run sees only its own window. What is missing stays missing until a later run over the same time, or more, brought it;
-- a row has room for one window: it spans all that is missing, so that nothing is forgotten when a part of it is mended.
WITH versions AS (
    SELECT {columns}, TRUE AS is_staged FROM {staged}
    UNION ALL
    SELECT {columns}, FALSE AS is_staged
    FROM {target} AS held
    WHERE EXISTS (SELECT 1 FROM {staged_key} AS fresh WHERE {same_key_held_fresh})
),
ranked AS (
    SELECT
        version.*,
        ROW_NUMBER() OVER (
            PARTITION BY {key}
            ORDER BY updated_time DESC NULLS LAST, extracted_time DESC NULLS LAST, is_staged DESC, TO_JSON_STRING(version)
        ) AS place,
        ROW_NUMBER() OVER (
            PARTITION BY {key}
            ORDER BY is_staged DESC, updated_time DESC NULLS LAST, extracted_time DESC NULLS LAST, TO_JSON_STRING(version)
        ) AS staged_place,
        MIN(oldest_message_time) OVER (PARTITION BY {key}) AS oldest,
        MAX(newest_message_time) OVER (PARTITION BY {key}) AS newest
    FROM versions AS version
),
missing AS (
    SELECT
        {key},
        status,
        reason,
        IF(COUNTIF(window_since IS NULL) OVER (PARTITION BY {key}) > 0, NULL, MIN(window_since) OVER (PARTITION BY {key})) AS window_since,
        IF(COUNTIF(window_until IS NULL) OVER (PARTITION BY {key}) > 0, NULL, MAX(window_until) OVER (PARTITION BY {key})) AS window_until
    FROM versions AS version
    WHERE status <> 'complete'
        AND NOT EXISTS (
            SELECT 1
            FROM versions AS later
            WHERE {same_key_later_version}
                AND later.status = 'complete'
                AND COALESCE(later.extracted_time, {first_moment}) >= COALESCE(version.extracted_time, {first_moment})
                AND COALESCE(later.window_since, {first_moment}) <= COALESCE(version.window_since, {first_moment})
                AND later.window_until >= version.window_until
        )
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY {key}
        ORDER BY extracted_time DESC NULLS LAST, version.window_until DESC NULLS LAST, is_staged DESC, TO_JSON_STRING(version)
    ) = 1
)
SELECT {settled_columns}
FROM ranked AS winner
JOIN ranked AS staged ON {same_key_winner_staged} AND staged.staged_place = 1
LEFT JOIN missing ON {same_key_winner_missing}
WHERE winner.place = 1
