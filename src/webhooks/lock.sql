-- Locks lanes, in one order for everybody, and tells who has them. The binds: organizations, lanes.
SELECT l.organization_id, l.id, l.claim
FROM unnest({}::uuid[], {}::uuid[]) AS a (organization_id, id)
JOIN delivery_lanes l ON l.id = a.id AND l.organization_id IS NOT DISTINCT FROM a.organization_id
ORDER BY l.organization_id, l.id
FOR UPDATE OF l
