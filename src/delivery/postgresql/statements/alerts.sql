INSERT INTO alerts (
    id, revision, status, rule, rule_version, title, severity, entity_type, entity, started_at, updated_at,
    accounts, accounts_total, ips, ips_total, summary, "values", matches, evidence_total, attack, document
)
SELECT
    d ->> 'id',
    (d ->> 'revision')::bigint,
    d ->> 'status',
    d ->> 'rule',
    d ->> 'rule_version',
    d ->> 'title',
    d ->> 'severity',
    d ->> 'entity_type',
    d ->> 'entity',
    (d ->> 'started_at')::timestamptz,
    (d ->> 'updated_at')::timestamptz,
    ARRAY(SELECT jsonb_array_elements_text(d -> 'accounts')),
    (d ->> 'accounts_total')::bigint,
    ARRAY(SELECT jsonb_array_elements_text(d -> 'ips')),
    (d ->> 'ips_total')::bigint,
    d ->> 'summary',
    d -> 'values',
    (d ->> 'matches')::bigint,
    (d ->> 'evidence_total')::bigint,
    ARRAY(SELECT jsonb_array_elements_text(d -> 'attack')),
    d
FROM jsonb_array_elements($1::jsonb) AS d
ON CONFLICT (id, started_at) DO UPDATE SET
    revision = excluded.revision,
    status = excluded.status,
    rule = excluded.rule,
    rule_version = excluded.rule_version,
    title = excluded.title,
    severity = excluded.severity,
    entity_type = excluded.entity_type,
    entity = excluded.entity,
    updated_at = excluded.updated_at,
    stored_at = excluded.stored_at,
    accounts = excluded.accounts,
    accounts_total = excluded.accounts_total,
    ips = excluded.ips,
    ips_total = excluded.ips_total,
    summary = excluded.summary,
    "values" = excluded."values",
    matches = excluded.matches,
    evidence_total = excluded.evidence_total,
    attack = excluded.attack,
    document = excluded.document
WHERE alerts.revision < excluded.revision
RETURNING id
