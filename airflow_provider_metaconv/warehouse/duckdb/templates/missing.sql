SELECT count(*)
FROM (SELECT DISTINCT {key} FROM {source}) AS source
ANTI JOIN {target} AS target ON {same_key};
