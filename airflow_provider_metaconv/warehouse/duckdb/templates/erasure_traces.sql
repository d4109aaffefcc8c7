SELECT rowid, {{ traced | join(", ") }}
FROM {{ table.target }}
WHERE {{ traces[table.table.name] }};
