-- What the exchange gateway said can be traded, kept so that trades can be placed while it is away.
CREATE TABLE instrument (
    symbol text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    is_tradable boolean NOT NULL,
    updated_at timestamptz NOT NULL
);

-- The key page tokens are sealed with: one for all processes and every restart.
CREATE TABLE page_token_key (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    key bytea NOT NULL CHECK (octet_length(key) = 32)
);
INSERT INTO page_token_key (key)
VALUES (decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));
