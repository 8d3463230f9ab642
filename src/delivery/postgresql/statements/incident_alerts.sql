INSERT INTO incident_alerts (
    incident_id, position, alert_id, rule, severity, entity_type, entity, started_at
)
SELECT
    d ->> 'id',
    a.position,
    a.item ->> 'id',
    a.item ->> 'rule',
    a.item ->> 'severity',
    a.item ->> 'entity_type',
    a.item ->> 'entity',
    (a.item ->> 'started_at')::timestamptz
FROM
    jsonb_array_elements($1::jsonb) AS d,
    jsonb_array_elements(jsonb_path_query_array(d, '$.alerts[*]')) WITH ORDINALITY AS a (item, position)
