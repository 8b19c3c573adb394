-- What the endpoint's card says. $1 the organization, $2 now, $3 the most that is counted, and one more.
WITH recent AS (
    -- There is no index by the time of arrival: the newest events tell, and what is older is known to the minute.
    SELECT state, finished_at, last_status, last_duration_us FROM deliveries
    WHERE organization_id = $1 ORDER BY event_id DESC LIMIT 1000
),
latest AS (
    SELECT finished_at, last_status, last_duration_us FROM recent WHERE state = 'delivered' ORDER BY finished_at DESC LIMIT 1
),
minute AS (
    SELECT minute FROM delivery_minutes WHERE organization_id = $1 AND delivered > 0 ORDER BY minute DESC LIMIT 1
),
day AS (
    SELECT coalesce(sum(delivered), 0)::bigint AS delivered, coalesce(sum(gave_up), 0)::bigint AS gave_up FROM delivery_minutes
    WHERE organization_id = $1 AND minute > $2 - interval '24 hours'
),
waiting AS (
    SELECT lane, failures FROM deliveries WHERE organization_id = $1 AND state = 'pending' LIMIT $3
)
SELECT coalesce(l.finished_at, m.minute) AS last_at, l.last_status, l.last_duration_us, d.delivered, d.gave_up,
    (SELECT count(*) FROM waiting) AS waiting,
    (SELECT count(DISTINCT lane) FROM waiting WHERE failures > 0) AS retrying
FROM day d LEFT JOIN latest l ON true LEFT JOIN minute m ON true
