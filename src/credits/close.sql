-- The binds, each an array with one place an organization: organizations; available, held, settled, last_sequence of their
-- balances; the hour of their new entries, and what these settled and gave.
WITH moved AS (
    SELECT * FROM unnest({}::uuid[], {}::bigint[], {}::bigint[], {}::bigint[], {}::bigint[], {}::timestamptz[], {}::bigint[], {}::bigint[])
        AS m (organization_id, available, held, settled, last_sequence, hour, settled_now, given_now)
),
balances AS (
    UPDATE credit_balances b
    SET available = m.available, held = m.held, settled = m.settled, last_sequence = m.last_sequence
    FROM moved m
    WHERE b.organization_id = m.organization_id
)
INSERT INTO credit_hours AS h (organization_id, hour, last_sequence, available_after, held_after, settled, given)
SELECT organization_id, hour, last_sequence, available, held, settled_now, given_now FROM moved
ON CONFLICT (organization_id, hour) DO UPDATE SET
    last_sequence = excluded.last_sequence,
    available_after = excluded.available_after,
    held_after = excluded.held_after,
    settled = h.settled + excluded.settled,
    given = h.given + excluded.given
