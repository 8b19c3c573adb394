-- Gives up deliveries older than the event id $2 of the organization $1, at $3; the caller has locked the lanes $4. A lane in
-- which nothing is left to do goes.
WITH over AS (
    UPDATE deliveries d SET state = 'gave_up', finished_at = $3
    WHERE d.organization_id = $1 AND d.lane = ANY ($4) AND d.state = 'pending' AND d.event_id < $2
)
-- This sees the deliveries as they were before.
DELETE FROM delivery_lanes l
WHERE l.organization_id = $1 AND l.id = ANY ($4)
    AND NOT EXISTS (SELECT FROM deliveries d WHERE d.lane = l.id AND d.state = 'pending' AND d.event_id >= $2)
