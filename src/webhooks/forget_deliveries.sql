-- Drops old deliveries that are over, with their attempts. $1 the least event id that stays, $2 how many.
WITH old AS (
    SELECT d.organization_id, d.event_id
    FROM organizations o
    CROSS JOIN LATERAL (
        SELECT organization_id, event_id FROM deliveries
        WHERE organization_id = o.id AND event_id < $1 AND state <> 'pending'
        ORDER BY event_id
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ) AS d
    LIMIT $2
),
attempts AS (
    DELETE FROM delivery_attempts a USING old WHERE a.organization_id = old.organization_id AND a.event_id = old.event_id
)
DELETE FROM deliveries d USING old WHERE d.organization_id = old.organization_id AND d.event_id = old.event_id
