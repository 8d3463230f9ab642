INSERT INTO alert_evidence (
    alert_id, started_at, position, time, event_id, source, file, line, topic, kafka_partition, kafka_offset
)
SELECT
    d ->> 'id',
    (d ->> 'started_at')::timestamptz,
    e.position,
    (e.item ->> 'time')::timestamptz,
    e.item ->> 'event_id',
    e.item ->> 'source',
    e.item ->> 'file',
    (e.item ->> 'line')::bigint,
    e.item ->> 'topic',
    (e.item ->> 'partition')::bigint,
    (e.item ->> 'offset')::bigint
FROM
    jsonb_array_elements($1::jsonb) AS d,
    jsonb_array_elements(d -> 'evidence') WITH ORDINALITY AS e (item, position)
