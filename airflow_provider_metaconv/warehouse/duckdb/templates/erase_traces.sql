UPDATE {{ table.target }} AS target
SET {% for name in traced %}{{ name }} = change.{{ name }}{{ "" if loop.last else ", " }}{% endfor %}

FROM changed_row AS change
WHERE target.rowid = change.row_number;
