-- The binds: organization, job, notify, now; ids, sequences, types, payloads of the events.
WITH given AS (SELECT {}::uuid AS organization, {}::uuid AS job, {}::bool AS notify, {}::timestamptz AS now),
news AS (
    SELECT * FROM unnest({}::uuid[], {}::int[], {}::text[], {}::text[]) AS n (id, sequence, event_type, payload)
),
-- Shared with other publishers, and held against who would remove the webhook, until this commits.
hook AS (
    SELECT w.organization_id FROM webhooks w, given g WHERE g.notify AND w.organization_id = g.organization FOR KEY SHARE OF w
),
written AS (
    INSERT INTO events (organization_id, job_id, sequence, id, event_type, payload, created_at)
    SELECT g.organization, g.job, n.sequence, n.id, n.event_type, n.payload::json, g.now FROM news n, given g
),
queued AS (
    INSERT INTO deliveries (organization_id, event_id, lane, sequence, event_type, state, attempts, failures)
    SELECT g.organization, n.id, coalesce(g.job, n.id), n.sequence, n.event_type, 'pending', 0, 0 FROM news n, given g, hook
)
-- A lane that is there keeps its time, but its lock is taken all the same: see the invariants.
INSERT INTO delivery_lanes AS lane (organization_id, id, due_at)
SELECT DISTINCT g.organization, coalesce(g.job, n.id), now() FROM news n, given g, hook
ON CONFLICT (id) DO UPDATE SET due_at = lane.due_at
