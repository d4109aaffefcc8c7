{% for table in tables %}
DECLARE {{ table.name }}_incomplete INT64 DEFAULT 0;
DECLARE {{ table.name }}_begin, {{ table.name }}_end TIMESTAMP;
{% endfor %}
{% for table in tables %}
{% include "staging_stats.sql" %}
{% endfor %}
SELECT
{% for table in tables %}
    (
        SELECT COUNT(*)
        FROM (SELECT DISTINCT {{ table.key }} FROM {{ table.staged_key }}) AS source
{% if table.table in existing %}
        WHERE NOT EXISTS (
            SELECT 1
            FROM {{ table.target }} AS target
            WHERE {{ table.same_key }}{{ table.in_range }}
        )
{% endif %}
    ) AS {{ table.name }}{{ ";" if loop.last else "," }}
{% endfor %}
