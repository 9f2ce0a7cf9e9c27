-- The books. One writer at a time changes them: it holds the row of journal_head from its first read
-- to its commit. So the order of transfer.seq is the order of commits, and rows that belong
-- together, written in one transaction, need no foreign keys on the path of every trade.
--
-- Names compare byte by byte (COLLATE "C"), as Python sorts them.

-- Where the journal ends, and who may write it. One row, changed once per batch.
CREATE TABLE journal_head (
    is_it boolean PRIMARY KEY DEFAULT true CHECK (is_it),
    transfer_seq bigint NOT NULL CHECK (transfer_seq >= 0), -- of the latest transfer
    account_id integer NOT NULL CHECK (account_id >= 0), -- the latest that an account took
    batch_seq bigint NOT NULL CHECK (batch_seq >= 0), -- of the latest batch
    batch_hash bytea NOT NULL CHECK (octet_length(batch_hash) = 32), -- of the latest batch
    recorded_at timestamptz, -- of the latest transfer
    writer_epoch bigint NOT NULL CHECK (writer_epoch >= 0) -- only the writer of this epoch writes
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

INSERT INTO journal_head (transfer_seq, account_id, batch_seq, batch_hash, writer_epoch)
VALUES (0, 0, 0, decode(repeat('00', 32), 'hex'), 0);

-- Which process is the writer. It says so again and again; when it no longer does, another raises
-- the epoch, here and in journal_head, and is the writer.
CREATE TABLE writer (
    is_it boolean PRIMARY KEY DEFAULT true CHECK (is_it),
    epoch bigint NOT NULL,
    seen_at timestamptz NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

INSERT INTO writer (epoch, seen_at) VALUES (0, '-infinity');

-- What someone owns of one asset, after `version` entries. No index holds a column that changes, so
-- a change touches the table alone (HOT).
CREATE TABLE account (
    id integer PRIMARY KEY, -- one without a floor takes a span of ids: see entry_key
    name text COLLATE "C" NOT NULL, -- customer/alice, house/clearing
    asset text COLLATE "C" NOT NULL, -- USD in micros, or a symbol in whole shares
    has_floor boolean NOT NULL, -- never below zero
    posted bigint NOT NULL, -- the held part included
    held bigint NOT NULL CHECK (held >= 0),
    cost_micros bigint NOT NULL CHECK (cost_micros >= 0), -- of the shares owned, by average cost
    version bigint NOT NULL CHECK (version >= 1),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32), -- of its latest entry
    UNIQUE (name, asset),
    CONSTRAINT never_below_zero CHECK (NOT has_floor OR posted >= held),
    CONSTRAINT house_has_no_cost CHECK (has_floor OR cost_micros = 0)
) WITH (
    fillfactor = 60,
    autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.01
);

-- Names whose accounts, those to come included, are not open.
CREATE TABLE restraint (
    name text COLLATE "C" PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('open', 'frozen', 'closed')) -- open: it was frozen once
);

-- What is set aside. `id` is the id of the transfer that placed it.
CREATE TABLE hold (
    id uuid PRIMARY KEY,
    account_id integer, -- NULL: released before it was placed, so it never will be
    remaining bigint NOT NULL CHECK (remaining >= 0),
    is_open boolean NOT NULL,
    CHECK (is_open OR remaining = 0),
    CHECK (account_id IS NOT NULL OR NOT is_open)
) WITH (fillfactor = 50);

CREATE TYPE transfer_kind AS ENUM (
    'hold', 'release', 'execution', 'deposit', 'deposit_shares', 'withdraw', 'withdraw_shares',
    'transfer', 'reversal_request', 'reversal', 'freeze', 'unfreeze', 'close'
);

-- What was asked for and what it came to, refused or done. Never changed. What is absent in most
-- rows is NULL, which costs nothing.
CREATE TABLE transfer (
    seq bigint NOT NULL CHECK (seq >= 1), -- 1, 2, 3, ... without gap
    id uuid NOT NULL, -- the idempotency id, good for ever
    kind transfer_kind NOT NULL,
    reason smallint NOT NULL CHECK (reason >= 0), -- 0: done; else the number of the Reason
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 16), -- of the terms
    reference text NOT NULL,
    effective_at timestamptz, -- when it happened in the world; NULL: as recorded, see batch
    amount bigint CHECK (amount > 0), -- held by a hold, freed by a post or release; NULL: nothing
    hold_id uuid, -- the hold drawn on or released
    reverses uuid, -- the transfer that this one reverses, or asks to reverse
    actor text, -- who asked; NULL: the house itself
    terms text, -- what was asked, where the entries do not tell
    hash bytea CHECK (octet_length(hash) = 32), -- NULL: the hashes of its entries cover it
    CHECK (reason = 0 OR terms IS NOT NULL),
    CONSTRAINT transfer_pkey PRIMARY KEY (id) WITH (fillfactor = 100)
);
CREATE UNIQUE INDEX transfer_seq ON transfer (seq) WITH (fillfactor = 100);
CREATE UNIQUE INDEX reversed_once ON transfer (reverses) WHERE kind = 'reversal' AND reason = 0;

