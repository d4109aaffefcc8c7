-- The deleted rows stand in for a load's: the ledger's steps then count again what they have touched.
{% for table in (messages, conversations, conversation_gaps, extraction_windows) %}
CREATE OR REPLACE TEMP TABLE {{ table.source }} AS
SELECT {{ touching[table.table.name] }}
FROM {{ table.target }}
WHERE {{ erased[table.table.name] }};

{% endfor %}
{% for table in (messages, conversations, conversation_gaps, extraction_windows) %}
DELETE FROM {{ table.target }}
WHERE {{ erased[table.table.name] }};
{% endfor %}
