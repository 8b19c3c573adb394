-- Drops progress of an organization that was never tried and has newer news behind it. $1 the organization, $2 now.
UPDATE deliveries d SET state = 'overtaken', finished_at = $2
WHERE d.organization_id = $1 AND d.state = 'pending' AND d.attempts = 0 AND d.event_type LIKE '%.progress'
    AND EXISTS (
        SELECT 1 FROM deliveries later
        WHERE later.lane = d.lane AND later.state = 'pending' AND later.sequence > d.sequence)
