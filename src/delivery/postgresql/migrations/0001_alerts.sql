-- One row an alert: its highest revision. A day of `started_at` is a partition, so that old days go
-- at once; an alert's start never changes, so its id stays unique.
CREATE TABLE alerts (
    id             text        NOT NULL,
    revision       bigint      NOT NULL,
    status         text        NOT NULL,
    rule           text        NOT NULL,
    rule_version   text        NOT NULL,
    title          text        NOT NULL,
    severity       text        NOT NULL,
    entity_type    text        NOT NULL,
    entity         text        NOT NULL,
    started_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    -- When its first revision was stored, and when its newest one was.
    received_at    timestamptz NOT NULL DEFAULT now(),
    stored_at      timestamptz NOT NULL DEFAULT now(),
    accounts       text[]      NOT NULL,
    accounts_total bigint      NOT NULL,
    ips            text[]      NOT NULL,
    ips_total      bigint      NOT NULL,
    summary        text        NOT NULL,
    "values"       jsonb       NOT NULL,
    matches        bigint      NOT NULL,
    evidence_total bigint      NOT NULL,
    attack         text[]      NOT NULL,
    document       jsonb       NOT NULL,
    PRIMARY KEY (id, started_at)
) PARTITION BY RANGE (started_at);

CREATE INDEX alerts_started_at ON alerts (started_at DESC);
CREATE INDEX alerts_stored_at ON alerts (stored_at);
CREATE INDEX alerts_open ON alerts (started_at DESC) WHERE status <> 'closed';

-- Events that made it fire.
CREATE TABLE alert_evidence (
    alert_id        text        NOT NULL,
    started_at      timestamptz NOT NULL,
    position        bigint      NOT NULL,
    time            timestamptz,
    event_id        text,
    source          text,
    file            text,
    line            bigint,
    topic           text,
    kafka_partition bigint,
    kafka_offset    bigint,
    PRIMARY KEY (alert_id, started_at, position)
) PARTITION BY RANGE (started_at);

-- Accounts that it names, a row each. Names may be longer than a tree's key, hence the hash.
CREATE TABLE alert_accounts (
    alert_id   text        NOT NULL,
    started_at timestamptz NOT NULL,
    position   bigint      NOT NULL,
    account    text        NOT NULL,
    PRIMARY KEY (alert_id, started_at, position)
) PARTITION BY RANGE (started_at);

CREATE INDEX alert_accounts_account ON alert_accounts USING hash (account);
