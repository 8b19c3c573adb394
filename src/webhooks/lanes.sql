-- What becomes of lanes: 'done' ends one, 'go_on' keeps its claim, 'wait' gives it back. The binds: organizations, lanes, steps,
-- seconds until it is due, or until the claim lapses.
WITH given AS (
    SELECT * FROM unnest({}::uuid[], {}::uuid[], {}::text[], {}::float8[]) AS g (organization_id, id, step, wait_s)
),
done AS (
    DELETE FROM delivery_lanes l USING given g
    WHERE g.step = 'done' AND l.id = g.id AND l.organization_id IS NOT DISTINCT FROM g.organization_id
)
UPDATE delivery_lanes l SET
    due_at = now() + make_interval(secs => g.wait_s),
    claim = CASE g.step WHEN 'go_on' THEN l.claim END
FROM given g
WHERE g.step <> 'done' AND l.id = g.id AND l.organization_id IS NOT DISTINCT FROM g.organization_id
