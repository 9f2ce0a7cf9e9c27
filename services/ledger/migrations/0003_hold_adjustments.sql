-- More or less is set aside by a hold that was placed before.
ALTER TYPE transfer_kind ADD VALUE 'hold_adjustment' AFTER 'hold';
