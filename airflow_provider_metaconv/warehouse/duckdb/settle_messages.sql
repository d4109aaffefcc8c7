-- Leaves those staged versions of messages that belong into the table: at most one for each key, none poorer than the
-- version held. A version is poorer when Meta gave less of it, or the same with the text missing.
CREATE OR REPLACE TEMP MACRO poverty(status, body) AS
    2 * coalesce(list_position([{statuses}], status), 1 + len([{statuses}])) + (coalesce(body, '') = '')::INTEGER;

DELETE FROM {staging}
WHERE rowid IN (
    SELECT rowid
    FROM {staging}
    QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY poverty(content_status, text), rowid DESC) > 1
);

DELETE FROM {staging} AS fresh
USING {target} AS held
WHERE {same_key}
    AND poverty(fresh.content_status, fresh.text) > poverty(held.content_status, held.text);
