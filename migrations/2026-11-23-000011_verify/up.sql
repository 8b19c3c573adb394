-- Programs of the company that ask whether a key may pass. A service serves every organization, so its token belongs to none.
CREATE TABLE service_tokens (
    id uuid CONSTRAINT service_tokens_pkey PRIMARY KEY,
    name text NOT NULL
        CONSTRAINT service_tokens_name_key UNIQUE
        CONSTRAINT service_tokens_name_check CHECK (length(name) BETWEEN 1 AND 100),
    digest bytea NOT NULL
        CONSTRAINT service_tokens_digest_key UNIQUE
        CONSTRAINT service_tokens_digest_check CHECK (length(digest) = 32),
    created_at timestamptz NOT NULL
);

-- Whether a service may yet report what became of the request; false: it has, or its time is over. Null: nobody will.
ALTER TABLE requests ADD COLUMN reportable boolean;
-- A service knows of a request its id alone. Ordinary traffic never touches this one. Of the days that are there, none from before yesterday
-- has it: no report reaches back that far, and to read a long history for nothing would hold up every request.
CREATE INDEX requests_reports_idx ON ONLY requests (id) WHERE reportable IS NOT NULL;
DO $$
DECLARE
    day text;
BEGIN
    FOR day IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'requests'::regclass AND c.relname >= 'requests_' || to_char(now() AT TIME ZONE 'UTC' - interval '1 day', 'YYYYMMDD')
    LOOP
        EXECUTE format('CREATE INDEX %I ON %I (id) WHERE reportable IS NOT NULL', day || '_reports_idx', day);
        EXECUTE format('ALTER INDEX requests_reports_idx ATTACH PARTITION %I', day || '_reports_idx');
    END LOOP;
END $$;

-- Credits held for requests of which a report is awaited. Reported or past its time, a hold is ended and its row is gone.
CREATE TABLE request_holds (
    request_id uuid CONSTRAINT request_holds_pkey PRIMARY KEY,
    organization_id uuid NOT NULL
        CONSTRAINT request_holds_organization_id_fkey REFERENCES organizations (id),
    credits bigint NOT NULL
        CONSTRAINT request_holds_credits_check CHECK (credits > 0),
    -- Settled from then on.
    due_at timestamptz NOT NULL
);
CREATE INDEX request_holds_due_at_idx ON request_holds (due_at);
