CREATE TEMP FUNCTION listed(nested JSON) AS (
    IF(JSON_TYPE(nested) = 'array', JSON_QUERY_ARRAY(nested, '$'), ARRAY<JSON>[])
);
CREATE TEMP FUNCTION names_one(nested JSON, ids ARRAY<STRING>) AS (
    EXISTS (
        SELECT 1
        FROM UNNEST(listed(nested)) AS entry
        WHERE JSON_VALUE(entry, '$.id') IN UNNEST(ids)
    )
);
CREATE TEMP FUNCTION has_reaction_of_one(nested JSON, ids ARRAY<STRING>) AS (
    EXISTS (
        SELECT 1
        FROM UNNEST(listed(nested)) AS reaction
        WHERE names_one(JSON_QUERY(reaction, '$.users'), ids) OR names_one(JSON_QUERY(reaction, '$.users.data'), ids)
    )
);
CREATE TEMP FUNCTION mentions_one(nested JSON, ids ARRAY<STRING>) AS (
    EXISTS (
        SELECT 1
        FROM UNNEST(REGEXP_EXTRACT_ALL(TO_JSON_STRING(nested), r'\w+')) AS word
        WHERE word IN UNNEST(ids)
    )
);
