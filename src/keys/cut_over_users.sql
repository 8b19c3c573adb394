-- Who still uses a key's old secret. $1 organization, $2 key, $3 old generation, $4 least request id since the rotation, $5 how many of
-- the newest uses are looked at.
SELECT r.address, r.user_agent, count(*) AS requests, max(r.at) AS last_at
FROM (
    SELECT address, user_agent, at FROM requests
    WHERE organization_id = $1 AND key_id = $2 AND generation = $3 AND stale AND id >= $4
    ORDER BY id DESC LIMIT $5
) r
GROUP BY r.address, r.user_agent
ORDER BY requests DESC, last_at DESC
LIMIT 10
