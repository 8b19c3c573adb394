-- Ended secrets of an organization, newest end first. $1 organization, $2 now, $3 how many.
SELECT k.id AS key_id, k.name, k.environment, s.generation, s.prefix, s.created_at, s.created_by, LEAST(s.ends_at, k.expires_at) AS ended_at,
       CASE WHEN s.ends_at <= coalesce(k.expires_at, 'infinity') THEN s.end_reason ELSE 'expired' END AS reason,
       CASE WHEN s.ends_at <= coalesce(k.expires_at, 'infinity') THEN s.ended_by END AS ended_by,
       s.leaked_at, s.leaked_where
FROM api_keys k JOIN api_key_secrets s ON s.key_id = k.id
WHERE k.organization_id = $1 AND LEAST(s.ends_at, k.expires_at) <= $2
ORDER BY ended_at DESC, s.key_id, s.generation DESC
LIMIT $3
