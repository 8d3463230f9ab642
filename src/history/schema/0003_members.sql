-- Version 3. Which incident an alert belongs to.
CREATE TABLE members (
    alert TEXT NOT NULL,
    finding INTEGER NOT NULL REFERENCES findings ON DELETE CASCADE,
    PRIMARY KEY (alert, finding)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_finding ON members (finding);

INSERT OR IGNORE INTO members (alert, finding)
SELECT json_extract(member.value, '$.id'), d.finding
FROM documents AS d JOIN findings AS f ON f.finding = d.finding, json_each(d.document, '$.alerts') AS member
WHERE f.kind = 'incident' AND json_extract(member.value, '$.id') IS NOT NULL;
