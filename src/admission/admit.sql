), known AS (
    SELECT a.ord, a.limit_number, a.window_s, a.n, s.organization_id, s.key_id, s.generation, s.ends_at IS NOT NULL AS stale,
        CASE
            WHEN o.suspended_at IS NOT NULL THEN 'suspended'
            -- The clock is read after the snapshot was taken: a rotation that is seen here has an end before it, while now() is of
            -- before the snapshot and would let the old text pass beside the new one for the microseconds between.
            WHEN k.revoked_at IS NOT NULL OR s.ends_at <= clock_timestamp() THEN 'revoked'
            -- A key that inherits ends with its maker's membership. Only such keys pay for the look-up.
            WHEN k.inherits AND (SELECT m.role FROM memberships m WHERE m.organization_id = k.organization_id
                AND m.user_id = k.created_by_user_id) IS NULL THEN 'revoked'
            WHEN k.expires_at <= now() THEN 'expired'
            WHEN k.deactivated_at IS NOT NULL THEN 'inactive'
            WHEN a.permission <> '' AND NOT CASE
                WHEN k.inherits THEN (SELECT CASE m.role WHEN 'admin' THEN a.roles & 1 ELSE a.roles & 2 END FROM memberships m
                    WHERE m.organization_id = k.organization_id AND m.user_id = k.created_by_user_id) <> 0
                ELSE a.permission = ANY (k.permissions)
            END THEN 'permission'
            ELSE 'accepted'
        END AS outcome,
        CASE WHEN a.per_organization THEN s.organization_id ELSE s.key_id END AS scope_id,
        o.requests_per_minute,
        -- For the one route that asks what a key is; the others pay nothing for it.
        CASE WHEN a.describe THEN json_build_object('name', k.name, 'permissions', k.permissions, 'role',
            CASE WHEN k.inherits THEN (SELECT m.role FROM memberships m WHERE m.organization_id = k.organization_id
                AND m.user_id = k.created_by_user_id) END, 'organization_slug', o.slug,
            'organization_name', o.name,
            'available', (SELECT b.available FROM credit_balances b WHERE b.organization_id = s.organization_id))::text END AS about
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
SELECT k.ord, k.organization_id, k.key_id, k.generation, k.stale, k.outcome, k.requests_per_minute, c.used,
    -- Another instance may have started the window after this statement's now().
    least(ceil(extract(epoch FROM c.ends_at - now()) * 1000), k.window_s * 1000)::int8 AS left_ms, k.about
FROM known k
    LEFT JOIN counted c ON c.scope_id = k.scope_id AND c.limit_number = k.limit_number AND k.outcome = 'accepted'
