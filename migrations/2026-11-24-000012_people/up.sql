-- People and oversight: second factors, proofs of the password, invitations, visits of staff, keys found in public.

-- Since when members need a second factor to open the organization.
ALTER TABLE organizations ADD COLUMN two_factor_required_at timestamptz;

-- The seed of a person's one-time codes (RFC 6238), encrypted with the secret key.
CREATE TABLE totp_seeds (
    user_id uuid
        CONSTRAINT totp_seeds_pkey PRIMARY KEY
        CONSTRAINT totp_seeds_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    -- Null until the person has shown a first code: only then is it asked for.
    confirmed_at timestamptz,
    -- The newest step whose code was taken: each code works once.
    last_step bigint NOT NULL,
    -- The session in which it was made: until it is confirmed it is shown there alone.
    session_id uuid NOT NULL
);

-- What lets a person in without the device that makes the codes; each once.
CREATE TABLE recovery_codes (
    user_id uuid NOT NULL
        CONSTRAINT recovery_codes_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
    digest bytea NOT NULL
        CONSTRAINT recovery_codes_digest_check CHECK (length(digest) = 32),
    used_at timestamptz,
    CONSTRAINT recovery_codes_pkey PRIMARY KEY (user_id, digest)
);

-- A sign-in whose password was right and whose second factor is still to come.
CREATE TABLE sign_in_challenges (
    token_digest bytea
        CONSTRAINT sign_in_challenges_pkey PRIMARY KEY
        CONSTRAINT sign_in_challenges_token_digest_check CHECK (length(token_digest) = 32),
    user_id uuid NOT NULL
        CONSTRAINT sign_in_challenges_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);
CREATE INDEX sign_in_challenges_user_id_idx ON sign_in_challenges (user_id);

-- What names a session to its person, who may end it; and when the password was last proved in it.
ALTER TABLE sessions ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid();
ALTER TABLE sessions ADD COLUMN proved_at timestamptz;
UPDATE sessions SET proved_at = created_at;
ALTER TABLE sessions ALTER COLUMN id DROP DEFAULT;
ALTER TABLE sessions ALTER COLUMN proved_at SET NOT NULL;
ALTER TABLE sessions ADD CONSTRAINT sessions_id_key UNIQUE (id);

-- A one-time link into an organization, for whoever has this address. It is gone once it was used, withdrawn or replaced.
CREATE TABLE membership_invitations (
    organization_id uuid NOT NULL
        CONSTRAINT membership_invitations_organization_id_fkey REFERENCES organizations (id) ON DELETE CASCADE,
    id uuid NOT NULL,
    email text NOT NULL
        CONSTRAINT membership_invitations_email_check CHECK (email = lower(email) AND email LIKE '_%@_%' AND length(email) <= 254),
    role text NOT NULL
        CONSTRAINT membership_invitations_role_check CHECK (role IN ('admin', 'member')),
    token_digest bytea NOT NULL
        CONSTRAINT membership_invitations_token_digest_key UNIQUE
        CONSTRAINT membership_invitations_token_digest_check CHECK (length(token_digest) = 32),
    created_at timestamptz NOT NULL,
    -- Snapshot of who invited.
    created_by text NOT NULL,
    expires_at timestamptz NOT NULL,
    -- The admin whose link it is, with whom it ends; null for the command line and operators.
    created_by_user_id uuid
        CONSTRAINT membership_invitations_created_by_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT membership_invitations_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT membership_invitations_organization_id_email_key UNIQUE (organization_id, email)
);

-- The organization whose admin made a person's link: the link works only while the person can get nowhere else with it. Null: it was
-- made by who runs the deployment, or sent to the person's own address.
ALTER TABLE invitations ADD COLUMN for_organization_id uuid
    CONSTRAINT invitations_for_organization_id_fkey REFERENCES organizations (id) ON DELETE CASCADE;
-- The admin who made it there, with whom it ends.
ALTER TABLE invitations ADD COLUMN created_by_user_id uuid
    CONSTRAINT invitations_created_by_user_id_fkey REFERENCES users (id) ON DELETE CASCADE;

-- An hour in which somebody of the staff looks at an organization, and why.
CREATE TABLE support_visits (
    organization_id uuid NOT NULL
        CONSTRAINT support_visits_organization_id_fkey REFERENCES organizations (id) ON DELETE CASCADE,
    id uuid NOT NULL,
    user_id uuid NOT NULL
        CONSTRAINT support_visits_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
    reason text NOT NULL
        CONSTRAINT support_visits_reason_check CHECK (length(reason) BETWEEN 1 AND 200),
    opened_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    CONSTRAINT support_visits_pkey PRIMARY KEY (organization_id, id)
);
CREATE INDEX support_visits_user_id_ends_at_idx ON support_visits (user_id, ends_at);

-- A form of an operator that has done its work: sent again it does nothing.
CREATE TABLE operator_forms (
    organization_id uuid NOT NULL
        CONSTRAINT operator_forms_organization_id_fkey REFERENCES organizations (id) ON DELETE CASCADE,
    id uuid NOT NULL,
    used_at timestamptz NOT NULL,
    CONSTRAINT operator_forms_pkey PRIMARY KEY (organization_id, id)
);

-- When a key's text was first reported as found in public, and where.
ALTER TABLE api_key_secrets ADD COLUMN leaked_at timestamptz;
ALTER TABLE api_key_secrets ADD COLUMN leaked_where text;
ALTER TABLE api_key_secrets ADD CONSTRAINT api_key_secrets_leaked_check CHECK ((leaked_at IS NULL) = (leaked_where IS NULL));

-- Every page asks whether there are such: hardly ever one.
CREATE INDEX api_key_secrets_leaked_idx ON api_key_secrets (organization_id) WHERE leaked_at IS NOT NULL;

-- Support finds a person and a key by how they begin, staff read all chains by time.
CREATE INDEX users_email_idx ON users (email text_pattern_ops);
CREATE INDEX api_key_secrets_prefix_idx ON api_key_secrets (prefix text_pattern_ops);
CREATE INDEX audit_entries_at_idx ON audit_entries (at);
