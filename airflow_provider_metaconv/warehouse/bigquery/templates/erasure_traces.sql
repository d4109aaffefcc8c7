{% include "erasure_functions.sql" %}

SELECT
    platform, page_id, {{ table.table.key[-1] }} AS id,
{% for name in traced %}
    {{ text_of[name] }} AS {{ name }},
    {{ digest_of[name] }} AS {{ name }}_before{{ "" if loop.last else "," }}
{% endfor %}
FROM {{ table.target }}
WHERE ({{ traces[table.name] }}) AND COALESCE({{ erased[table.name] }}, FALSE) IS FALSE;
