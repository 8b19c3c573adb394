-- Writes attempts and what they mean for their deliveries, and tells which of those are over. The binds: one array a column
-- of `a`.
WITH given AS (
    SELECT * FROM unnest(
        {}::uuid[], {}::uuid[], {}::text[], {}::timestamptz[], {}::text[], {}::text[], {}::smallint[], {}::text[], {}::text[],
        {}::bool[], {}::text[], {}::text[], {}::int[], {}::int[], {}::int[], {}::int[], {}::int[]
    ) AS a (
        organization_id, event_id, ending, at, request, address, status, answer_head, answer_body,
        answer_is_cut, failure, failure_message, dns_us, connect_us, tls_us, first_byte_us, total_us)
    -- When the answer to a commit is lost, its attempts come again. OFFSET keeps this a probe for each of them.
    WHERE NOT EXISTS (
        SELECT FROM delivery_attempts t WHERE t.organization_id = a.organization_id AND t.event_id = a.event_id AND t.at = a.at OFFSET 0)
),
-- `ending` is what the attempt ends its delivery with: 'delivered' always does, 'gave_up' only what is pending. 'pending' leaves
-- it so and counts as none of its tries, null is a try that failed.
ended AS (
    UPDATE deliveries d SET
        attempts = d.attempts + 1,
        failures = d.failures + (coalesce(g.ending, 'gave_up') = 'gave_up')::int,
        state = CASE WHEN g.ending = 'delivered' OR d.state = 'pending' THEN coalesce(g.ending, d.state) ELSE d.state END,
        finished_at = CASE
            WHEN g.ending = 'delivered' AND d.state <> 'delivered' OR d.state = 'pending' AND g.ending = 'gave_up' THEN now()
            ELSE d.finished_at END,
        last_status = g.status,
        last_failure = g.failure,
        last_duration_us = g.total_us
    FROM given g
    WHERE d.organization_id = g.organization_id AND d.event_id = g.event_id
    RETURNING d.organization_id, d.event_id, d.attempts, d.state, CASE WHEN d.finished_at = now() THEN d.state END AS became
),
figures AS (
    INSERT INTO delivery_minutes AS m (organization_id, minute, delivered, gave_up)
    SELECT organization_id, date_trunc('minute', now(), 'UTC'),
        count(*) FILTER (WHERE became = 'delivered'), count(*) FILTER (WHERE became = 'gave_up')
    FROM ended WHERE became IS NOT NULL GROUP BY organization_id ORDER BY organization_id
    ON CONFLICT (organization_id, minute) DO UPDATE SET delivered = m.delivered + excluded.delivered, gave_up = m.gave_up + excluded.gave_up
),
written AS (
    INSERT INTO delivery_attempts (
        organization_id, event_id, number, at, request, address, status, answer_head, answer_body,
        answer_is_cut, failure, failure_message, dns_us, connect_us, tls_us, first_byte_us, total_us)
    SELECT g.organization_id, g.event_id, e.attempts, g.at, g.request, g.address, g.status, g.answer_head, g.answer_body,
        g.answer_is_cut, g.failure, g.failure_message, g.dns_us, g.connect_us, g.tls_us, g.first_byte_us, g.total_us
    FROM given g JOIN ended e USING (organization_id, event_id)
)
SELECT organization_id, event_id FROM ended WHERE state <> 'pending'
