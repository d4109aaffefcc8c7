-- Keep the staged version of each gap that was extracted last.
DELETE FROM {{ conversation_gaps.source }}
WHERE rowid IN (
    SELECT rowid
    FROM {{ conversation_gaps.source }}
    QUALIFY row_number() OVER (PARTITION BY {{ conversation_gaps.key }} ORDER BY extracted_time DESC NULLS LAST, rowid DESC) > 1
);

-- The version extracted last is kept, including its number of listed messages that have no row. count_gaps.sql replaces
-- the counts, so they are not compared here.
MERGE INTO {{ conversation_gaps.target }} AS target
USING {{ conversation_gaps.source }} AS source
ON ({{ conversation_gaps.same_key }})
WHEN MATCHED
    AND coalesce(source.extracted_time, '-infinity'::TIMESTAMPTZ)
        >= coalesce(target.extracted_time, '-infinity'::TIMESTAMPTZ)
    AND ({{ conversation_gaps.any_difference }})
    THEN UPDATE SET {{ conversation_gaps.source_values }}
WHEN NOT MATCHED THEN INSERT ({{ conversation_gaps.columns }}) VALUES ({{ conversation_gaps.source_columns }});
