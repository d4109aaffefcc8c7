{% include "erasure_functions.sql" %}

{% for table in tables if table.table in existing and table.table in conversations_of %}
{{ "" if loop.first else "UNION DISTINCT" }}
SELECT conversation_id
FROM {{ table.target }}
WHERE {{ conversations_of[table.table] }}
{% endfor %}
