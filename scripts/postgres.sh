#!/usr/bin/env bash
# Makes sure that a PostgreSQL answers on 127.0.0.1 for the user postgres, without a password: the one that does, or Debian's, started here.
# PGPORT chooses another port than 5432.
set -euo pipefail

port="${PGPORT:-5432}"

# Asks by the same way as the tests, so without psql.
answers() {
  (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null
}

if answers; then exit 0; fi

programs() {
  # The newest of those that are installed.
  find /usr/lib/postgresql -path '*/bin/pg_ctl' -printf '%h\n' 2> /dev/null | sort -V | tail -n 1
}

if [ -z "$(programs)" ]; then
  apt-get update
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql
  # Installing starts one where services may start.
  if answers; then exit 0; fi
fi

bin="$(programs)"
# A cluster of its own, so none that is there is touched; trust, as only this machine reaches it.
data="${PGTESTDATA:-/var/tmp/lastwrite-postgres-$port}"
as_postgres() {
  if [ "$(id -u)" -eq 0 ]; then
    runuser -u postgres -- "$@"
  else
    "$@"
  fi
}
if [ ! -s "$data/PG_VERSION" ]; then
  as_postgres "$bin/initdb" --pgdata "$data" --username postgres --auth trust --encoding UTF8 --locale C.UTF-8 > /dev/null
fi
as_postgres "$bin/pg_ctl" start --wait --silent --pgdata "$data" --log "$data/server.log" \
  --options "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$data"
answers
