DECLARE {name}_distinct, {name}_incomplete, {name}_updated, {name}_inserted INT64 DEFAULT 0;
DECLARE {name}_begin, {name}_end TIMESTAMP;
