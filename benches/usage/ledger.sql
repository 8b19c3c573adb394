-- The ledger of the organization that is looked at: a tenth of what it paid for, each held and settled at once, and a grant each week.
CREATE TABLE bench_paid AS
SELECT row_number() OVER (ORDER BY at, id, kind) AS place, * FROM (
    SELECT p.at, kind, p.id, p.organization_id FROM bench_paid_requests p, generate_series(1, 2) kind
    UNION ALL
    SELECT g.at, 0, NULL, o.id FROM organizations o, generate_series(to_timestamp({first_ms} / 1000), to_timestamp({now_ms} / 1000), '7 days') g (at)
    WHERE o.slug = '{slug}'
) e;
INSERT INTO credit_entries (organization_id, sequence, at, kind, amount, held_amount, available_after, held_after, hold_id, request_id, actor, note)
SELECT organization_id, place, at, CASE kind WHEN 0 THEN 'grant' WHEN 1 THEN 'hold' ELSE 'settle' END,
    CASE kind WHEN 0 THEN 10000000 WHEN 1 THEN -1 ELSE 0 END, CASE kind WHEN 0 THEN 0 WHEN 1 THEN 1 ELSE -1 END,
    sum(CASE kind WHEN 0 THEN 10000000 WHEN 1 THEN -1 ELSE 0 END) OVER (ORDER BY place ROWS UNBOUNDED PRECEDING),
    sum(CASE kind WHEN 0 THEN 0 WHEN 1 THEN 1 ELSE -1 END) OVER (ORDER BY place ROWS UNBOUNDED PRECEDING), id, id,
    CASE kind WHEN 0 THEN 'Command line' ELSE 'Latchkey' END, CASE kind WHEN 0 THEN 'weekly' ELSE '' END
FROM bench_paid;
DROP TABLE bench_paid, bench_paid_requests;
ANALYZE credit_entries;
INSERT INTO credit_hours (organization_id, hour, last_sequence, available_after, held_after, settled, given)
SELECT h.organization_id, h.hour, h.last_sequence, e.available_after, e.held_after, h.settled, h.given
FROM (
    SELECT organization_id, date_trunc('hour', at, 'UTC') AS hour, max(sequence) AS last_sequence,
        coalesce(sum(-held_amount) FILTER (WHERE kind = 'settle'), 0) AS settled,
        coalesce(sum(amount) FILTER (WHERE kind IN ('grant', 'adjust')), 0) AS given
    FROM credit_entries GROUP BY 1, 2
) h JOIN credit_entries e ON e.organization_id = h.organization_id AND e.sequence = h.last_sequence;
UPDATE credit_balances b SET available = e.available_after, held = e.held_after, last_sequence = e.sequence,
    settled = (SELECT count(*) FROM credit_entries s WHERE s.organization_id = e.organization_id AND s.kind = 'settle')
FROM credit_entries e
WHERE e.organization_id = b.organization_id
    AND e.sequence = (SELECT max(sequence) FROM credit_entries l WHERE l.organization_id = e.organization_id);
