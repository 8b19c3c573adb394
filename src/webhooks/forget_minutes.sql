-- Drops old figures. $1 the first minute that stays, $2 how many.
DELETE FROM delivery_minutes m
USING (
    SELECT old.organization_id, old.minute
    FROM organizations o
    CROSS JOIN LATERAL (
        SELECT organization_id, minute FROM delivery_minutes
        WHERE organization_id = o.id AND minute < $1
        ORDER BY minute
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ) AS old
    LIMIT $2
) AS gone
WHERE m.organization_id = gone.organization_id AND m.minute = gone.minute
