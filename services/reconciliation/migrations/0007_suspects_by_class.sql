-- Each difference of an execution has a grace of its own. Class 0: all of them, noticed before they were told apart.
ALTER TABLE suspect ADD COLUMN class smallint NOT NULL DEFAULT 0;
ALTER TABLE suspect DROP CONSTRAINT suspect_pkey, ADD PRIMARY KEY (venue, execution_id, class);
