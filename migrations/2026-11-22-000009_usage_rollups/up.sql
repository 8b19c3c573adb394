-- One row of a rollup for all statuses: a period of a busy organization was read from a row for each of them, eight times as many.
-- What is kept of each status is side by side in one value, see src/usage/by_status.rs. Such a value is read whole with its row, so
-- it is neither compressed nor put elsewhere while the row fits its page.
ALTER TABLE usage_hours RENAME TO former_hours;
ALTER TABLE former_hours RENAME CONSTRAINT usage_hours_pkey TO former_hours_pkey;
ALTER INDEX usage_hours_starts_at_idx RENAME TO former_hours_starts_at_idx;
ALTER TABLE usage_days RENAME TO former_days;
ALTER TABLE former_days RENAME CONSTRAINT usage_days_pkey TO former_days_pkey;
ALTER INDEX usage_days_starts_at_idx RENAME TO former_days_starts_at_idx;

CREATE TABLE usage_hours (
    organization_id uuid NOT NULL,
    key_id uuid NOT NULL,
    route text NOT NULL,
    starts_at timestamptz NOT NULL,
    environment text NOT NULL,
    requests bigint NOT NULL,
    -- Of each status: how many, how long they took (all of them together, and each of those below 400 and from there on), and how
    -- many in each hour of the day.
    statuses bytea NOT NULL,
    all_durations bytea NOT NULL,
    accepted_durations bytea NOT NULL,
    refused_durations bytea NOT NULL,
    hours bytea NOT NULL,
    CONSTRAINT usage_hours_pkey PRIMARY KEY (organization_id, key_id, route, starts_at, environment)
) WITH (toast_tuple_target = 8160);
CREATE TABLE usage_days (
    LIKE usage_hours,
    CONSTRAINT usage_days_pkey PRIMARY KEY (organization_id, key_id, route, starts_at, environment)
) WITH (toast_tuple_target = 8160);
CREATE INDEX usage_hours_starts_at_idx ON usage_hours USING brin (starts_at);
CREATE INDEX usage_days_starts_at_idx ON usage_days USING brin (starts_at);

-- What is there already.
CREATE FUNCTION pg_temp.of_status(status smallint, what bytea) RETURNS bytea IMMUTABLE
    RETURN int2send(status) || int2send(octet_length(what)::smallint) || what;
DO $$
DECLARE
    span text;
BEGIN
    FOREACH span IN ARRAY ARRAY['hours', 'days'] LOOP
        EXECUTE format($q$
            INSERT INTO usage_%1$s
            SELECT organization_id, key_id, route, starts_at, environment, sum(requests),
                string_agg(pg_temp.of_status(status, int8send(requests)), '' ORDER BY status),
                string_agg(pg_temp.of_status(0::smallint, durations), ''),
                coalesce(string_agg(pg_temp.of_status(status, durations), '' ORDER BY status) FILTER (WHERE status < 400), ''),
                coalesce(string_agg(pg_temp.of_status(status, durations), '' ORDER BY status) FILTER (WHERE status >= 400), ''),
                string_agg(pg_temp.of_status(status, hours), '' ORDER BY status)
            FROM former_%1$s GROUP BY 1, 2, 3, 4, 5
        $q$, span);
    END LOOP;
END $$;
DROP TABLE former_hours, former_days;
DROP FUNCTION pg_temp.of_status;

-- What failed is looked for among what was refused, which may be many times as much: the index tells which it is.
DROP INDEX requests_refused_idx;
CREATE INDEX requests_refused_idx ON requests (organization_id, id, status) WHERE status >= 400;
