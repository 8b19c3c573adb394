CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

-- One row an organization, kept equal to the sums of its entries in the same transaction.
CREATE TABLE credit_balances (
    organization_id uuid
        CONSTRAINT credit_balances_pkey PRIMARY KEY
        CONSTRAINT credit_balances_organization_id_fkey REFERENCES organizations (id),
    available bigint NOT NULL CONSTRAINT credit_balances_available_check CHECK (available >= 0),
    held bigint NOT NULL CONSTRAINT credit_balances_held_check CHECK (held >= 0),
    settled bigint NOT NULL CONSTRAINT credit_balances_settled_check CHECK (settled >= 0),
    -- Sequence of the newest entry.
    last_sequence bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE credit_entries (
    organization_id uuid NOT NULL
        CONSTRAINT credit_entries_organization_id_fkey REFERENCES organizations (id),
    sequence bigint NOT NULL,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    -- Effect on what is available, and on what is held.
    amount bigint NOT NULL,
    held_amount bigint NOT NULL,
    available_after bigint NOT NULL CONSTRAINT credit_entries_available_after_check CHECK (available_after >= 0),
    held_after bigint NOT NULL CONSTRAINT credit_entries_held_after_check CHECK (held_after >= 0),
    -- Ties a hold to the one settle or release that ends it.
    hold_id uuid,
    request_id uuid,
    job_id uuid,
    actor text NOT NULL,
    note text NOT NULL,
    CONSTRAINT credit_entries_pkey PRIMARY KEY (organization_id, sequence),
    CONSTRAINT credit_entries_kind_check CHECK (
        CASE kind
            WHEN 'grant' THEN amount > 0 AND held_amount = 0 AND hold_id IS NULL
            WHEN 'adjust' THEN amount <> 0 AND held_amount = 0 AND hold_id IS NULL
            WHEN 'hold' THEN amount < 0 AND held_amount = -amount AND hold_id IS NOT NULL
            WHEN 'settle' THEN amount = 0 AND held_amount < 0 AND hold_id IS NOT NULL
            WHEN 'release' THEN amount > 0 AND held_amount = -amount AND hold_id IS NOT NULL
            ELSE false
        END)
);
CREATE UNIQUE INDEX credit_entries_hold_key ON credit_entries (organization_id, hold_id) WHERE kind = 'hold';
CREATE UNIQUE INDEX credit_entries_hold_end_key ON credit_entries (organization_id, hold_id) WHERE kind IN ('settle', 'release');
CREATE TRIGGER credit_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE jobs (
    id uuid CONSTRAINT jobs_pkey PRIMARY KEY,
    organization_id uuid NOT NULL
        CONSTRAINT jobs_organization_id_fkey REFERENCES organizations (id),
    key_id uuid NOT NULL
        CONSTRAINT jobs_key_id_fkey REFERENCES api_keys (id),
    request_id uuid NOT NULL,
    kind text NOT NULL,
    environment text NOT NULL,
    -- Done by the built-in sandbox worker, never by a real one.
    sandbox boolean NOT NULL,
    -- The text as the partner sent it: json keeps it, jsonb would not.
    input json NOT NULL,
    external_reference text,
    notify_via_webhook boolean NOT NULL,
    percentage smallint NOT NULL CONSTRAINT jobs_percentage_check CHECK (percentage BETWEEN 0 AND 100),
    last_sequence integer NOT NULL,
    -- Credits held for it, zero where it costs nothing; settled or released by what `charge` says.
    price bigint NOT NULL CONSTRAINT jobs_price_check CHECK (price >= 0),
    charge text NOT NULL CONSTRAINT jobs_charge_check CHECK (charge IN ('on_start', 'on_success')),
    attempts smallint NOT NULL,
    lease uuid,
    lease_expires_at timestamptz,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    result json,
    error_code text,
    error_message text,
    CONSTRAINT jobs_lease_check CHECK ((lease IS NULL) = (lease_expires_at IS NULL)),
    CONSTRAINT jobs_finish_check CHECK (finished_at IS NULL AND result IS NULL AND error_code IS NULL
        OR finished_at IS NOT NULL AND lease IS NULL AND (result IS NULL) <> (error_code IS NULL))
);
CREATE INDEX jobs_claimable_idx ON jobs (sandbox, kind, created_at) WHERE finished_at IS NULL AND lease IS NULL;
CREATE INDEX jobs_leased_idx ON jobs (lease_expires_at) WHERE lease IS NOT NULL;

CREATE TABLE job_events (
    organization_id uuid NOT NULL,
    job_id uuid NOT NULL
        CONSTRAINT job_events_job_id_fkey REFERENCES jobs (id),
    sequence integer NOT NULL CONSTRAINT job_events_sequence_check CHECK (sequence > 0),
    id uuid NOT NULL CONSTRAINT job_events_id_key UNIQUE,
    event_type text NOT NULL,
    payload json NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT job_events_pkey PRIMARY KEY (job_id, sequence)
);

-- Answers kept for 24 h, so that a repeated POST is told again and not done again.
CREATE TABLE idempotency_keys (
    organization_id uuid NOT NULL,
    key_id uuid NOT NULL
        CONSTRAINT idempotency_keys_key_id_fkey REFERENCES api_keys (id),
    idempotency_key text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    answer text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (organization_id, key_id, idempotency_key)
);
CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);

CREATE TABLE worker_tokens (
    id uuid CONSTRAINT worker_tokens_pkey PRIMARY KEY,
    name text NOT NULL
        CONSTRAINT worker_tokens_name_key UNIQUE
        CONSTRAINT worker_tokens_name_check CHECK (length(name) BETWEEN 1 AND 100),
    digest bytea NOT NULL
        CONSTRAINT worker_tokens_digest_key UNIQUE
        CONSTRAINT worker_tokens_digest_check CHECK (length(digest) = 32),
    created_at timestamptz NOT NULL
);
