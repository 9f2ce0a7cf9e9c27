-- What operators ask to reverse is rare among transfers, and is listed.
CREATE INDEX reversal_requested ON transfer (seq)
    WHERE kind = 'reversal_request' AND reason = 0;
