-- Attempts on a trade that ended in a fault of the house. A trade with too many is parked: it stays the
-- head of its customer's queue and nobody takes it up until an operator releases it or has it rejected.
ALTER TABLE open_trade
    ADD COLUMN faults integer NOT NULL DEFAULT 0 CHECK (faults >= 0),
    ADD COLUMN fault_text text NOT NULL DEFAULT '',
    ADD COLUMN parked_at timestamptz,
    ADD COLUMN is_condemned boolean NOT NULL DEFAULT false, -- an operator has decided to reject it
    ADD CHECK (parked_at IS NOT NULL OR NOT is_condemned);
CREATE INDEX open_trade_parked ON open_trade (parked_at) WHERE parked_at IS NOT NULL;

-- Who parked, released or condemned what, and why. Append-only.
CREATE TABLE parking_audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action text NOT NULL CHECK (action IN ('park', 'release', 'condemn')),
    trade_id uuid NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    faults integer NOT NULL,
    actor text NOT NULL CHECK (actor <> ''), -- an operator, or 'house'
    reason_text text NOT NULL,
    at timestamptz NOT NULL
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;

CREATE TRIGGER parking_audit_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON parking_audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Since when a trade is in doubt.
ALTER TABLE trade ADD COLUMN in_doubt_since timestamptz;
ALTER TABLE trade_event ADD COLUMN in_doubt_since timestamptz;
UPDATE trade SET in_doubt_since = updated_at WHERE in_doubt;
UPDATE trade_event SET in_doubt_since = occurred_at WHERE in_doubt;
ALTER TABLE trade ADD CHECK (in_doubt = (in_doubt_since IS NOT NULL));
CREATE INDEX trade_in_doubt ON trade (in_doubt_since) WHERE in_doubt_since IS NOT NULL;
