-- Reports that could not be booked when they were delivered and are delivered again. The rest goes on without
-- them; a later report of the same trade waits here behind its first.
CREATE TABLE later_report (
    session_id text NOT NULL,
    seq        bigint NOT NULL,
    trade_id   uuid NOT NULL,
    -- How often it was answered LATER, or not at all; 0: it waits behind another.
    attempts   integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    detail     text NOT NULL DEFAULT '',
    since      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, seq),
    FOREIGN KEY (session_id, seq) REFERENCES venue_report
);
