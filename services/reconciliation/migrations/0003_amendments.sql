-- Busts and corrections are told by all four sources: under which id of the venue. Empty: the row is none.
ALTER TABLE sighting ADD COLUMN amendment_id text COLLATE "C" NOT NULL DEFAULT '';

ALTER TABLE break DROP CONSTRAINT break_class_check;
ALTER TABLE break ADD CHECK (class BETWEEN 1 AND 18);

-- Where fills were amended before, every source is read once more from its beginning: nothing is a break until all of
-- them are read.
UPDATE reading SET read_position = 0, read_venue = '', read_execution_id = ''
WHERE EXISTS (SELECT FROM sighting WHERE source = 1 AND NOT is_fill);
