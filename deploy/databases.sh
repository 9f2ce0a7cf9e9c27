#!/bin/sh
# Makes one role and one database for each service named, as often as you like.
#
#     databases.sh FOLDER SERVICE...
#
# FOLDER/<service>.password is the role's password. Where PostgreSQL is and who we are there comes
# from the environment: PGHOST, PGUSER.
set -eu

folder=$1
shift
PGPASSWORD=$(cat "$folder/superuser.password")
export PGPASSWORD
for service in "$@"; do
  SERVICE_PASSWORD=$(cat "$folder/$service.password")
  export SERVICE_PASSWORD
  # psql quotes the variables; \gexec runs what the query before it says.
  psql --dbname=postgres --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=service="$service" <<'SQL'
\getenv password SERVICE_PASSWORD
SELECT format('CREATE ROLE %I LOGIN', :'service')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'service')
\gexec
ALTER ROLE :"service" PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'service', :'service')
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'service')
\gexec
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
done
