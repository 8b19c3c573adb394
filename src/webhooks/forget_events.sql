-- Drops old events that have no delivery, or none any more. $1 the least event id that stays, $2 how many. The last of an
-- organization's feed stays whatever its age: it is the place of a reader who has read everything.
DELETE FROM events e
USING (
    SELECT old.organization_id, old.id
    FROM organizations o
    CROSS JOIN LATERAL (SELECT max(l.number) AS number FROM events l WHERE l.organization_id = o.id) AS last
    CROSS JOIN LATERAL (
        SELECT n.organization_id, n.id FROM events n
        WHERE n.organization_id = o.id AND n.id < $1 AND n.number IS DISTINCT FROM coalesce(last.number, 0)
            AND NOT EXISTS (SELECT FROM deliveries d WHERE d.organization_id = o.id AND d.event_id = n.id)
        ORDER BY n.id
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ) AS old
    LIMIT $2
) AS gone
WHERE e.organization_id = gone.organization_id AND e.id = gone.id
