#!/bin/sh
# Run once by PostgreSQL's image on an empty volume: a database for each part of the stack, each with a user of its own,
# whose password is the file of its name in $SECRETS.
set -eu
for name in airflow mlflow warehouse; do
  password=$(cat "${SECRETS:-/run/secrets}/postgres_$name")
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" \
    --set name="$name" --set password="$password" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
