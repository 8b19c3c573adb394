-- Uses of a key's old secret over time. $1 organization, $2 key, $3 old generation, $4 least request id since the rotation,
-- $5 the rotation, $6 seconds a bucket, $7 how many of the newest uses are looked at.
SELECT GREATEST(0, floor(extract(epoch FROM r.at - $5) / $6))::bigint AS bucket, count(*) AS requests, max(r.at) AS last_at
FROM (
    SELECT at FROM requests
    WHERE organization_id = $1 AND key_id = $2 AND generation = $3 AND stale AND id >= $4
    ORDER BY id DESC LIMIT $7
) r
GROUP BY 1
