SELECT count(*) FROM (SELECT DISTINCT {key} FROM {source});
