-- Drops progress in these lanes that was never tried and has newer news behind it. The bind: lanes.
UPDATE deliveries d SET state = 'overtaken', finished_at = now()
WHERE d.lane = ANY ({}::uuid[]) AND d.state = 'pending' AND d.attempts = 0 AND d.event_type LIKE '%.progress'
    AND EXISTS (
        SELECT 1 FROM deliveries later
        WHERE later.lane = d.lane AND later.state = 'pending' AND later.sequence > d.sequence)