-- One change of one account. Never changed. That (account_id, version) is unique proves that the
-- history has no fork, that version has no gap proves that nothing is lost.
CREATE TABLE entry (
    version bigint NOT NULL CHECK (version >= 1),
    transfer_seq bigint NOT NULL,
    amount bigint NOT NULL, -- 0 where only the held part changes
    balance_after bigint NOT NULL,
    account_id integer NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32), -- goes on from that of the version before
    held_after bigint CHECK (held_after > 0), -- NULL: nothing
    cost_after bigint CHECK (cost_after > 0) -- NULL: nothing
);

-- An account's version as one number of 8 bytes, which makes the index a third smaller than both
-- columns would. 2^32 versions fit before the numbers of the next id begin. An account without a
-- floor is the house's and is in every fill: it takes 1024 ids, and so has room for 2^42.
CREATE FUNCTION entry_key(p_account_id integer, p_version bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (p_account_id::bigint << 32) + p_version;

-- Who looks for an entry must ask for its entry_key.
CREATE UNIQUE INDEX entry_version ON entry (entry_key(account_id, version)) WITH (fillfactor = 100);
-- The journal in its order. Rows lie in that order, so a summary per page range is all it takes.
CREATE INDEX entry_journal ON entry USING brin (transfer_seq)
    WITH (pages_per_range = 16, autosummarize = on);

-- The transfers of one transaction, all recorded at one time. Never changed.
CREATE TABLE batch (
    seq bigint PRIMARY KEY, -- 1, 2, 3, ... without gap
    first_seq bigint NOT NULL CHECK (first_seq >= 1),
    last_seq bigint NOT NULL UNIQUE CHECK (last_seq >= first_seq),
    recorded_at timestamptz NOT NULL, -- never falls with rising seq
    hash bytea NOT NULL CHECK (octet_length(hash) = 32) -- goes on from that of the batch before
);

-- Signatures under all that was written up to last_transfer_seq. Never changed.
CREATE TABLE checkpoint (
    seq bigint PRIMARY KEY, -- 1, 2, 3, ... without gap
    last_transfer_seq bigint NOT NULL UNIQUE,
    last_batch_seq bigint NOT NULL,
    last_batch_hash bytea NOT NULL,
    merkle_root bytea NOT NULL,
    previous_hash bytea NOT NULL,
    sealed_at timestamptz NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL
);

-- History is never changed: this role may not, and whoever may is stopped all the same.
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
CREATE TRIGGER batch_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON batch
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER checkpoint_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON transfer, entry, batch, checkpoint FROM CURRENT_USER;
-- Of these, rows change but none ever goes.
REVOKE DELETE, TRUNCATE ON journal_head, writer, account, restraint, hold FROM CURRENT_USER;

-- The latest version of an account among its entries of transfers up to p_seq; 0 if there is none.
-- Versions have no gap and rise with seq, so halving finds it: 20 looks in a million entries.
CREATE FUNCTION version_at(p_account_id integer, p_version bigint, p_seq bigint)
RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    low bigint := 0;
    high bigint := p_version; -- a version that exists
    middle bigint;
BEGIN
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        IF (
            SELECT transfer_seq FROM entry
            WHERE entry_key(account_id, version) = entry_key(p_account_id, middle)
        ) <= p_seq
        THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;

-- The latest transfer that was recorded by p_at; 0 if there is none. Times never fall with rising seq.
CREATE FUNCTION seq_at(p_at timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    low bigint := 0; -- of batches
    high bigint := (SELECT batch_seq FROM journal_head);
    middle bigint;
BEGIN
    IF p_at = 'infinity' THEN
        RETURN (SELECT transfer_seq FROM journal_head);
    END IF;
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        IF (SELECT recorded_at FROM batch WHERE seq = middle) <= p_at THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN coalesce((SELECT last_seq FROM batch WHERE seq = low), 0);
END
$$;

-- Micros since 1970, exact.
CREATE FUNCTION micros_of(p_at timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN (extract(epoch FROM p_at) * 1000000)::bigint;

-- The key of page tokens: all processes of this service share it, and it outlives them.
CREATE TABLE page_token_key (
    is_it boolean PRIMARY KEY DEFAULT true CHECK (is_it),
    key bytea NOT NULL CHECK (octet_length(key) = 32)
);
INSERT INTO page_token_key (key)
VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
