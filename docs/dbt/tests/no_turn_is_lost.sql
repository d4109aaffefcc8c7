-- Every turn is counted on one day. dbt expects no rows.
select sum(turns) as counted
from {{ ref('answers_by_day') }}
having sum(turns) <> (select count(*) from {{ source('meta_conversations', 'reply_times') }})
