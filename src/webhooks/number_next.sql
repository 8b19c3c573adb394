-- Numbers the oldest events without a number. $1 the organization, $2 how many; the caller holds the organization's feed lock.
WITH oldest AS (
    SELECT id, job_id, sequence, row_number() OVER (ORDER BY id) AS turn
    FROM (
        SELECT id, job_id, sequence FROM events
        WHERE organization_id = $1 AND number IS NULL
        ORDER BY id
        LIMIT $2
    ) AS head
),
-- With each of them the events of its job that go first, whatever their ids are: the clocks of two instances may differ.
due AS (
    SELECT id, sequence, min(turn) AS turn
    FROM (
        SELECT id, sequence, turn FROM oldest
        UNION ALL
        SELECT e.id, e.sequence, o.turn
        FROM oldest o
        -- By the job alone, whose events are few. The planner, left free, would look through all that have no number.
        CROSS JOIN LATERAL (
            SELECT * FROM events WHERE job_id = o.job_id AND sequence < o.sequence OFFSET 0
        ) AS e
        WHERE e.organization_id = $1 AND e.number IS NULL
    ) AS both_kinds
    GROUP BY id, sequence
),
last AS (SELECT coalesce(max(number), 0) AS number FROM events WHERE organization_id = $1),
-- A turn is one event and what goes before it in its job: there, the sequence decides.
placed AS (SELECT d.id, last.number + row_number() OVER (ORDER BY d.turn, d.sequence) AS number FROM due d, last)
UPDATE events e SET number = placed.number
FROM placed
WHERE e.organization_id = $1 AND e.id = placed.id
