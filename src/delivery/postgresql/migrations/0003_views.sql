-- What dashboards ask: types that every client knows, lists as text. The test alert of
-- `nightlatch alerts test` is in the tables, and in no view.
CREATE VIEW all_alerts AS
SELECT
    id,
    revision,
    status,
    severity,
    array_position(ARRAY['info', 'low', 'medium', 'high', 'critical'], severity) AS severity_rank,
    rule,
    rule_version,
    title,
    entity_type,
    entity,
    started_at,
    updated_at,
    received_at,
    stored_at,
    accounts[1] AS account,
    array_to_string(accounts, ', ') AS accounts,
    accounts_total,
    array_to_string(ips, ', ') AS ips,
    ips_total,
    summary,
    matches,
    evidence_total,
    array_to_string(attack, ', ') AS attack,
    extract(epoch FROM received_at - started_at)::double precision AS seconds_to_alert
FROM alerts
WHERE rule <> 'nightlatch_test';

CREATE VIEW open_alerts AS
SELECT * FROM all_alerts WHERE status <> 'closed';

CREATE VIEW all_incidents AS
SELECT
    id,
    revision,
    status,
    severity,
    array_position(ARRAY['info', 'low', 'medium', 'high', 'critical'], severity) AS severity_rank,
    title,
    started_at,
    updated_at,
    received_at,
    stored_at,
    accounts_total,
    fallen_total,
    alerts_total,
    array_to_string(ips, ', ') AS ips,
    ips_total,
    summary,
    array_to_string(attack, ', ') AS attack,
    sources::text AS sources,
    merged_into
FROM incidents;

-- An incident that another one took over is told there.
CREATE VIEW open_incidents AS
SELECT * FROM all_incidents WHERE status <> 'closed' AND merged_into IS NULL;

-- Each account of each incident, with the last thing that was done with it.
CREATE VIEW incident_victims AS
SELECT
    a.incident_id,
    i.started_at AS incident_started_at,
    i.severity,
    a.account,
    a.fallen,
    a.fell_at,
    a.how,
    (
        SELECT string_agg(coalesce(s.action, '?') || ' x ' || coalesce(s.events, 0), ', ' ORDER BY s.position)
        FROM incident_steps AS s
        WHERE s.incident_id = a.incident_id AND s.account = a.account
    ) AS done
FROM incident_accounts AS a
JOIN incidents AS i ON i.id = a.incident_id;

-- What happened in an incident, in order: its alerts, who fell, what was done then.
CREATE VIEW incident_timeline AS
SELECT
    m.incident_id,
    m.started_at AS time,
    'alert' AS kind,
    m.entity AS who,
    m.rule || coalesce(': ' || a.summary, '') AS what,
    m.severity,
    m.alert_id
FROM incident_alerts AS m
LEFT JOIN alerts AS a ON a.id = m.alert_id AND a.started_at = m.started_at
UNION ALL
SELECT incident_id, fell_at, 'fell', account, coalesce(how, ''), 'critical', NULL
FROM incident_accounts
WHERE fallen
UNION ALL
SELECT
    incident_id,
    from_at,
    'step',
    account,
    coalesce(action, '?') || ' x ' || coalesce(events, 0)
        || CASE WHEN resources = '{}' THEN '' ELSE ' of ' || array_to_string(resources, ', ') END
        || coalesce(' from ' || ip, ''),
    'high',
    NULL
FROM incident_steps;

-- The events that prove an incident.
CREATE VIEW incident_evidence AS
SELECT
    m.incident_id,
    e.time,
    m.rule,
    m.alert_id,
    e.event_id,
    e.source,
    coalesce(e.file || ':' || e.line, e.topic || '/' || e.kafka_partition || '/' || e.kafka_offset) AS place
FROM incident_alerts AS m
JOIN alert_evidence AS e ON e.alert_id = m.alert_id AND e.started_at = m.started_at;

-- Countries that the alerts of an incident name, by ISO 3166 code.
CREATE VIEW incident_countries AS
SELECT m.incident_id, a."values" ->> 'country' AS country, count(*) AS alerts
FROM incident_alerts AS m
JOIN alerts AS a ON a.id = m.alert_id AND a.started_at = m.started_at
WHERE a."values" ->> 'country' IS NOT NULL
GROUP BY m.incident_id, a."values" ->> 'country';

-- Everything that is known about an account, in order.
CREATE VIEW account_story AS
SELECT
    n.account,
    a.started_at AS time,
    'alert' AS kind,
    a.rule AS what,
    a.severity,
    a.summary,
    a.status,
    array_to_string(a.ips, ', ') AS ips,
    a.id AS alert_id,
    NULL AS incident_id
FROM alert_accounts AS n
JOIN alerts AS a ON a.id = n.alert_id AND a.started_at = n.started_at
WHERE a.rule <> 'nightlatch_test'
UNION ALL
SELECT
    n.account,
    coalesce(n.fell_at, i.started_at),
    CASE WHEN n.fallen THEN 'fell' ELSE 'incident' END,
    i.title,
    i.severity,
    CASE WHEN n.fallen THEN coalesce(n.how, '') ELSE i.summary END,
    i.status,
    array_to_string(i.ips, ', '),
    NULL,
    i.id
FROM incident_accounts AS n
JOIN incidents AS i ON i.id = n.incident_id
UNION ALL
SELECT
    s.account,
    s.from_at,
    'step',
    coalesce(s.action, '?'),
    i.severity,
    coalesce(s.events, 0) || CASE WHEN s.resources = '{}' THEN ''
        ELSE ' x ' || array_to_string(s.resources, ', ') END,
    i.status,
    coalesce(s.ip, ''),
    NULL,
    i.id
FROM incident_steps AS s
JOIN incidents AS i ON i.id = s.incident_id;

-- Alerts of each rule a day.
CREATE VIEW rule_volume AS
SELECT
    date_trunc('day', started_at) AS day,
    rule,
    severity,
    count(*) AS alerts,
    count(*) FILTER (WHERE status <> 'closed') AS open,
    sum(accounts_total)::bigint AS accounts,
    sum(matches)::bigint AS matches
FROM alerts
WHERE rule <> 'nightlatch_test'
GROUP BY date_trunc('day', started_at), rule, severity;

-- Accounts that fell each day; one that fell twice counts twice.
CREATE VIEW takeovers_by_day AS
SELECT
    date_trunc('day', n.fell_at) AS day,
    count(DISTINCT (n.account, n.fell_at)) AS takeovers,
    count(DISTINCT n.account) AS accounts,
    count(DISTINCT n.incident_id) AS incidents
FROM incident_accounts AS n
JOIN incidents AS i ON i.id = n.incident_id
WHERE n.fallen AND i.merged_into IS NULL
GROUP BY date_trunc('day', n.fell_at);
