-- The history by days (UTC): a day is made before it begins and dropped when its time is over, by the server, so that neither
-- costs a row anything. The bounds are ids, which carry the moment of arrival.
ALTER TABLE requests RENAME TO former_requests;
ALTER TABLE former_requests RENAME CONSTRAINT requests_pkey TO former_requests_pkey;
ALTER INDEX requests_stale_idx RENAME TO former_requests_stale_idx;

CREATE TABLE requests (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    at timestamptz NOT NULL,
    key_id uuid NOT NULL,
    generation integer NOT NULL,
    environment text NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    -- Of the profile, with its method: 'GET /analyses/{id}'. Empty for an address that is nobody's.
    route text NOT NULL,
    status smallint NOT NULL,
    outcome text NOT NULL,
    duration_us integer NOT NULL,
    credits bigint NOT NULL,
    address text NOT NULL,
    user_agent text NOT NULL,
    job_id uuid,
    -- The secret was no longer, or is soon no longer, the key's current one.
    stale boolean NOT NULL,
    -- Why it was refused: the rule and its value then.
    detail json,
    CONSTRAINT requests_pkey PRIMARY KEY (organization_id, id)
) PARTITION BY RANGE (id);
-- The receipt of an ended key and the cut-over meter live on this one; ordinary traffic never touches it.
CREATE INDEX requests_stale_idx ON requests (organization_id, key_id, generation, id) WHERE stale;
-- What was not accepted is rare, and what people look for; ordinary traffic never touches this one either.
CREATE INDEX requests_refused_idx ON requests (organization_id, id) WHERE status >= 400;

-- What was settled and is not yet in the rollups below: one row for what is equal in a batch. Emptied about once a second.
-- Readers add it to the rollups, so that they are never behind.
CREATE TABLE usage_pending (
    organization_id uuid NOT NULL,
    hour timestamptz NOT NULL,
    key_id uuid NOT NULL,
    generation integer NOT NULL,
    environment text NOT NULL,
    route text NOT NULL,
    status smallint NOT NULL,
    -- See src/usage/histogram.rs.
    duration_bucket smallint NOT NULL,
    requests bigint NOT NULL,
    stale_requests bigint NOT NULL,
    -- Refused because this text of the key had ended.
    ended_requests bigint NOT NULL,
    -- The newest that were not refused so, that were accepted, and the first and the newest of those that were refused so.
    last_request_id uuid,
    last_accepted_id uuid,
    first_ended_id uuid,
    last_ended_id uuid
) WITH (vacuum_truncate = false);

-- Requests by the hour, and by the day. The zero id stands for all keys, '*' for all routes, so that whatever is asked, the rows
-- read are as many as the hours of the period, and not as many as keys and routes in them.
CREATE TABLE usage_hours (
    organization_id uuid NOT NULL,
    key_id uuid NOT NULL,
    route text NOT NULL,
    starts_at timestamptz NOT NULL,
    environment text NOT NULL,
    status smallint NOT NULL,
    requests bigint NOT NULL,
    -- Durations, and requests by the hour of the day, in the form of src/usage/histogram.rs.
    durations bytea NOT NULL,
    hours bytea NOT NULL,
    CONSTRAINT usage_hours_pkey PRIMARY KEY (organization_id, key_id, route, starts_at, environment, status)
);
CREATE TABLE usage_days (
    organization_id uuid NOT NULL,
    key_id uuid NOT NULL,
    route text NOT NULL,
    starts_at timestamptz NOT NULL,
    environment text NOT NULL,
    status smallint NOT NULL,
    requests bigint NOT NULL,
    durations bytea NOT NULL,
    hours bytea NOT NULL,
    CONSTRAINT usage_days_pkey PRIMARY KEY (organization_id, key_id, route, starts_at, environment, status)
);
-- What is past its time is found by these; a busy row's updates don't touch them.
CREATE INDEX usage_hours_starts_at_idx ON usage_hours USING brin (starts_at);
CREATE INDEX usage_days_starts_at_idx ON usage_days USING brin (starts_at);

-- What each text of a key was used for, ever.
CREATE TABLE key_uses (
    organization_id uuid NOT NULL,
    key_id uuid NOT NULL,
    generation integer NOT NULL,
    requests bigint NOT NULL,
    stale_requests bigint NOT NULL,
    ended_requests bigint NOT NULL,
    last_request_id uuid,
    last_accepted_id uuid,
    first_ended_id uuid,
    last_ended_id uuid,
    CONSTRAINT key_uses_pkey PRIMARY KEY (organization_id, key_id, generation)
);

-- What is there already.
DO $$
DECLARE
    day date;
BEGIN
    FOR day IN SELECT DISTINCT (at AT TIME ZONE 'UTC')::date FROM former_requests LOOP
        EXECUTE format('CREATE TABLE requests_%s PARTITION OF requests FOR VALUES FROM (%L) TO (%L)', to_char(day, 'YYYYMMDD'),
            lpad(to_hex(extract(epoch FROM day::timestamp)::bigint * 1000), 12, '0') || repeat('0', 20),
            lpad(to_hex(extract(epoch FROM (day + 1)::timestamp)::bigint * 1000), 12, '0') || repeat('0', 20));
    END LOOP;
END $$;
INSERT INTO requests
SELECT organization_id, id, at, key_id, generation, environment, method, path,
    CASE WHEN status IN (404, 405) AND outcome = 'accepted' AND path !~ '/[a-z]+_[0-9A-Za-z]{22}' THEN ''
        ELSE method || ' ' || regexp_replace(path, '/[a-z]+_[0-9A-Za-z]{22}', '/{id}') END,
    status, outcome, duration_us, credits, address, user_agent, job_id, stale, detail
FROM former_requests;
DROP TABLE former_requests;
INSERT INTO usage_pending
SELECT organization_id, date_trunc('hour', at, 'UTC'), key_id, generation, environment, route, status,
    round(ln(greatest(duration_us, 1)) / ln(1.1)), count(*), count(*) FILTER (WHERE stale),
    count(*) FILTER (WHERE outcome IN ('revoked', 'expired')),
    max(id::text) FILTER (WHERE outcome NOT IN ('revoked', 'expired'))::uuid, max(id::text) FILTER (WHERE outcome = 'accepted')::uuid,
    min(id::text) FILTER (WHERE outcome IN ('revoked', 'expired'))::uuid, max(id::text) FILTER (WHERE outcome IN ('revoked', 'expired'))::uuid
FROM requests
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
