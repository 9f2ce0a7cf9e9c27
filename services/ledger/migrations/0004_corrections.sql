-- What an exchange takes back of an execution is booked by new entries.
ALTER TYPE transfer_kind ADD VALUE 'bust' AFTER 'reversal';
ALTER TYPE transfer_kind ADD VALUE 'correction' AFTER 'bust';

-- Whatever undoes a transfer, it is undone once.
DROP INDEX reversed_once;
CREATE UNIQUE INDEX reversed_once ON transfer (reverses)
    WHERE reverses IS NOT NULL AND kind <> 'reversal_request' AND reason = 0;
