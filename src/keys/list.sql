-- Keys of an organization with what the screens say about each.
-- $1 organization, $2 now, $3 least request id of the last 24 hours, $4 one key or null for all.
WITH counts AS MATERIALIZED (
    SELECT r.key_id, 23 - LEAST(23, GREATEST(0, floor(extract(epoch FROM $2 - r.at) / 3600)))::integer AS hour, count(*) AS requests
    FROM requests r
    WHERE r.organization_id = $1 AND r.id >= $3 AND ($4 IS NULL OR r.key_id = $4)
    GROUP BY 1, 2
)
SELECT k.id, k.organization_id, k.name, k.environment, k.permissions, k.created_at, k.created_by, k.expires_at, k.deactivated_at,
       k.revoked_at, k.revoked_by,
       s.generation, s.prefix, s.created_at AS secret_created_at, s.created_by AS secret_created_by,
       g.generation AS grace_generation, g.prefix AS grace_prefix, g.ends_at AS grace_ends_at,
       u.at AS used_at, u.method AS used_method, u.path AS used_path, u.address AS used_address, u.generation AS used_generation,
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
-- The history is in order of arrival, so the newest row is the first one met; nothing is older than the key.
LEFT JOIN LATERAL (
    SELECT * FROM requests r
    WHERE r.organization_id = k.organization_id AND r.key_id = k.id AND r.outcome NOT IN ('revoked', 'expired')
      AND r.id >= (lpad(to_hex(floor(extract(epoch FROM k.created_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
    ORDER BY r.id DESC LIMIT 1
) u ON true
WHERE k.organization_id = $1 AND ($4 IS NULL OR k.id = $4)
ORDER BY (k.revoked_at IS NOT NULL OR coalesce(k.expires_at <= $2, false)), k.created_at, k.id
