-- Claims due lanes, a share of the free slots for each organization. The binds: busy organizations, how many of their lanes
-- this sender has under way, where to look, its free slots, the claim, the lease in seconds.
WITH busy AS (
    SELECT * FROM unnest({}::uuid[], {}::bigint[]) AS b (organization_id, lanes)
),
waiting AS (SELECT DISTINCT organization_id FROM unnest({}::uuid[]) AS w (organization_id)),
ready AS (
    SELECT h.organization_id, h.resumed_at, h.failing_since IS NOT NULL AS is_failing, oldest.due_at
    FROM waiting JOIN webhooks h USING (organization_id)
    CROSS JOIN LATERAL (
        SELECT l.due_at FROM delivery_lanes l WHERE l.organization_id = h.organization_id AND l.due_at <= now() ORDER BY l.due_at LIMIT 1
    ) AS oldest
    WHERE h.disabled_at IS NULL
),
-- Whoever takes slots leaves more than it takes: some are always free for an endpoint that has none yet, how many of the others may hang.
share AS (
    SELECT f.free, greatest(1, f.free / (2 + (SELECT count(*) FROM (SELECT organization_id FROM ready UNION SELECT organization_id FROM busy) AS all_of_them))) AS slots
    FROM (SELECT {}::bigint AS free) AS f
),
-- Where there are fewer slots than organizations, those whose endpoints work come first: they give their slots back at once. Then who
-- has waited longest, so that each has its turn.
room AS (
    SELECT r.organization_id, r.resumed_at, greatest(0, s.slots - coalesce(b.lanes, 0)) AS slots
    FROM ready r CROSS JOIN share s LEFT JOIN busy b ON b.organization_id = r.organization_id
    ORDER BY r.is_failing, r.due_at
),
due AS (
    -- What has waited since before the webhook went on again: some of it may be news no longer.
    SELECT l.organization_id, l.id, l.due_at < r.resumed_at AS is_stale
    FROM room r
    CROSS JOIN LATERAL (
        SELECT d.organization_id, d.id, d.due_at FROM delivery_lanes d
        WHERE d.organization_id = r.organization_id AND d.due_at <= now()
        ORDER BY d.due_at
        LIMIT r.slots
        FOR UPDATE SKIP LOCKED
    ) AS l
    LIMIT (SELECT free FROM share)
)
UPDATE delivery_lanes lane SET claim = {}, due_at = now() + make_interval(secs => {})
FROM due WHERE lane.id = due.id AND lane.organization_id IS NOT DISTINCT FROM due.organization_id
RETURNING lane.organization_id, lane.id, due.is_stale IS TRUE
