WITH history AS (
    INSERT INTO requests (organization_id, id, at, key_id, generation, environment, method, path, route, status, outcome, duration_us,
        credits, address, user_agent, job_id, stale, detail, reportable)
    SELECT o, i, a, k, g, e, m, p, r, s, u, d, c, f, w, j, t, x::json, v
    FROM unnest({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
        AS q (o, i, a, k, g, e, m, p, r, s, u, d, c, f, w, j, t, x, v)
)
INSERT INTO usage_pending (organization_id, hour, key_id, generation, environment, route, status, duration_bucket, requests,
    stale_requests, ended_requests, last_request_id, last_accepted_id, first_ended_id, last_ended_id)
SELECT * FROM unnest({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})
