-- Halts in force. scope_name is the customer or the symbol, '' for the firm.
CREATE TABLE halt (
    scope_kind text NOT NULL CHECK (scope_kind IN ('firm', 'customer', 'symbol')),
    scope_name text NOT NULL CHECK ((scope_kind = 'firm') = (scope_name = '')),
    reason_text text NOT NULL CHECK (reason_text <> ''),
    actor text NOT NULL CHECK (actor <> ''),
    halted_at timestamptz NOT NULL,
    PRIMARY KEY (scope_kind, scope_name)
);

-- Every halt and resume an operator asked for, also those that changed nothing. Append-only.
CREATE TABLE halt_audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action text NOT NULL CHECK (action IN ('halt', 'resume')),
    scope_kind text NOT NULL,
    scope_name text NOT NULL,
    reason_text text NOT NULL,
    actor text NOT NULL,
    took_effect boolean NOT NULL,
    at timestamptz NOT NULL
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;

CREATE TRIGGER halt_audit_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON halt_audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Signs of life, read when the message broker is away. One row per worker, written twice a second.
CREATE TABLE worker (
    name text PRIMARY KEY,
    has_broker boolean NOT NULL,
    leads smallint[] NOT NULL,
    seen_at timestamptz NOT NULL
) WITH (fillfactor = 50);
