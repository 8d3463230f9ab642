-- Accounts that somebody inside the company looked at: how many, and which.
ALTER TABLE incidents ADD COLUMN viewed_total bigint NOT NULL DEFAULT 0;
ALTER TABLE incident_accounts ADD COLUMN viewed boolean NOT NULL DEFAULT false;

UPDATE incidents
SET viewed_total = (document ->> 'viewed_total')::bigint
WHERE document ? 'viewed_total';

UPDATE incident_accounts AS a
SET viewed = true
FROM
    incidents AS i,
    jsonb_array_elements(jsonb_path_query_array(i.document, '$.viewed[*]')) AS v (item)
WHERE i.id = a.incident_id AND v.item ->> 'account' = a.account;

-- A view takes new columns at its end.
CREATE OR REPLACE VIEW all_incidents AS
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
    merged_into,
    viewed_total
FROM incidents;

CREATE OR REPLACE VIEW open_incidents AS
SELECT * FROM all_incidents WHERE status <> 'closed' AND merged_into IS NULL;

CREATE OR REPLACE VIEW incident_victims AS
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
    ) AS done,
    a.viewed
FROM incident_accounts AS a
JOIN incidents AS i ON i.id = a.incident_id;
