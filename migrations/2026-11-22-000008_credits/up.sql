-- Below so many credits an organization is warned; none: it is not.
ALTER TABLE credit_balances ADD COLUMN low_threshold bigint
    CONSTRAINT credit_balances_low_threshold_check CHECK (low_threshold BETWEEN 1 AND 1000000000000);

-- What was given, corrected and released: few among many holds and settles, which need no index to be found soon.
CREATE INDEX credit_entries_kind_idx ON credit_entries (organization_id, kind, sequence) WHERE kind NOT IN ('hold', 'settle');

-- The ledger by the hour (UTC), kept in the transaction of its entries: figures, charts and periods at the price of hours.
CREATE TABLE credit_hours (
    organization_id uuid NOT NULL
        CONSTRAINT credit_hours_organization_id_fkey REFERENCES organizations (id),
    hour timestamptz NOT NULL,
    -- Of the hour's last entry.
    last_sequence bigint NOT NULL,
    available_after bigint NOT NULL,
    held_after bigint NOT NULL,
    -- Credits settled in the hour, and the sum of its grants and adjustments.
    settled bigint NOT NULL CONSTRAINT credit_hours_settled_check CHECK (settled >= 0),
    given bigint NOT NULL,
    CONSTRAINT credit_hours_pkey PRIMARY KEY (organization_id, hour)
) WITH (fillfactor = 50);

INSERT INTO credit_hours (organization_id, hour, last_sequence, available_after, held_after, settled, given)
SELECT h.organization_id, h.hour, h.last_sequence, e.available_after, e.held_after, h.settled, h.given
FROM (
    SELECT organization_id, date_trunc('hour', at, 'UTC') AS hour, max(sequence) AS last_sequence,
        coalesce(sum(-held_amount) FILTER (WHERE kind = 'settle'), 0) AS settled,
        coalesce(sum(amount) FILTER (WHERE kind IN ('grant', 'adjust')), 0) AS given
    FROM credit_entries
    GROUP BY 1, 2
) h
    JOIN credit_entries e ON e.organization_id = h.organization_id AND e.sequence = h.last_sequence;
