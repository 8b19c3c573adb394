-- A key keeps its id over rotations; each text it ever had is one secret with a generation of its own.

CREATE TABLE api_keys (
    id uuid CONSTRAINT api_keys_pkey PRIMARY KEY,
    organization_id uuid NOT NULL
        CONSTRAINT api_keys_organization_id_fkey REFERENCES organizations (id),
    name text NOT NULL
        CONSTRAINT api_keys_name_check CHECK (length(name) BETWEEN 1 AND 100),
    environment text NOT NULL,
    permissions text[] NOT NULL,
    created_at timestamptz NOT NULL,
    -- Snapshot of the maker's name: the key outlives the person.
    created_by text NOT NULL,
    created_by_user_id uuid
        CONSTRAINT api_keys_created_by_user_id_fkey REFERENCES users (id) ON DELETE SET NULL,
    expires_at timestamptz,
    deactivated_at timestamptz,
    revoked_at timestamptz,
    revoked_by text,
    CONSTRAINT api_keys_revocation_check CHECK ((revoked_at IS NULL) = (revoked_by IS NULL)),
    CONSTRAINT api_keys_organization_id_id_key UNIQUE (organization_id, id)
);

CREATE TABLE api_key_secrets (
    organization_id uuid NOT NULL,
    key_id uuid NOT NULL,
    generation integer NOT NULL
        CONSTRAINT api_key_secrets_generation_check CHECK (generation > 0),
    -- SHA-256 of the full key, all that is kept of it.
    digest bytea NOT NULL
        CONSTRAINT api_key_secrets_digest_key UNIQUE
        CONSTRAINT api_key_secrets_digest_check CHECK (length(digest) = 32),
    -- What people see of it: prefix, environment and the first four random characters.
    prefix text NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    -- One rendering of a form makes one secret, however often it is sent.
    form_token uuid,
    -- When it stops working, in the future while a grace period runs. Null: as long as the key works.
    ends_at timestamptz,
    end_reason text
        CONSTRAINT api_key_secrets_end_reason_check CHECK (end_reason IN ('rotated', 'revoked')),
    ended_by text,
    CONSTRAINT api_key_secrets_pkey PRIMARY KEY (key_id, generation),
    CONSTRAINT api_key_secrets_key_fkey FOREIGN KEY (organization_id, key_id) REFERENCES api_keys (organization_id, id),
    CONSTRAINT api_key_secrets_form_token_key UNIQUE (organization_id, form_token),
    CONSTRAINT api_key_secrets_end_check CHECK (num_nulls(ends_at, end_reason, ended_by) IN (0, 3))
);
