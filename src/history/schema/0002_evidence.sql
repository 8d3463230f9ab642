-- Version 2. The document has the evidence: a table of it cost as much as all the rest of a finding.
DROP TABLE evidence;
CREATE VIEW evidence (finding, position, time, source, file, line, topic, partition, "offset", event_id) AS
SELECT d.finding, e.key + 1, e.value ->> 'time', e.value ->> 'source', e.value ->> 'file', e.value ->> 'line',
    e.value ->> 'topic', e.value ->> 'partition', e.value ->> 'offset', e.value ->> 'event_id'
FROM documents AS d, json_each(d.document, '$.evidence') AS e;
