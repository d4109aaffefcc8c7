DECLARE erased_people ARRAY<STRING> DEFAULT @erased_people;
DECLARE erased_conversations ARRAY<STRING> DEFAULT @erased_conversations;
DECLARE counted_begin, counted_end TIMESTAMP;
DECLARE counted_pages ARRAY<STRING>;
DECLARE is_erased BOOL DEFAULT FALSE;
{% for table in tables %}
DECLARE {{ table.name }}_found INT64 DEFAULT 0;
{% endfor %}

{% include "erasure_functions.sql" %}

{% include "lock_table.sql" %}

BEGIN TRANSACTION;
{% include "lock.sql" %}

{% for table in tables %}
SET {{ table.name }}_found = (
    SELECT COUNT(*)
    FROM {{ table.target }}
    WHERE {{ found[table.name] }}
);
{% endfor %}

-- The deleted rows stand in for a load's: the ledger's steps then count again what they have touched.
{% for table in tables %}
CREATE TEMP TABLE {{ table.source }} AS
SELECT {{ touching[table.name] }}
FROM {{ table.target }}
WHERE {{ erased[table.name] }};

{% endfor %}
{% for table in tables %}
DELETE FROM {{ table.target }}
WHERE {{ erased[table.name] }};
{% endfor %}

{% for table in tables if table.table in traces_of %}
{% include "erase_traces.sql" %}

{% endfor %}
{% include "erase_time_ranges.sql" %}

{% include "count_gaps.sql" %}

{% include "close_gaps.sql" %}

{% include "total_conversations.sql" %}

SET is_erased = NOT EXISTS (
{% for table in tables %}
    {{ "" if loop.first else "UNION ALL " }}SELECT 1
    FROM {{ table.target }}
    WHERE {{ found[table.name] }}
{% endfor %}
);
IF is_erased THEN
    COMMIT TRANSACTION;
ELSE
    ROLLBACK TRANSACTION;
END IF;

SELECT
    is_erased AS is_erased,
{% for table in tables %}
    {{ table.name }}_found AS {{ table.name }}{{ ";" if loop.last else "," }}
{% endfor %}
