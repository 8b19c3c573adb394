-- The head of each lane, with all that it takes to send it. The binds: organizations, lanes.
SELECT d.organization_id, d.lane, d.event_id, d.failures::int, e.payload::text, w.url, w.disabled_at IS NULL, w.failing_since IS NOT NULL, w.resumed_at,
    ARRAY(
        SELECT s.sealed FROM webhook_secrets s
        WHERE s.organization_id = w.organization_id AND (s.ends_at IS NULL OR s.ends_at > now())
        ORDER BY s.generation DESC)
FROM unnest({}::uuid[], {}::uuid[]) AS l (organization_id, id)
CROSS JOIN LATERAL (
    SELECT * FROM deliveries p
    WHERE p.lane = l.id AND p.state = 'pending' AND p.organization_id IS NOT DISTINCT FROM l.organization_id
    ORDER BY p.sequence LIMIT 1
) AS d
JOIN events e ON e.organization_id = d.organization_id AND e.id = d.event_id
JOIN webhooks w ON w.organization_id = d.organization_id
