-- How fast a Page answers, by day in UTC. A day is complete if every reply time in it is.
select
    platform,
    page_id,
    cast(asked_time as date) as day,
    count(*) as turns,
    count(answered_time) as answered,
    avg(minutes) as average_minutes,
    sum(case when minutes < 60 then 1 else 0 end) as answered_within_an_hour,
    min(case when is_complete then 1 else 0 end) = 1 as is_complete
from {{ source('meta_conversations', 'reply_times') }}
group by platform, page_id, cast(asked_time as date)
