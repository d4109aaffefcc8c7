-- Leaves those staged versions of messages that belong into the table: at most one for each key, none poorer or older than
-- the version held. A version is poorer when Meta gave less of it, or the same with the text or what hangs on it missing.
CREATE OR REPLACE TEMP MACRO poverty(status, body, attachments, shares, story) AS
    9 * coalesce(list_position([{statuses}], status), 1 + len([{statuses}]))
    + 2 * (coalesce(body, '') = '')::INTEGER
    + 2 * (attachments IS NULL)::INTEGER + (shares IS NULL)::INTEGER + (story IS NULL)::INTEGER;

DELETE FROM {staging}
WHERE rowid IN (
    SELECT rowid
    FROM {staging}
    QUALIFY row_number() OVER (
        PARTITION BY {key}
        ORDER BY poverty(content_status, text, attachments, shares, story), extracted_time DESC NULLS LAST, rowid DESC
    ) > 1
);

DELETE FROM {staging} AS fresh
USING {target} AS held
WHERE {same_key}
    AND (
        poverty(fresh.content_status, fresh.text, fresh.attachments, fresh.shares, fresh.story),
        -coalesce(epoch_us(fresh.extracted_time), 0)
    ) > (
        poverty(held.content_status, held.text, held.attachments, held.shares, held.story),
        -coalesce(epoch_us(held.extracted_time), 0)
    );
