-- A reaction alone is no conversation: it can be to a message of somebody else.
SELECT conversation_id
FROM {{ messages.target }}
WHERE {{ is_person["sender_id"] }}
    OR {{ holds["recipients"] }}
UNION
SELECT conversation_id
FROM {{ conversations.target }}
WHERE {{ holds["participants"] }}
UNION
SELECT conversation_id
FROM {{ conversation_gaps.target }}
WHERE {{ is_person["user_id"] }};
