INSERT INTO incident_steps (
    incident_id, account, position, from_at, to_at, action, events, resources, ip
)
SELECT
    d ->> 'id',
    f.item ->> 'account',
    s.position,
    (s.item ->> 'from')::timestamptz,
    (s.item ->> 'to')::timestamptz,
    s.item ->> 'action',
    (s.item ->> 'count')::bigint,
    ARRAY(SELECT jsonb_array_elements_text(jsonb_path_query_array(s.item, '$.resources[*]'))),
    s.item ->> 'ip'
FROM
    jsonb_array_elements($1::jsonb) AS d,
    jsonb_array_elements(jsonb_path_query_array(d, '$.fallen[*]')) AS f (item),
    jsonb_array_elements(jsonb_path_query_array(f.item, '$.steps[*]')) WITH ORDINALITY AS s (item, position)
