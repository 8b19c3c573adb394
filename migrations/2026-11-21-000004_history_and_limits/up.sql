-- Every answered request of a known key. The id is a UUIDv7 of the moment of arrival, so that one index gives a
-- tenant's history in order, pages it, bounds a period and finds a request by its id.
CREATE TABLE requests (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    at timestamptz NOT NULL,
    key_id uuid NOT NULL,
    generation integer NOT NULL,
    environment text NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
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
);
-- The receipt of an ended key and the cut-over meter live on this one; ordinary traffic never touches it.
CREATE INDEX requests_stale_idx ON requests (organization_id, key_id, generation, id) WHERE stale;

-- Fixed windows. Unlogged: they may start afresh when PostgreSQL itself crashes, and cost no flush.
CREATE UNLOGGED TABLE rate_windows (
    -- The key or the organization that the limit counts for.
    scope_id uuid NOT NULL,
    -- Place of the limit in the profile, from 1.
    limit_number smallint NOT NULL,
    ends_at timestamptz NOT NULL,
    used bigint NOT NULL,
    CONSTRAINT rate_windows_pkey PRIMARY KEY (scope_id, limit_number)
) WITH (fillfactor = 50);
