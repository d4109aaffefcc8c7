-- Who waits for an answer, longest first. Without is_complete, an answer may exist that was not read.
select
    platform,
    page_id,
    conversation_id,
    waiting_since,
    covered_until,
    minutes,
    is_complete
from {{ source('meta_conversations', 'unanswered') }}
