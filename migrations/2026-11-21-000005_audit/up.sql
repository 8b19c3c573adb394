-- Append-only and hash-chained: one chain an organization, and one (the nil id) for the deployment itself.
CREATE TABLE audit_entries (
    chain uuid NOT NULL,
    sequence bigint NOT NULL CONSTRAINT audit_entries_sequence_check CHECK (sequence > 0),
    at timestamptz NOT NULL,
    actor_kind text NOT NULL
        CONSTRAINT audit_entries_actor_kind_check CHECK (actor_kind IN ('user', 'key', 'staff', 'command_line', 'system')),
    actor_id uuid,
    -- Snapshot: stays when the account is gone.
    actor_label text NOT NULL,
    action text NOT NULL,
    target_id text NOT NULL,
    target_label text NOT NULL,
    address text,
    user_agent text,
    -- {"before":…,"after":…}
    changes jsonb NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT audit_entries_pkey PRIMARY KEY (chain, sequence),
    CONSTRAINT audit_entries_hash_check CHECK (length(previous_hash) = 32 AND length(hash) = 32)
);
CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The newest entry of each chain: writers queue here, and a cut-off tail is noticed.
CREATE TABLE audit_heads (
    chain uuid CONSTRAINT audit_heads_pkey PRIMARY KEY,
    sequence bigint NOT NULL,
    hash bytea NOT NULL
);
