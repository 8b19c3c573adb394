-- What one request of the bench may be like; a row of the history is one of these, drawn at random, with its own moment, id and duration.
CREATE TABLE bench_kinds (
    place integer PRIMARY KEY,
    organization_id uuid NOT NULL,
    key_id uuid NOT NULL,
    environment text NOT NULL,
    method text NOT NULL,
    -- The path before its id, the id if it is always the same, and the path after it.
    path text NOT NULL,
    id text,
    rest text NOT NULL,
    route text NOT NULL,
    status smallint NOT NULL,
    outcome text NOT NULL,
    credits bigint NOT NULL,
    -- Mean and deviation of the logarithm of the duration in microseconds.
    mu float8 NOT NULL,
    sigma float8 NOT NULL,
    address text NOT NULL,
    user_agent text NOT NULL,
    detail json,
    -- Of the key that is rotated, and of the one that is revoked.
    rotated boolean NOT NULL,
    revoked boolean NOT NULL
);
-- What the bench has to know when it comes back to a filled database.
CREATE TABLE bench_world (facts json NOT NULL);
-- What the ledger is made of in the end.
CREATE TABLE bench_paid_requests (organization_id uuid NOT NULL, id uuid NOT NULL, at timestamptz NOT NULL);
