-- So many requests of an hour, in the order of their arrival. The words in braces are filled in.
INSERT INTO {table} (organization_id, id, at, key_id, generation, environment, method, path, route, status, outcome, duration_us,
    credits, address, user_agent, stale, detail)
SELECT organization_id, (lpad(to_hex(ms), 12, '0') || '7' || substr(tail, 16))::uuid, to_timestamp(ms / 1000::float8), key_id,
    CASE WHEN is_new THEN 2 ELSE 1 END, environment, method,
    path || coalesce(id, CASE WHEN path LIKE '%\_' THEN substr(tail, 1, 8) || substr(tail, 25, 12) || 'Xy' ELSE '' END) || rest,
    route, CASE WHEN is_ended THEN 403 ELSE status END, CASE WHEN is_ended THEN 'revoked' ELSE outcome END,
    least(exp(mu + sigma * sqrt(-2 * ln(1 - random())) * cos(6.283185307179586 * random())), 60e6)::integer,
    CASE WHEN is_ended THEN 0 ELSE credits END, address, user_agent, is_ended OR is_old, detail
FROM (
    SELECT k.*, g.ms, g.tail, k.rotated AND g.ms >= {rotated_ms} AND g.chance < 0.7 AS is_new,
        k.rotated AND g.ms >= {rotated_ms} AND g.chance >= 0.7 AS is_old, k.revoked AND g.ms >= {revoked_ms} AS is_ended
    FROM (
        SELECT {from_ms} + floor((i - random()) * {span_ms} / {count})::bigint AS ms, gen_random_uuid()::text AS tail, random() AS chance,
            CASE WHEN random() < {rare_share} THEN {rare_from} + floor(random() * {rare_count})::integer
                ELSE {kinds_from} + floor(random() * {kinds_count})::integer END AS place
        FROM generate_series(1, {count}) i
    ) g JOIN bench_kinds k USING (place)
) r
