-- Between these times lie the staged rows. BigQuery reads no partition beyond them: variables count as constants.
FOR staged IN (
    SELECT
        COUNTIF({lacks_required}) AS incomplete,
        TIMESTAMP_SUB(MIN({partition_column}), INTERVAL 1 DAY) AS first_moment,
        TIMESTAMP_ADD(MAX({partition_column}), INTERVAL 1 DAY) AS last_moment
    FROM {staged_required}
) DO
    SET {name}_incomplete = (staged.incomplete);
    SET {name}_begin = (staged.first_moment);
    SET {name}_end = (staged.last_moment);
END FOR;
