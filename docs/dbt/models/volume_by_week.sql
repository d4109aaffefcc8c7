-- Messages by week, of which only complete weeks should be compared.
select
    platform,
    page_id,
    {{ dbt.date_trunc('week', 'day') }} as week,
    direction,
    sum(messages) as messages,
    count(*) as days,
    count(*) = 7 and min(case when is_complete then 1 else 0 end) = 1 as is_complete
from {{ source('meta_conversations', 'daily_volume') }}
group by platform, page_id, {{ dbt.date_trunc('week', 'day') }}, direction
