INSERT INTO {target} ({columns})
SELECT {columns}
FROM {staging} AS fresh
ANTI JOIN {target} AS held ON {same_key};
