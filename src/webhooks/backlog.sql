-- What waits in the whole deployment: lanes with anything pending, $1 at most, and for how many seconds the one that waits
-- longest has been due.
WITH RECURSIVE walked AS (
    (SELECT organization_id FROM delivery_lanes ORDER BY organization_id LIMIT 1)
    UNION ALL
    SELECT (SELECT l.organization_id FROM delivery_lanes l WHERE l.organization_id > w.organization_id ORDER BY l.organization_id LIMIT 1)
    FROM walked w WHERE w.organization_id IS NOT NULL
)
SELECT (SELECT count(*) FROM (SELECT FROM delivery_lanes LIMIT $1) AS counted) AS lanes,
    coalesce(greatest(0, extract(epoch FROM now() - min(oldest.due_at))), 0)::float8 AS lag_s
FROM walked JOIN webhooks w USING (organization_id)
CROSS JOIN LATERAL (
    SELECT l.due_at FROM delivery_lanes l WHERE l.organization_id = w.organization_id ORDER BY l.due_at LIMIT 1
) AS oldest
WHERE w.disabled_at IS NULL
