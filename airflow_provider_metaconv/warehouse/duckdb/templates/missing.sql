SELECT count(*) AS missing
FROM (SELECT DISTINCT {{ table.key }} FROM {{ table.source }}) AS source
{%- if table_exists +%}
ANTI JOIN {{ table.target }} AS target ON {{ table.same_key }}
{%- endif %};
