INSERT INTO incidents (
    id, revision, status, title, severity, started_at, updated_at, accounts_total, ips, ips_total,
    alerts_total, fallen_total, viewed_total, summary, attack, sources, merged_into, document
)
SELECT
    d ->> 'id',
    (d ->> 'revision')::bigint,
    d ->> 'status',
    d ->> 'title',
    d ->> 'severity',
    (d ->> 'started_at')::timestamptz,
    (d ->> 'updated_at')::timestamptz,
    (d ->> 'accounts_total')::bigint,
    ARRAY(SELECT jsonb_array_elements_text(d -> 'ips')),
    (d ->> 'ips_total')::bigint,
    coalesce((d ->> 'alerts_total')::bigint, (d ->> 'matches')::bigint),
    coalesce((d ->> 'fallen_total')::bigint, 0),
    coalesce((d ->> 'viewed_total')::bigint, 0),
    d ->> 'summary',
    ARRAY(SELECT jsonb_array_elements_text(d -> 'attack')),
    coalesce(d -> 'sources', '{}'),
    d ->> 'merged_into',
    d
FROM jsonb_array_elements($1::jsonb) AS d
ON CONFLICT (id) DO UPDATE SET
    revision = excluded.revision,
    status = excluded.status,
    title = excluded.title,
    severity = excluded.severity,
    started_at = excluded.started_at,
    updated_at = excluded.updated_at,
    stored_at = excluded.stored_at,
    accounts_total = excluded.accounts_total,
    ips = excluded.ips,
    ips_total = excluded.ips_total,
    alerts_total = excluded.alerts_total,
    fallen_total = excluded.fallen_total,
    viewed_total = excluded.viewed_total,
    summary = excluded.summary,
    attack = excluded.attack,
    sources = excluded.sources,
    merged_into = excluded.merged_into,
    document = excluded.document
WHERE incidents.revision < excluded.revision
RETURNING id
