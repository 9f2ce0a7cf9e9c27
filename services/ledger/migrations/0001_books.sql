-- The books. One writer at a time changes them: it holds the row of journal_head from its first read
-- to its commit. So the order of transfer.seq is the order of commits, and rows that belong
-- together, written in one transaction, need no foreign keys on the path of every trade.
--
-- Names compare byte by byte (COLLATE "C"), as Python sorts them.

-- Where the journal ends. One row, changed once per batch.
CREATE TABLE journal_head (
    is_it boolean PRIMARY KEY DEFAULT true CHECK (is_it),
    transfer_seq bigint NOT NULL CHECK (transfer_seq >= 0), -- of the latest transfer
    account_id bigint NOT NULL CHECK (account_id >= 0), -- of the latest account
    recorded_at timestamptz -- of the latest transfer
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

INSERT INTO journal_head (transfer_seq, account_id) VALUES (0, 0);

-- What someone owns of one asset, after `version` entries. No index holds a column that changes, so
-- a change touches the table alone (HOT).
CREATE TABLE account (
    id bigint PRIMARY KEY,
    name text COLLATE "C" NOT NULL, -- customer/alice, house/clearing
    asset text COLLATE "C" NOT NULL, -- USD in micros, or a symbol in whole shares
    has_floor boolean NOT NULL, -- never below zero
    state text NOT NULL CHECK (state IN ('open', 'frozen', 'closed')),
    posted bigint NOT NULL, -- the held part included
    held bigint NOT NULL CHECK (held >= 0),
    cost_micros bigint NOT NULL CHECK (cost_micros >= 0), -- of the shares owned, by average cost
    version bigint NOT NULL CHECK (version >= 1),
    UNIQUE (name, asset),
    CONSTRAINT never_below_zero CHECK (NOT has_floor OR posted >= held),
    CONSTRAINT house_has_no_cost CHECK (has_floor OR cost_micros = 0)
) WITH (
    fillfactor = 60,
    autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.01
);

-- What is set aside. `id` is the id of the transfer that placed it.
CREATE TABLE hold (
    id uuid PRIMARY KEY,
    account_id bigint, -- NULL: released before it was placed, so it never will be
    remaining bigint NOT NULL CHECK (remaining >= 0),
    is_open boolean NOT NULL,
    CHECK (is_open OR remaining = 0),
    CHECK (account_id IS NOT NULL OR NOT is_open)
) WITH (fillfactor = 50);

CREATE TYPE transfer_kind AS ENUM ('hold', 'release', 'execution', 'deposit', 'deposit_shares');

-- What was asked for and what it came to, refused or done. Never changed.
CREATE TABLE transfer (
    seq bigint NOT NULL CHECK (seq >= 1), -- 1, 2, 3, ... without gap
    effective_at timestamptz NOT NULL, -- when it happened in the world
    recorded_at timestamptz NOT NULL, -- when it was written here; never falls with rising seq
    amount bigint NOT NULL CHECK (amount >= 0), -- held by a hold, freed by a post or release
    id uuid PRIMARY KEY, -- the idempotency id, good for ever
    kind transfer_kind NOT NULL,
    reason smallint NOT NULL CHECK (reason >= 0), -- 0: done; else the number of the Reason
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 16), -- of the terms
    balances bigint[] NOT NULL, -- account id, version, account id, version, ... right after it
    hold_id uuid, -- the hold drawn on or released
    reference text NOT NULL,
    actor text, -- the operator; NULL: the house itself
    terms text, -- what was asked, if refused; of what is done the entries tell
    CHECK ((reason = 0) = (terms IS NULL))
);
CREATE UNIQUE INDEX transfer_seq ON transfer (seq);

-- One change of one account. Never changed. That (account_id, version) is unique proves that the
-- history has no fork, that version has no gap proves that nothing is lost.
CREATE TABLE entry (
    account_id bigint NOT NULL,
    version bigint NOT NULL CHECK (version >= 1),
    transfer_seq bigint NOT NULL,
    amount bigint NOT NULL, -- 0 where only the held part changes
    balance_after bigint NOT NULL,
    held_after bigint NOT NULL CHECK (held_after >= 0),
    cost_after bigint CHECK (cost_after > 0), -- NULL: none
    PRIMARY KEY (account_id, version)
);
-- The journal in its order. Rows lie in that order, so a summary per page range is all it takes.
CREATE INDEX entry_journal ON entry USING brin (transfer_seq)
    WITH (pages_per_range = 16, autosummarize = on);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the history in % is never changed', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER transfer_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER entry_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The latest version of an account among its entries of transfers up to p_seq; 0 if there is none.
-- Versions have no gap and rise with seq, so halving finds it: 20 looks in a million entries.
CREATE FUNCTION version_at(p_account_id bigint, p_version bigint, p_seq bigint)
RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    low bigint := 0;
    high bigint := p_version; -- a version that exists
    middle bigint;
BEGIN
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        IF (SELECT transfer_seq FROM entry WHERE account_id = p_account_id AND version = middle)
            <= p_seq
        THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;

-- The key of page tokens: all processes of this service share it, and it outlives them.
CREATE TABLE page_token_key (
    is_it boolean PRIMARY KEY DEFAULT true CHECK (is_it),
    key bytea NOT NULL CHECK (octet_length(key) = 32)
);
INSERT INTO page_token_key (key)
VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
