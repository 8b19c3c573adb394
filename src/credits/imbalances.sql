WITH running AS (
    SELECT organization_id, sequence, available_after, held_after,
        row_number() OVER in_order AS expected_sequence,
        sum(amount) OVER in_order AS available_sum,
        sum(held_amount) OVER in_order AS held_sum,
        sum(CASE kind WHEN 'settle' THEN -held_amount ELSE 0 END) OVER in_order AS settled_sum
    FROM credit_entries
    WINDOW in_order AS (PARTITION BY organization_id ORDER BY sequence)
), wrong_entry AS (
    SELECT organization_id FROM running
    WHERE sequence <> expected_sequence OR available_after <> available_sum OR held_after <> held_sum
), last_entry AS (
    SELECT DISTINCT ON (organization_id) * FROM running ORDER BY organization_id, sequence DESC
), by_hour AS (
    SELECT organization_id, date_trunc('hour', at, 'UTC') AS hour, max(sequence) AS last_sequence,
        coalesce(sum(-held_amount) FILTER (WHERE kind = 'settle'), 0) AS settled,
        coalesce(sum(amount) FILTER (WHERE kind IN ('grant', 'adjust')), 0) AS given
    FROM credit_entries
    GROUP BY 1, 2
), wrong_hour AS (
    SELECT coalesce(s.organization_id, h.organization_id) AS organization_id
    FROM by_hour s
        LEFT JOIN credit_entries e ON e.organization_id = s.organization_id AND e.sequence = s.last_sequence
        FULL JOIN credit_hours h ON h.organization_id = s.organization_id AND h.hour = s.hour
    WHERE (s.last_sequence, e.available_after, e.held_after, s.settled, s.given)
        IS DISTINCT FROM (h.last_sequence, h.available_after, h.held_after, h.settled, h.given)
)
SELECT o.slug
FROM organizations o
    LEFT JOIN credit_balances b ON b.organization_id = o.id
    LEFT JOIN last_entry l ON l.organization_id = o.id
WHERE b.organization_id IS NULL
    OR (b.available, b.held, b.settled, b.last_sequence)
        <> (coalesce(l.available_sum, 0), coalesce(l.held_sum, 0), coalesce(l.settled_sum, 0), coalesce(l.sequence, 0))
    OR o.id IN (SELECT organization_id FROM wrong_entry)
    OR o.id IN (SELECT organization_id FROM wrong_hour)
ORDER BY o.slug
