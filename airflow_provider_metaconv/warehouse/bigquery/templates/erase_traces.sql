-- Only if the row is still as it was read: a load may have changed it since. Then the person is found again below.
UPDATE {{ table.target }} AS target
SET {% for name in traces_of[table.table] %}{{ name }} = PARSE_JSON(change.{{ name }}_after, wide_number_mode => 'round'){{ "" if loop.last else ", " }}{% endfor %}

FROM (
    SELECT
        JSON_VALUE(entry, '$.platform') AS platform,
        JSON_VALUE(entry, '$.page_id') AS page_id,
        JSON_VALUE(entry, '$.id') AS id,
{% for name in traces_of[table.table] %}
        JSON_VALUE(entry, '$.{{ name }}') AS {{ name }}_after,
        JSON_VALUE(entry, '$.{{ name }}_before') AS {{ name }}_before{{ "" if loop.last else "," }}
{% endfor %}
    FROM UNNEST(JSON_QUERY_ARRAY(PARSE_JSON(@{{ table.name }}_changes, wide_number_mode => 'round'))) AS entry
) AS change
WHERE target.platform = change.platform
    AND target.page_id = change.page_id
    AND target.{{ table.table.key[-1] }} = change.id
{% for name in traces_of[table.table] %}
    AND {{ digest_of[name] }} IS NOT DISTINCT FROM change.{{ name }}_before{{ ";" if loop.last else "" }}
{% endfor %}
