-- Select the staged version of each gap that was extracted last.
CREATE TEMP TABLE source_conversation_gaps AS
SELECT {{ conversation_gaps.columns }}
FROM (
    SELECT {{ conversation_gaps.columns }} FROM {{ conversation_gaps.staged }}
    UNION ALL
    SELECT {{ conversation_gaps.columns }} FROM adopted_gap
) AS version
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY {{ conversation_gaps.key }} ORDER BY extracted_time DESC NULLS LAST, TO_JSON_STRING(version)
) = 1;

SET conversation_gaps_distinct = (SELECT COUNT(*) FROM source_conversation_gaps);
IF conversation_gaps_distinct > 0 THEN
    SET conversation_gaps_inserted = (
        SELECT COUNT(*)
        FROM source_conversation_gaps AS source
        WHERE NOT EXISTS (
            SELECT 1
            FROM {{ conversation_gaps.target }} AS target
            WHERE {{ conversation_gaps.same_key }}
        )
    );

    -- The version extracted last is kept, including its number of listed messages that have no row. count_gaps.sql replaces
    -- the counts, so they are not compared here.
    MERGE {{ conversation_gaps.target }} AS target
    USING source_conversation_gaps AS source
    ON {{ conversation_gaps.same_key }}
    WHEN MATCHED
        AND COALESCE(source.extracted_time, {{ first_moment }}) >= COALESCE(target.extracted_time, {{ first_moment }})
        AND ({{ conversation_gaps.any_difference }})
        THEN UPDATE SET {{ conversation_gaps.source_values }}
    WHEN NOT MATCHED THEN INSERT ({{ conversation_gaps.columns }}) VALUES ({{ conversation_gaps.source_columns }});
    SET conversation_gaps_updated = @@row_count - conversation_gaps_inserted;
END IF;
