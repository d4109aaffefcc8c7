{% for table in tables %}
DECLARE {{ table.name }}_distinct, {{ table.name }}_incomplete INT64 DEFAULT 0;
DECLARE {{ table.name }}_updated, {{ table.name }}_inserted INT64 DEFAULT 0;
DECLARE {{ table.name }}_begin, {{ table.name }}_end TIMESTAMP;
{% endfor %}
DECLARE conversation_gaps_adopted INT64 DEFAULT 0;
DECLARE counted_begin, counted_end TIMESTAMP;
DECLARE counted_pages ARRAY<STRING>;
DECLARE policies ARRAY<STRING>;

-- A version is less complete if its content_status ranks lower, or if the status is equal and the sender, the text or
-- attachments are missing.
CREATE TEMP FUNCTION completeness_rank(
    status STRING, sender STRING, body STRING, attachments JSON, shares JSON, story JSON
) AS (
    9 * CASE status {{ content_status_ranks }} END
    + 2 * IF(sender IS NULL, 1, 0)
    + 2 * IF(COALESCE(body, '') = '', 1, 0)
    + 2 * IF(attachments IS NULL, 1, 0)
    + IF(shares IS NULL, 1, 0)
    + IF(story IS NULL, 1, 0)
);

-- Parquet has no required columns, so neither have the staging tables. Rows without a required value are counted here.
{% for table in staged %}
{% include "staging_stats.sql" %}
{% endfor %}

IF {% for table in tables %}{{ "" if loop.first else " AND " }}{{ table.name }}_incomplete = 0{% endfor %} THEN
{% include "lock_table.sql" %}

    BEGIN TRANSACTION;
{% include "lock.sql" %}

{% include "policies.sql" %}

    IF {{ "TRUE" if mixes_policies else "ARRAY_LENGTH(policies) < 2" }} THEN
{# Before the first merge, because these gaps are derived from the conversations as they were before this load. #}
{% include "adopt_earlier_gaps.sql" %}

{% for table in merged %}
{% include "merge_" ~ table.name ~ ".sql" %}

{% endfor %}
{% include "count_gaps.sql" %}

{% include "close_gaps.sql" %}

{% include "total_conversations.sql" %}

    END IF;
    COMMIT TRANSACTION;
END IF;

SELECT
{% for table in tables %}
    {{ table.name }}_distinct AS {{ table.name }}_distinct,
    {{ table.name }}_incomplete AS {{ table.name }}_incomplete,
    {{ table.name }}_updated AS {{ table.name }}_updated,
    {{ table.name }}_inserted AS {{ table.name }}_inserted,
{% endfor %}
    conversation_gaps_adopted AS conversation_gaps_adopted,
    {{ "''" if mixes_policies else "IF(ARRAY_LENGTH(policies) < 2, '', ARRAY_TO_STRING(policies, ', '))" }} AS conflicting_policies;
