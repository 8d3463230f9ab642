-- Version 1. An alert and an incident are both a finding: one row each, with what filters ask for.
CREATE TABLE findings (
    finding INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    status TEXT NOT NULL,
    rule TEXT NOT NULL,
    severity INTEGER NOT NULL,
    entity_type TEXT NOT NULL,
    entity TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    revised_at INTEGER NOT NULL,
    verdict TEXT,
    UNIQUE (kind, id)
) STRICT;

-- What a page filters by stands in the index, so that only rows of the page are looked up.
CREATE INDEX findings_by_time ON findings (kind, started_at, finding, severity, status);
CREATE INDEX findings_by_rule ON findings (kind, rule, started_at, finding, severity, status, verdict);
CREATE INDEX findings_by_entity ON findings (kind, entity, started_at, finding);
CREATE INDEX findings_by_receipt ON findings (revised_at);
CREATE INDEX findings_judged ON findings (kind, rule, verdict) WHERE verdict IS NOT NULL;

-- Apart, so that a walk over findings does not read them.
CREATE TABLE documents (
    finding INTEGER PRIMARY KEY REFERENCES findings ON DELETE CASCADE,
    document TEXT NOT NULL
) STRICT;

-- Accounts and addresses of a finding, in the order of pages.
CREATE TABLE names (
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finding INTEGER NOT NULL REFERENCES findings ON DELETE CASCADE,
    PRIMARY KEY (type, name, kind, started_at, finding)
) STRICT, WITHOUT ROWID;
CREATE INDEX names_by_finding ON names (finding);

CREATE TABLE revisions (
    finding INTEGER NOT NULL REFERENCES findings ON DELETE CASCADE,
    revision INTEGER NOT NULL,
    status TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (finding, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE evidence (
    finding INTEGER NOT NULL REFERENCES findings ON DELETE CASCADE,
    position INTEGER NOT NULL,
    time TEXT NOT NULL,
    source TEXT,
    file TEXT,
    line INTEGER,
    topic TEXT,
    partition INTEGER,
    "offset" INTEGER,
    event_id TEXT,
    PRIMARY KEY (finding, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE verdicts (
    number INTEGER PRIMARY KEY,
    finding INTEGER NOT NULL REFERENCES findings ON DELETE CASCADE,
    verdict TEXT NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    token TEXT,
    given_at INTEGER NOT NULL
) STRICT;
CREATE INDEX verdicts_by_finding ON verdicts (finding);
