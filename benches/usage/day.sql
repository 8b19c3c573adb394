-- What a part of the history leaves for the rollups, as settling does.
INSERT INTO usage_pending (organization_id, hour, key_id, generation, environment, route, status, duration_bucket, requests,
    stale_requests, ended_requests, last_request_id, last_accepted_id, first_ended_id, last_ended_id)
SELECT organization_id, date_trunc('hour', at, 'UTC'), key_id, generation, environment, route, status,
    round(ln(greatest(duration_us, 1)) / 0.09531017980432493), count(*), count(*) FILTER (WHERE stale),
    count(*) FILTER (WHERE outcome = 'revoked'),
    max(id::text COLLATE "C") FILTER (WHERE outcome <> 'revoked')::uuid, max(id::text COLLATE "C") FILTER (WHERE outcome = 'accepted')::uuid,
    min(id::text COLLATE "C") FILTER (WHERE outcome = 'revoked')::uuid, max(id::text COLLATE "C") FILTER (WHERE outcome = 'revoked')::uuid
FROM {table}
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
