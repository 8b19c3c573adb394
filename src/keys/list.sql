-- Keys of an organization with what the screens say about each.
-- $1 organization, $2 now, $3 the first of the last 24 hours, $4 one key or null for all.
WITH counts AS MATERIALIZED (
    SELECT c.key_id, (extract(epoch FROM c.hour - $3) / 3600)::integer AS hour, sum(c.requests)::int8 AS requests
    FROM (
        SELECT u.key_id, u.starts_at AS hour, u.requests FROM usage_hours u
        WHERE u.organization_id = $1 AND u.key_id = ANY (ARRAY(SELECT id FROM api_keys WHERE organization_id = $1 AND ($4 IS NULL OR id = $4)))
            AND u.route = '*' AND u.starts_at >= $3
        UNION ALL
        SELECT p.key_id, p.hour, p.requests FROM usage_pending p
        WHERE p.organization_id = $1 AND p.hour >= $3 AND ($4 IS NULL OR p.key_id = $4)
    ) c
    GROUP BY 1, 2
)
SELECT k.id, k.organization_id, k.name, k.environment, k.permissions, k.inherits, k.created_at, k.created_by, k.expires_at, k.deactivated_at,
       k.revoked_at, k.revoked_by,
       s.generation, s.prefix, s.created_at AS secret_created_at, s.created_by AS secret_created_by,
       g.generation AS grace_generation, g.prefix AS grace_prefix, g.ends_at AS grace_ends_at,
       s.leaked_at, s.leaked_where, g.leaked_at AS grace_leaked_at, g.leaked_where AS grace_leaked_where,
       CASE WHEN k.inherits THEN (SELECT m.role FROM memberships m WHERE m.organization_id = k.organization_id
           AND m.user_id = k.created_by_user_id) END AS maker_role,
       ARRAY(SELECT coalesce(c.requests, 0)
             FROM generate_series(0, 23) AS h (hour) LEFT JOIN counts c ON c.key_id = k.id AND c.hour = h.hour
             ORDER BY h.hour) AS by_hour
FROM api_keys k
JOIN LATERAL (
    SELECT * FROM api_key_secrets x WHERE x.key_id = k.id ORDER BY x.generation DESC LIMIT 1
) s ON true
LEFT JOIN LATERAL (
    SELECT * FROM api_key_secrets x
    WHERE x.key_id = k.id AND x.generation < s.generation AND x.ends_at > $2
    ORDER BY x.generation DESC LIMIT 1
) g ON true
WHERE k.organization_id = $1 AND ($4 IS NULL OR k.id = $4)
ORDER BY (k.revoked_at IS NOT NULL OR coalesce(k.expires_at <= $2, false)), k.created_at, k.id
