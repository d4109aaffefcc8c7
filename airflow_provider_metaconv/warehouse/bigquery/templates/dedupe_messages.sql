-- Of all staged versions of a message the one that Meta gave most of, and of those the one extracted last.
CREATE TEMP TABLE source_messages AS
SELECT {columns}
FROM {staged} AS version
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY {key}
    ORDER BY
        completeness_rank(content_status, sender_id, text, attachments, shares, story),
        extracted_time DESC NULLS LAST,
        TO_JSON_STRING(version)
) = 1;
