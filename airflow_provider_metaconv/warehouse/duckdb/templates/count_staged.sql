SELECT count(*) FROM {source};
