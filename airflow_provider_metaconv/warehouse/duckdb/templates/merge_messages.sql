-- Keep the most complete staged version of each message, or else the one extracted last. A version is less complete if
-- its content_status ranks lower, or if the status is equal and the sender, the text or attachments are missing.
CREATE OR REPLACE TEMP MACRO completeness_rank(status, sender, body, attachments, shares, story) AS
    9 * coalesce(list_position([{{ content_statuses }}], status), 1 + len([{{ content_statuses }}]))
    + 2 * (sender IS NULL)::INTEGER + 2 * (coalesce(body, '') = '')::INTEGER
    + 2 * (attachments IS NULL)::INTEGER + (shares IS NULL)::INTEGER + (story IS NULL)::INTEGER;

DELETE FROM {{ messages.source }}
WHERE rowid IN (
    SELECT rowid
    FROM {{ messages.source }}
    QUALIFY row_number() OVER (
        PARTITION BY {{ messages.key }}
        ORDER BY
            completeness_rank(content_status, sender_id, text, attachments, shares, story),
            extracted_time DESC NULLS LAST,
            rowid DESC
    ) > 1
);

-- The time range of the staged rows. DuckDB skips row groups outside it, because variables count as constants.
SET VARIABLE loaded_begin = (SELECT min(created_time) - INTERVAL 1 DAY FROM {{ messages.source }});
SET VARIABLE loaded_end = (SELECT max(created_time) + INTERVAL 1 DAY FROM {{ messages.source }});

-- A less complete or older version never replaces the existing row, and only rows that differ are written.
MERGE INTO {{ messages.target }} AS target
USING {{ messages.source }} AS source
ON (
    {{ messages.same_key }}
    AND (
        target.created_time BETWEEN getvariable('loaded_begin') AND getvariable('loaded_end')
        OR target.created_time IS NULL
    )
)
WHEN MATCHED
    AND (
        completeness_rank(source.content_status, source.sender_id, source.text, source.attachments, source.shares, source.story),
        -coalesce(epoch_us(source.extracted_time), 0)
    ) <= (
        completeness_rank(target.content_status, target.sender_id, target.text, target.attachments, target.shares, target.story),
        -coalesce(epoch_us(target.extracted_time), 0)
    )
    AND ({{ messages.any_difference }})
    THEN UPDATE SET {{ messages.source_values }}
WHEN NOT MATCHED THEN INSERT ({{ messages.columns }}) VALUES ({{ messages.source_columns }});
