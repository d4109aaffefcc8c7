SELECT count(*)
FROM (SELECT DISTINCT {key} FROM {staging}) AS fresh
ANTI JOIN {target} AS held ON {same_key};
