#!/usr/bin/env bash
# Makes the MES's roles and its empty database on a PostgreSQL server, with no more rights than each needs.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: init-database.sh [--database NAME] [--as USER]

Makes, unless they are there, and sets their passwords from the files in MES_SECRETS_DIR (else /run/secrets):
  mes_app     no log-in: what the application may do; the migrations grant it table by table
  mes_owner   owns database NAME (else mes) and its tables; `mes migrate` and restore.sh
  mes         the application: member of mes_app, and no more
  mes_backup  may read everything and write nothing; backup.sh
May be run again: to renew passwords, or to make another database for a trial of restore.sh.

It connects as PostgreSQL's superuser by libpq's environment (PGHOST, PGUSER ...; the password from the file
postgres_password, if there is one). Where the superuser is known by the operating system's user (Debian): run it as
root with --as postgres. In PostgreSQL's container image it is a script of /docker-entrypoint-initdb.d.
TEXT
}

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

database=mes as=()
while (($#)); do
    case $1 in
        --help | -h) usage; exit 0 ;;
        --database) database=${2:?"--database needs a name"}; shift 2 ;;
        --as) as=(runuser --user "${2:?"--as needs a user"}" --); shift 2 ;;
        *) usage >&2; fail "unknown argument: $1" ;;
    esac
done
[[ $database =~ ^mes[a-z0-9_]{0,50}$ ]] || fail "a database's name begins with mes, then a-z, 0-9, _: not '$database'"
secrets=${MES_SECRETS_DIR:-/run/secrets}
for role in mes_owner mes mes_backup; do
    file=$secrets/${role}_password
    [[ -r $file ]] || fail "$file is missing or can't be read: run init-secrets.sh, and set MES_SECRETS_DIR"
    password=$(< "$file")
    ((${#password} >= 32)) || fail "the password in $file is too short; init-secrets.sh makes good ones"
    export "${role}_password=$password"
done
if ((${#as[@]} == 0)) && [[ -z ${PGPASSWORD:-} && -r $secrets/postgres_password ]]; then
    PGPASSWORD=$(< "$secrets/postgres_password")
    export PGPASSWORD
fi
psql=${MES_PG_BIN:+$MES_PG_BIN/}psql

cd /
PGUSER=${PGUSER:-postgres} PGDATABASE=postgres "${as[@]}" "$psql" --no-psqlrc --no-password --quiet --no-align \
    --tuples-only --set=ON_ERROR_STOP=1 --set=database="$database" <<'SQL'
-- No password in the server's log, whatever it logs.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET client_min_messages = 'warning';
SET password_encryption = 'scram-sha-256';
\getenv mes_owner_password mes_owner_password
\getenv mes_password mes_password
\getenv mes_backup_password mes_backup_password

SELECT format('CREATE ROLE %I NOLOGIN', name) FROM unnest(ARRAY['mes_app', 'mes_owner', 'mes', 'mes_backup']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE mes_app NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE mes_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
    PASSWORD :'mes_owner_password';
ALTER ROLE mes LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'mes_password';
ALTER ROLE mes_backup LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
    PASSWORD :'mes_backup_password';
ALTER ROLE mes_backup SET default_transaction_read_only = on;
-- The first migration grants mes_app to its owner; it needs no right to make roles if it may pass this one on.
GRANT mes_app TO mes_owner WITH ADMIN TRUE, INHERIT TRUE, SET TRUE;
GRANT mes_app TO mes WITH ADMIN FALSE, INHERIT TRUE, SET TRUE;
GRANT pg_read_all_data TO mes_backup;

-- Collation by bytes: the same order on every machine, whatever its C library.
SELECT format('CREATE DATABASE %I OWNER mes_owner TEMPLATE template0 ENCODING ''UTF8''
    LOCALE_PROVIDER builtin BUILTIN_LOCALE ''C.UTF-8'' LOCALE ''C.UTF-8''', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO mes, mes_backup;
SQL
printf 'Database %s and its roles are ready.\n' "$database"
