-- The sequence of an organization's last entry before a moment; 0 where there is none. $1 organization, $2 moment.
-- `at` never runs backwards along `sequence`, so halving finds it; the hours tell between which entries.
WITH RECURSIVE search (low, high) AS (
    SELECT coalesce(earlier.last_sequence, 0), coalesce(same.last_sequence, earlier.last_sequence, 0)
    FROM (SELECT) one
        LEFT JOIN (
            SELECT last_sequence FROM credit_hours
            WHERE organization_id = $1 AND hour < date_trunc('hour', $2, 'UTC') ORDER BY hour DESC LIMIT 1
        ) earlier ON true
        LEFT JOIN (
            SELECT last_sequence FROM credit_hours WHERE organization_id = $1 AND hour = date_trunc('hour', $2, 'UTC')
        ) same ON true
    UNION ALL
    SELECT CASE WHEN e.at < $2 THEN e.sequence ELSE s.low END, CASE WHEN e.at < $2 THEN s.high ELSE e.sequence - 1 END
    FROM search s
        CROSS JOIN LATERAL (
            SELECT at, sequence FROM credit_entries WHERE organization_id = $1 AND sequence = (s.low + s.high + 1) / 2
        ) e
    WHERE s.low < s.high
)
SELECT low AS sequence FROM search WHERE low = high
