-- Tenants and the people who belong to them.

CREATE TABLE organizations (
    id uuid CONSTRAINT organizations_pkey PRIMARY KEY,
    slug text NOT NULL
        CONSTRAINT organizations_slug_key UNIQUE
        CONSTRAINT organizations_slug_check CHECK (slug ~ '^[a-z0-9](-?[a-z0-9])*$' AND length(slug) <= 63),
    name text NOT NULL
        CONSTRAINT organizations_name_check CHECK (length(name) BETWEEN 1 AND 100),
    -- In place of the profile's quota; null leaves the profile's.
    requests_per_minute integer
        CONSTRAINT organizations_requests_per_minute_check CHECK (requests_per_minute > 0),
    suspended_at timestamptz,
    suspended_reason text,
    created_at timestamptz NOT NULL,
    CONSTRAINT organizations_suspension_check CHECK ((suspended_at IS NULL) = (suspended_reason IS NULL))
);

CREATE TABLE users (
    id uuid CONSTRAINT users_pkey PRIMARY KEY,
    email text NOT NULL
        CONSTRAINT users_email_key UNIQUE
        CONSTRAINT users_email_check CHECK (email = lower(email) AND email LIKE '_%@_%' AND length(email) <= 254),
    name text NOT NULL,
    -- PHC string of Argon2id; null until an invitation is accepted.
    password_hash text,
    staff_role text
        CONSTRAINT users_staff_role_check CHECK (staff_role IN ('support', 'operator')),
    last_organization_id uuid
        CONSTRAINT users_last_organization_id_fkey REFERENCES organizations (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE memberships (
    organization_id uuid NOT NULL
        CONSTRAINT memberships_organization_id_fkey REFERENCES organizations (id) ON DELETE CASCADE,
    user_id uuid NOT NULL
        CONSTRAINT memberships_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
    role text NOT NULL
        CONSTRAINT memberships_role_check CHECK (role IN ('admin', 'member')),
    created_at timestamptz NOT NULL,
    CONSTRAINT memberships_pkey PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX memberships_user_id_idx ON memberships (user_id);

-- A one-time link that lets its user choose a password.
CREATE TABLE invitations (
    id uuid CONSTRAINT invitations_pkey PRIMARY KEY,
    user_id uuid NOT NULL
        CONSTRAINT invitations_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
    token_digest bytea NOT NULL
        CONSTRAINT invitations_token_digest_key UNIQUE
        CONSTRAINT invitations_token_digest_check CHECK (length(token_digest) = 32),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz
);
CREATE INDEX invitations_user_id_idx ON invitations (user_id);

-- The cookie holds a random token; this row, found by the token's digest, is the session.
CREATE TABLE sessions (
    token_digest bytea
        CONSTRAINT sessions_pkey PRIMARY KEY
        CONSTRAINT sessions_token_digest_check CHECK (length(token_digest) = 32),
    user_id uuid NOT NULL
        CONSTRAINT sessions_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
    address text NOT NULL,
    user_agent text NOT NULL,
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL
);
CREATE INDEX sessions_user_id_idx ON sessions (user_id);

-- Failed sign-ins by account and by address; the delay grows with the failures.
CREATE TABLE sign_in_throttles (
    subject text CONSTRAINT sign_in_throttles_pkey PRIMARY KEY,
    failures integer NOT NULL
        CONSTRAINT sign_in_throttles_failures_check CHECK (failures > 0),
    failed_at timestamptz NOT NULL,
    blocked_until timestamptz NOT NULL
);
