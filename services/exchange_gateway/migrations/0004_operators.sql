-- What operators did, for ever.
CREATE TABLE operator_action (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id  text NOT NULL,
    actor       text NOT NULL CHECK (actor <> ''),
    action      text NOT NULL,
    trade_id    uuid,
    report_seq  bigint,
    reason_text text NOT NULL CHECK (reason_text <> ''),
    evidence    text NOT NULL DEFAULT '',
    detail      text NOT NULL DEFAULT '',
    done_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX operator_action_by_trade ON operator_action (trade_id) WHERE trade_id IS NOT NULL;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the history in % is never changed', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER operator_action_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON operator_action
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON operator_action FROM CURRENT_USER;

-- Who said it: empty for the venue, else the operator who wrote it.
ALTER TABLE venue_report ADD COLUMN author text NOT NULL DEFAULT '';
-- Fills of a trade: the same execution counts once.
CREATE INDEX venue_report_fill ON venue_report (trade_id) WHERE kind = 2;

-- 1 parked, 2 retried (it held, and was delivered), 3 dismissed. Only the first is an alarm.
ALTER TABLE parked_report ADD COLUMN state smallint NOT NULL DEFAULT 1 CHECK (state IN (1, 2, 3));
CREATE INDEX parked_report_open ON parked_report (session_id, seq) WHERE state = 1;
