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
)
SELECT o.slug
FROM organizations o
    LEFT JOIN credit_balances b ON b.organization_id = o.id
    LEFT JOIN last_entry l ON l.organization_id = o.id
WHERE b.organization_id IS NULL
    OR (b.available, b.held, b.settled, b.last_sequence)
        <> (coalesce(l.available_sum, 0), coalesce(l.held_sum, 0), coalesce(l.settled_sum, 0), coalesce(l.sequence, 0))
    OR o.id IN (SELECT organization_id FROM wrong_entry)
ORDER BY o.slug
