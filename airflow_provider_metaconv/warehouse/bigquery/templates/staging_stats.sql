-- The time range of the staged rows. BigQuery prunes partitions outside it, because variables count as constants.
FOR staged IN (
    SELECT
        COUNTIF({{ table.lacks_required }}) AS incomplete,
        TIMESTAMP_SUB(MIN({{ table.partition_column }}), INTERVAL 1 DAY) AS first_moment,
        TIMESTAMP_ADD(MAX({{ table.partition_column }}), INTERVAL 1 DAY) AS last_moment
    FROM {{ table.staged_required }}
) DO
    SET {{ table.name }}_incomplete = (staged.incomplete);
    SET {{ table.name }}_begin = (staged.first_moment);
    SET {{ table.name }}_end = (staged.last_moment);
END FOR;
