-- Ended secrets of an organization, newest end first, each with its receipt.
-- $1 organization, $2 now, $3 how many, $4 where counting refused requests stops.
WITH ended AS (
    SELECT k.id AS key_id, k.name, k.environment, s.generation, s.prefix, s.created_at, s.created_by,
           LEAST(s.ends_at, k.expires_at) AS ended_at,
           s.ends_at <= coalesce(k.expires_at, 'infinity') AS by_hand, s.end_reason, s.ended_by,
           (SELECT n.created_at FROM api_key_secrets n WHERE n.key_id = s.key_id AND n.generation = s.generation + 1) AS replaced_at
    FROM api_keys k JOIN api_key_secrets s ON s.key_id = k.id
    WHERE k.organization_id = $1 AND LEAST(s.ends_at, k.expires_at) <= $2
    ORDER BY ended_at DESC, s.key_id, s.generation DESC
    LIMIT $3
), bounded AS (
    -- Least request ids of these moments. Five seconds more on either side: a request arrives before it is decided,
    -- and is decided before or after the commit that ends a secret.
    SELECT e.*,
           (lpad(to_hex(floor(extract(epoch FROM e.created_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid AS born,
           (lpad(to_hex(floor(extract(epoch FROM e.ended_at) * 1000)::bigint - 5000), 12, '0') || repeat('0', 20))::uuid AS before_end,
           (lpad(to_hex(floor(extract(epoch FROM e.ended_at) * 1000)::bigint + 5000), 12, '0') || repeat('0', 20))::uuid AS after_end,
           (lpad(to_hex(floor(extract(epoch FROM coalesce(e.replaced_at, e.ended_at)) * 1000)::bigint + 5000), 12, '0')
               || repeat('0', 20))::uuid AS after_replaced
    FROM ended e
)
SELECT b.key_id, b.name, b.environment, b.generation, b.prefix, b.created_at, b.created_by, b.ended_at,
       CASE WHEN b.by_hand THEN b.end_reason ELSE 'expired' END AS reason,
       CASE WHEN b.by_hand THEN b.ended_by END AS ended_by,
       a.at AS accepted_at, a.method AS accepted_method, a.path AS accepted_path, a.address AS accepted_address,
       f.at AS first_at, f.method AS first_method, f.path AS first_path, f.address AS first_address,
       l.at AS latest_at, l.user_agent AS latest_user_agent, l.address AS latest_address, l.status AS latest_status,
       c.refused
FROM bounded b
LEFT JOIN LATERAL (
    SELECT * FROM (
        -- During grace, and before it: two ranges, each on the index that is lean there.
        (SELECT r.id, r.at, r.method, r.path, r.address FROM requests r
         WHERE r.organization_id = $1 AND r.key_id = b.key_id AND r.generation = b.generation AND r.stale
           AND r.id < b.after_end AND r.outcome = 'accepted'
         ORDER BY r.id DESC LIMIT 1)
        UNION ALL
        (SELECT r.id, r.at, r.method, r.path, r.address FROM requests r
         WHERE r.organization_id = $1 AND r.key_id = b.key_id AND r.generation = b.generation AND NOT r.stale
           AND r.id >= b.born AND r.id < b.after_replaced AND r.outcome = 'accepted'
         ORDER BY r.id DESC LIMIT 1)
    ) x ORDER BY x.id DESC LIMIT 1
) a ON true
LEFT JOIN LATERAL (
    SELECT * FROM requests r
    WHERE r.organization_id = $1 AND r.key_id = b.key_id AND r.generation = b.generation AND r.stale
      AND r.id >= b.before_end AND r.outcome IN ('revoked', 'expired')
    ORDER BY r.id LIMIT 1
) f ON true
LEFT JOIN LATERAL (
    SELECT * FROM requests r
    WHERE r.organization_id = $1 AND r.key_id = b.key_id AND r.generation = b.generation AND r.stale
      AND r.id >= b.before_end AND r.outcome IN ('revoked', 'expired')
    ORDER BY r.id DESC LIMIT 1
) l ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS refused FROM (
        SELECT 1 FROM requests r
        WHERE r.organization_id = $1 AND r.key_id = b.key_id AND r.generation = b.generation AND r.stale
          AND r.id >= b.before_end AND r.outcome IN ('revoked', 'expired')
        LIMIT $4
    ) x
) c
ORDER BY b.ended_at DESC, b.key_id, b.generation DESC
