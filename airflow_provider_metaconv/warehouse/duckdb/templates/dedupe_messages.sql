-- Of all staged versions of a message the one stays that Meta gave most of, and of those the one extracted last. A version
-- is less complete when Meta gave less of it, or the same with the sender, the text or what is attached missing.
CREATE OR REPLACE TEMP MACRO completeness_rank(status, sender, body, attachments, shares, story) AS
    9 * coalesce(list_position([{content_statuses}], status), 1 + len([{content_statuses}]))
    + 2 * (sender IS NULL)::INTEGER + 2 * (coalesce(body, '') = '')::INTEGER
    + 2 * (attachments IS NULL)::INTEGER + (shares IS NULL)::INTEGER + (story IS NULL)::INTEGER;

DELETE FROM {source}
WHERE rowid IN (
    SELECT rowid
    FROM {source}
    QUALIFY row_number() OVER (
        PARTITION BY {key}
        ORDER BY
            completeness_rank(content_status, sender_id, text, attachments, shares, story),
            extracted_time DESC NULLS LAST,
            rowid DESC
    ) > 1
);

-- Between these times lie the staged rows. DuckDB reads no rows beyond them: variables count as constants.
SET VARIABLE loaded_begin = (SELECT min(created_time) - INTERVAL 1 DAY FROM {source});
SET VARIABLE loaded_end = (SELECT max(created_time) + INTERVAL 1 DAY FROM {source});
