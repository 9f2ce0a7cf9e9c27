-- Dates that an operator has given other hours than the calendar the exchange comes with; null: it does not open.
CREATE TABLE trading_day (
    day date PRIMARY KEY,
    opens_at timestamptz,
    closes_at timestamptz,
    reason_text text NOT NULL,
    CHECK (num_nulls(opens_at, closes_at) IN (0, 2)),
    CHECK (opens_at < closes_at)
);
