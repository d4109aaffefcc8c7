{% include "erasure_functions.sql" %}

SELECT
{% for table in tables %}
{% if table.table in existing %}
    (
        SELECT COUNT(*)
        FROM {{ table.target }}
        WHERE {{ found[table.name] }}
    ) AS {{ table.name }}{{ ";" if loop.last else "," }}
{% else %}
    0 AS {{ table.name }}{{ ";" if loop.last else "," }}
{% endif %}
{% endfor %}
