SELECT
{% for table in (messages, conversations, conversation_gaps, extraction_windows) %}
    (
        SELECT count(*)
        FROM {{ table.target }}
        WHERE {{ erased[table.table.name] }}{{ " OR " if traces[table.table.name] }}{{ traces[table.table.name] }}
    ) AS {{ table.table.name }}{{ ";" if loop.last else "," }}
{% endfor %}
