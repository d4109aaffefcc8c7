    -- Two transactions that only insert do not conflict, and both could insert the same key. Each load updates this one
    -- row first, so that one of two concurrent loads is rejected and retried.
    CREATE TABLE IF NOT EXISTS {{ lock }}
    OPTIONS (description = 'One row that every load of conversations changes, so that two never merge at once.')
    AS SELECT CURRENT_TIMESTAMP() AS locked_time;
