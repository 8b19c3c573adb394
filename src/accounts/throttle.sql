-- Counts one attempt of a subject unless it is blocked; no row comes back for one that is.
INSERT INTO sign_in_throttles AS t (subject, failures, failed_at, blocked_until)
VALUES ($1, 1, $2, $2)
ON CONFLICT (subject) DO UPDATE SET
    failures = CASE WHEN t.failed_at <= $2 - interval '1 day' THEN 1 ELSE LEAST(t.failures + 1, 1000000) END,
    failed_at = $2,
    blocked_until = CASE
        WHEN t.failed_at <= $2 - interval '1 day' OR t.failures + 1 <= $3 THEN $2
        ELSE $2 + make_interval(secs => LEAST(900, power(2, LEAST(t.failures - $3, 30)))) END
WHERE t.blocked_until <= $2
RETURNING failures
