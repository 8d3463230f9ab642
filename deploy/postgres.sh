#!/usr/bin/env bash
# Run once by the PostgreSQL image of docker-compose.yml, on an empty volume: the user who writes, and
# the user who reads and does nothing else.
set -euo pipefail
secrets=${SECRETS:-/run/secrets}

psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres \
  --set=writer="$(cat "$secrets/writer")" --set=reader="$(cat "$secrets/reader")" <<'SQL'
CREATE ROLE nightlatch LOGIN PASSWORD :'writer';
CREATE ROLE grafana LOGIN PASSWORD :'reader';
CREATE DATABASE nightlatch OWNER nightlatch ENCODING 'UTF8' TEMPLATE template0;
\connect nightlatch
ALTER DEFAULT PRIVILEGES FOR ROLE nightlatch GRANT USAGE ON SCHEMAS TO grafana;
ALTER DEFAULT PRIVILEGES FOR ROLE nightlatch GRANT SELECT ON TABLES TO grafana;
ALTER ROLE grafana SET default_transaction_read_only = on;
ALTER ROLE grafana SET statement_timeout = '30s';
SQL
