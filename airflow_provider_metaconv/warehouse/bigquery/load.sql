{declarations}

-- Parquet cannot say "required", so staging does not either: rows that lack such a value are counted here.
{facts}

IF {nothing_incomplete} THEN
    -- Two transactions that only insert do not conflict, and both could insert the same key. Each load changes this one
    -- row first, so that of two loads at once one is refused, and tried again.
    CREATE TABLE IF NOT EXISTS {lock}
    OPTIONS (description = 'One row that every load of conversations changes, so that two never merge at once.')
    AS SELECT CURRENT_TIMESTAMP() AS locked_time;

    BEGIN TRANSACTION;
    UPDATE {lock} SET locked_time = CURRENT_TIMESTAMP() WHERE TRUE;
    IF @@row_count = 0 THEN
        -- Somebody has emptied it: a row that two loads insert at once would keep nobody out, but one of the next will.
        INSERT INTO {lock} (locked_time) VALUES (CURRENT_TIMESTAMP());
    END IF;

{merges}

    COMMIT TRANSACTION;
END IF;

SELECT {results};
