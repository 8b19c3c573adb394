-- Uses of a key's old secret over time. $1 organization, $2 key, $3 old generation, $4 least request id since the rotation,
-- $5 the rotation, $6 seconds a bucket.
SELECT GREATEST(0, floor(extract(epoch FROM r.at - $5) / $6))::bigint AS bucket, count(*) AS requests, max(r.at) AS last_at
FROM requests r
WHERE r.organization_id = $1 AND r.key_id = $2 AND r.generation = $3 AND r.stale AND r.id >= $4
GROUP BY 1
