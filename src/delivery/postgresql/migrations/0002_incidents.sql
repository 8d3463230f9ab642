-- Incidents are few, and their start moves when an earlier alert joins: no partitions.
CREATE TABLE incidents (
    id             text        PRIMARY KEY,
    revision       bigint      NOT NULL,
    status         text        NOT NULL,
    title          text        NOT NULL,
    severity       text        NOT NULL,
    started_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    received_at    timestamptz NOT NULL DEFAULT now(),
    stored_at      timestamptz NOT NULL DEFAULT now(),
    accounts_total bigint      NOT NULL,
    ips            text[]      NOT NULL,
    ips_total      bigint      NOT NULL,
    alerts_total   bigint      NOT NULL,
    fallen_total   bigint      NOT NULL,
    summary        text        NOT NULL,
    attack         text[]      NOT NULL,
    sources        jsonb       NOT NULL,
    merged_into    text,
    document       jsonb       NOT NULL
);

CREATE INDEX incidents_started_at ON incidents (started_at DESC);
CREATE INDEX incidents_stored_at ON incidents (stored_at);

-- Its alerts, in the order of their starts.
CREATE TABLE incident_alerts (
    incident_id text   NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    position    bigint NOT NULL,
    alert_id    text   NOT NULL,
    rule        text,
    severity    text,
    entity_type text,
    entity      text,
    started_at  timestamptz,
    PRIMARY KEY (incident_id, position)
);

CREATE INDEX incident_alerts_alert ON incident_alerts USING hash (alert_id);

-- Accounts that it touched; of those that fell, when and how.
CREATE TABLE incident_accounts (
    incident_id text    NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    account     text    NOT NULL,
    fallen      boolean NOT NULL,
    fell_at     timestamptz,
    how         text
);

CREATE INDEX incident_accounts_incident ON incident_accounts (incident_id);
CREATE INDEX incident_accounts_account ON incident_accounts USING hash (account);

-- What was done with an account that fell, in order.
CREATE TABLE incident_steps (
    incident_id text   NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    account     text   NOT NULL,
    position    bigint NOT NULL,
    from_at     timestamptz,
    to_at       timestamptz,
    action      text,
    events      bigint,
    resources   text[] NOT NULL,
    ip          text
);

CREATE INDEX incident_steps_incident ON incident_steps (incident_id);
CREATE INDEX incident_steps_account ON incident_steps USING hash (account);
