-- Events become a table of their own right: whatever happens to an organization can be one, a job's life is the first.
ALTER TABLE job_events RENAME TO events;
ALTER TABLE events
    -- Place in the organization's catch-up feed, given when the feed is first read that far: an event that is committed
    -- late gets a late number, so that no reader ever passes one by.
    ADD COLUMN number bigint CONSTRAINT events_number_check CHECK (number > 0),
    DROP CONSTRAINT job_events_pkey,
    DROP CONSTRAINT job_events_id_key,
    DROP CONSTRAINT job_events_job_id_fkey,
    DROP CONSTRAINT job_events_sequence_check,
    ADD CONSTRAINT events_job_id_fkey FOREIGN KEY (job_id) REFERENCES jobs (id),
    ADD CONSTRAINT events_sequence_check CHECK (sequence > 0),
    ADD CONSTRAINT events_pkey PRIMARY KEY (organization_id, id),
    ADD CONSTRAINT events_job_id_sequence_key UNIQUE (job_id, sequence);
-- None: an event of the organization itself, with sequence 1. (A column of the old primary key could not be.)
ALTER TABLE events ALTER COLUMN job_id DROP NOT NULL;
-- Each event is in one of these two: an insert pays for one, and neither can be mistaken for the other by a planner that knows
-- the table as it was an hour ago.
CREATE UNIQUE INDEX events_organization_id_number_key ON events (organization_id, number) WHERE number IS NOT NULL;
CREATE INDEX events_unnumbered_idx ON events (organization_id, id) WHERE number IS NULL;

-- One an organization. Off (disabled_at) keeps everything but the sending.
CREATE TABLE webhooks (
    organization_id uuid
        CONSTRAINT webhooks_pkey PRIMARY KEY
        CONSTRAINT webhooks_organization_id_fkey REFERENCES organizations (id),
    url text NOT NULL CONSTRAINT webhooks_url_check CHECK (length(url) BETWEEN 1 AND 2048),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    disabled_at timestamptz,
    -- Who or what switched it off: a person, an answer 410, five days of nothing but failures.
    disabled_reason text CONSTRAINT webhooks_disabled_reason_check CHECK (disabled_reason IN ('switched_off', 'gone', 'failing')),
    -- First of the failures since the last success; none while it works.
    failing_since timestamptz,
    -- When it was switched on, or pointed elsewhere, last. Progress that has waited since before that is stale.
    resumed_at timestamptz,
    CONSTRAINT webhooks_disabled_check CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
) WITH (fillfactor = 50);

-- All that still sign. The newest has no end; the ones before it end when their overlap does.
CREATE TABLE webhook_secrets (
    organization_id uuid NOT NULL
        CONSTRAINT webhook_secrets_organization_id_fkey REFERENCES webhooks (organization_id) ON DELETE CASCADE,
    generation integer NOT NULL CONSTRAINT webhook_secrets_generation_check CHECK (generation > 0),
    -- Encrypted with the secret key, see src/sealed.rs.
    sealed bytea NOT NULL,
    -- The last four characters of the text.
    hint text NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    ends_at timestamptz,
    CONSTRAINT webhook_secrets_pkey PRIMARY KEY (organization_id, generation)
);

-- One event on its way to the webhook. No foreign key to events: both are written by one statement, and dropped by one.
CREATE TABLE deliveries (
    organization_id uuid NOT NULL,
    event_id uuid NOT NULL,
    -- What keeps its order: the job, or the event itself.
    lane uuid NOT NULL,
    sequence integer NOT NULL,
    event_type text NOT NULL,
    state text NOT NULL
        CONSTRAINT deliveries_state_check CHECK (state IN ('pending', 'delivered', 'gave_up', 'overtaken')),
    -- All attempts ever, and those that failed since it was last queued.
    attempts integer NOT NULL CONSTRAINT deliveries_attempts_check CHECK (attempts >= 0),
    failures smallint NOT NULL CONSTRAINT deliveries_failures_check CHECK (failures >= 0),
    -- Of the last attempt: HTTP status, class of failure, microseconds.
    last_status smallint,
    last_failure text,
    last_duration_us integer,
    finished_at timestamptz,
    CONSTRAINT deliveries_pkey PRIMARY KEY (organization_id, event_id),
    CONSTRAINT deliveries_finished_check CHECK ((finished_at IS NULL) = (state = 'pending'))
) WITH (fillfactor = 80);
-- The head of each lane.
CREATE INDEX deliveries_pending_idx ON deliveries (lane, sequence) WHERE state = 'pending';
-- What needs a look; nearly all others are delivered.
CREATE INDEX deliveries_state_idx ON deliveries (organization_id, state, event_id) WHERE state <> 'delivered';
CREATE INDEX deliveries_gave_up_idx ON deliveries (organization_id, finished_at) WHERE state = 'gave_up';
CREATE INDEX deliveries_event_type_idx ON deliveries (organization_id, event_type, event_id);

-- One row a lane that has something pending: the unit that is claimed. Its key is the id alone, and statements that look for
-- one compare the organization with IS NOT DISTINCT FROM: a planner that last saw a short list would else walk an organization's
-- whole list by the other index, once for every lane.
CREATE TABLE delivery_lanes (
    organization_id uuid NOT NULL,
    id uuid CONSTRAINT delivery_lanes_pkey PRIMARY KEY,
    -- When its head is to be sent; while it is claimed, when the claim lapses.
    due_at timestamptz NOT NULL,
    -- Whoever sends its head now.
    claim uuid
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX delivery_lanes_due_at_idx ON delivery_lanes (organization_id, due_at);

-- One HTTP request of a delivery.
CREATE TABLE delivery_attempts (
    organization_id uuid NOT NULL,
    event_id uuid NOT NULL,
    number integer NOT NULL CONSTRAINT delivery_attempts_number_check CHECK (number > 0),
    at timestamptz NOT NULL,
    -- Request line and headers as sent; the body is the event's payload.
    request text NOT NULL,
    address text,
    status smallint,
    answer_head text,
    answer_body text,
    answer_is_cut boolean NOT NULL,
    failure text
        CONSTRAINT delivery_attempts_failure_check CHECK (
            failure IN ('blocked', 'dns', 'refused', 'tls', 'timeout', 'redirect', 'reset')),
    failure_message text,
    -- Microseconds; what did not happen is null.
    dns_us integer,
    connect_us integer,
    tls_us integer,
    first_byte_us integer,
    total_us integer NOT NULL,
    CONSTRAINT delivery_attempts_pkey PRIMARY KEY (organization_id, event_id, number)
);

-- Deliveries that ended, by the minute, for the figures of the last 24 hours. Kept in the batch that ends them.
CREATE TABLE delivery_minutes (
    organization_id uuid NOT NULL,
    minute timestamptz NOT NULL,
    delivered bigint NOT NULL,
    gave_up bigint NOT NULL,
    CONSTRAINT delivery_minutes_pkey PRIMARY KEY (organization_id, minute)
) WITH (fillfactor = 50);
