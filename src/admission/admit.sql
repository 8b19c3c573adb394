), known AS (
    SELECT a.ord, a.limit_number, a.window_s, a.n, s.organization_id, s.key_id, s.generation, s.ends_at IS NOT NULL AS stale, s.prefix,
        k.environment,
        CASE
            WHEN o.suspended_at IS NOT NULL THEN 'suspended'
            WHEN k.revoked_at IS NOT NULL OR s.ends_at <= now() THEN 'revoked'
            WHEN k.expires_at <= now() THEN 'expired'
            WHEN k.deactivated_at IS NOT NULL THEN 'inactive'
            WHEN a.permission <> '' AND a.permission <> ALL (k.permissions) THEN 'permission'
            ELSE 'accepted'
        END AS outcome,
        CASE WHEN a.per_organization THEN s.organization_id ELSE s.key_id END AS scope_id,
        CASE WHEN a.describe THEN (SELECT b.available FROM credit_balances b WHERE b.organization_id = s.organization_id) END AS available,
        CASE WHEN a.describe THEN k.name END AS key_name,
        CASE WHEN a.describe THEN k.permissions END AS permissions,
        CASE WHEN a.describe THEN o.slug END AS slug,
        CASE WHEN a.describe THEN o.name END AS organization_name,
        -- `greatest` passes over a null, so that it can't stand inside a `coalesce`.
        CASE WHEN o.requests_per_minute IS NULL THEN a.quota ELSE greatest(1, o.requests_per_minute::int8 * a.window_s / 60) END AS quota
    FROM ask a
        JOIN api_key_secrets s ON s.digest = a.digest
        JOIN api_keys k ON k.id = s.key_id
        JOIN organizations o ON o.id = s.organization_id
), counted AS (
    INSERT INTO rate_windows AS w (scope_id, limit_number, ends_at, used)
    SELECT scope_id, limit_number, now() + max(window_s) * interval '1 second', sum(n)
    FROM known
    WHERE outcome = 'accepted' AND limit_number > 0
    GROUP BY scope_id, limit_number
    ORDER BY scope_id, limit_number
    ON CONFLICT (scope_id, limit_number) DO UPDATE SET
        used = CASE WHEN w.ends_at <= now() THEN excluded.used ELSE w.used + excluded.used END,
        ends_at = CASE WHEN w.ends_at <= now() THEN excluded.ends_at ELSE w.ends_at END
    RETURNING scope_id, limit_number, ends_at, used
)
SELECT k.ord, k.organization_id, k.key_id, k.generation, k.stale, k.prefix, k.environment, k.outcome, k.scope_id, k.quota, c.used,
    -- A window that another instance began may have begun after this statement.
    least(ceil(extract(epoch FROM c.ends_at - now()) * 1000)::int8, k.window_s * 1000) AS left_ms, k.available, k.key_name, k.permissions, k.slug, k.organization_name
FROM known k
    LEFT JOIN counted c ON c.scope_id = k.scope_id AND c.limit_number = k.limit_number AND k.outcome = 'accepted'
