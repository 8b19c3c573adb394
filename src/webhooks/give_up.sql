-- Gives up what is pending in lanes of the organization $1 and older than the event id $2, at $3; the caller has locked the
-- lanes $4. A lane with nothing left to do goes; what stays of one is as old as its oldest event.
WITH over AS (
    UPDATE deliveries d SET state = 'gave_up', finished_at = $3
    WHERE d.organization_id = $1 AND d.lane = ANY ($4) AND d.state = 'pending' AND d.event_id < $2
    RETURNING d.event_id
),
figures AS (
    INSERT INTO delivery_minutes AS m (organization_id, minute, delivered, gave_up)
    SELECT $1, date_trunc('minute', $3, 'UTC'), 0, count(*) FROM over HAVING count(*) > 0
    ON CONFLICT (organization_id, minute) DO UPDATE SET gave_up = m.gave_up + excluded.gave_up
),
-- This sees the deliveries as they were before.
rest AS (
    SELECT l.id, (
        SELECT min(e.created_at) FROM deliveries d JOIN events e ON e.organization_id = d.organization_id AND e.id = d.event_id
        WHERE d.lane = l.id AND d.state = 'pending' AND d.event_id >= $2) AS oldest
    FROM delivery_lanes l WHERE l.organization_id = $1 AND l.id = ANY ($4)
),
gone AS (
    DELETE FROM delivery_lanes l USING rest r WHERE r.oldest IS NULL AND l.id = r.id
)
UPDATE delivery_lanes l SET due_at = r.oldest FROM rest r WHERE r.oldest IS NOT NULL AND l.id = r.id
