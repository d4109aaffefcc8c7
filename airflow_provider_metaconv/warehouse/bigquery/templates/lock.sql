    UPDATE {{ lock }}
    SET locked_time = CURRENT_TIMESTAMP()
    WHERE TRUE;
    IF @@row_count = 0 THEN
        -- The lock table was emptied. Two loads may both insert a row now, but later loads conflict again.
        INSERT INTO {{ lock }} (locked_time) VALUES (CURRENT_TIMESTAMP());
    END IF;
