-- Who still uses a key's old secret. $1 organization, $2 key, $3 old generation, $4 least request id since the rotation.
SELECT r.address, r.user_agent, count(*) AS requests, max(r.at) AS last_at
FROM requests r
WHERE r.organization_id = $1 AND r.key_id = $2 AND r.generation = $3 AND r.stale AND r.id >= $4
GROUP BY r.address, r.user_agent
ORDER BY requests DESC, last_at DESC
LIMIT 10
