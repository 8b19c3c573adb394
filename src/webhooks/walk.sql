-- Organizations with anything that waits, in the order of their ids, and whether any of it is to be sent now. Found by skipping along
-- the index: two probes each, however long their lists. The binds: after which, how many.
WITH RECURSIVE walked AS (
    (SELECT organization_id, 1 AS place FROM delivery_lanes WHERE organization_id > {} ORDER BY organization_id LIMIT 1)
    UNION ALL
    SELECT (SELECT l.organization_id FROM delivery_lanes l WHERE l.organization_id > w.organization_id ORDER BY l.organization_id LIMIT 1),
        w.place + 1
    FROM walked w WHERE w.organization_id IS NOT NULL AND w.place < {}
)
SELECT w.organization_id, EXISTS (SELECT FROM delivery_lanes l WHERE l.organization_id = w.organization_id AND l.due_at <= now() OFFSET 0)
FROM walked w
WHERE w.organization_id IS NOT NULL
ORDER BY w.organization_id
