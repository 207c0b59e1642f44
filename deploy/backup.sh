#!/usr/bin/env bash
# Backs the plant's database up: one file in PostgreSQL's custom format, complete or not there at all.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: backup.sh [--to FOLDER] [--keep N]

Writes to FOLDER (else MES_BACKUP_DIR), by the UTC time of its start:
  mes-20261123T023000Z.dump           pg_dump's custom format
  mes-20261123T023000Z.dump.rows      rows of every table, counted in the same snapshot; restore.sh compares
  mes-20261123T023000Z.dump.sha256    checksums of both
The dump appears under its name only after it was read back whole. Then all but the newest N (else MES_BACKUP_KEEP,
else 14) are removed. The plant works on meanwhile.

The database: MES_BACKUP_DATABASE_URL, or the file mes_backup_database_url in MES_SECRETS_DIR, or libpq's environment
(PGHOST, PGDATABASE, PGPASSFILE ...). Role mes_backup, which may only read, is enough. Programs: psql, pg_dump and
pg_restore on PATH or in MES_PG_BIN, no older than the server.

A dump holds the database as it was when the backup began. To lose less than a day, archive the write-ahead log as
well (pgBackRest, Barman). Copy FOLDER off this machine, and try restore.sh before you need it.
TEXT
}

here=$(dirname "$(readlink --canonicalize "${BASH_SOURCE[0]}")")
# shellcheck source-path=SCRIPTDIR source=postgres-tools.sh
source "$here/postgres-tools.sh"

folder=${MES_BACKUP_DIR:-} keep=${MES_BACKUP_KEEP:-14}
while (($#)); do
    case $1 in
        --help | -h) usage; exit 0 ;;
        --to) folder=${2:?"--to needs a folder"}; shift 2 ;;
        --keep) keep=${2:?"--keep needs a number"}; shift 2 ;;
        *) usage >&2; fail "unknown argument: $1" ;;
    esac
done
[[ -n $folder ]] || fail "say where: --to FOLDER, or set MES_BACKUP_DIR"
[[ $keep =~ ^[1-9][0-9]{0,4}$ ]] || fail "how many to keep is a number from 1 on, not '$keep'"

psql=$(find_program psql)
pg_dump=$(find_program pg_dump)
pg_restore=$(find_program pg_restore)
use_database MES_BACKUP_DATABASE_URL
require_version "$pg_dump"

umask 077
mkdir -p "$folder" && [[ -w $folder ]] || fail "folder $folder can't be written to"
exec {lock}> "$folder/.lock"
flock --nonblock "$lock" || fail "another backup to $folder is under way"
rm -rf "$folder"/.unfinished-*  # of a backup that was killed: we hold the lock
work=$(mktemp --directory "$folder/.unfinished-XXXXXX")
trap 'rm -rf "$work"' EXIT

name=mes-$(date --utc +%Y%m%dT%H%M%SZ).dump
[[ ! -e $folder/$name ]] || fail "$folder/$name is there already"

# One snapshot for the count and the dump. The dump runs inside of psql, as the snapshot lives as long as its session.
export pg_dump address dump=$work/$name status=$work/status
PGOPTIONS="${PGOPTIONS:-} -c statement_timeout=0 -c idle_in_transaction_session_timeout=0" \
    "$psql" --no-psqlrc --no-password --quiet --no-align --tuples-only --field-separator=$'\t' \
    --set=ON_ERROR_STOP=1 --set=rows="$work/$name.rows" "$address" <<'SQL' || fail "the rows could not be counted"
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT pg_export_snapshot() AS snapshot \gset
\setenv snapshot :snapshot
\o :rows
SELECT format('SELECT %L, count(*) FROM %I.%I', nspname || '.' || relname, nspname, relname)
FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\_t%'
ORDER BY nspname, relname
\gexec
\o
\! "$pg_dump" --no-password --format=custom --lock-wait-timeout=60s --snapshot="$snapshot" --file="$dump" "$address"; echo "$?" > "$status"
COMMIT;
SQL
[[ $(< "$status") == 0 ]] || fail "pg_dump failed; its reason stands above"

tables=$(wc --lines < "$work/$name.rows")
((tables > 0)) || fail "the database has no tables: is it the right one?"
listed=$("$pg_restore" --list "$work/$name" | grep --count ' TABLE DATA ' || true)
((listed == tables)) || fail "the dump lists the data of $listed tables, the database has $tables"
"$pg_restore" --file=/dev/null "$work/$name" || fail "the dump can't be read back"
(cd "$work" && sha256sum "$name" "$name.rows" > "$name.sha256")

sync "$work/$name" "$work/$name.rows" "$work/$name.sha256"
mv "$work/$name.rows" "$work/$name.sha256" "$folder"  # the dump last: where it is, the others are
mv "$work/$name" "$folder"
sync "$folder"

mapfile -t dumps < <(find "$folder" -maxdepth 1 -type f -name 'mes-[0-9]*Z.dump' | sort --reverse)
for old in "${dumps[@]:keep}"; do
    rm -f "$old" "$old.rows" "$old.sha256"
    printf 'removed  %s\n' "$old"
done
printf 'written  %s  %s bytes, %s tables, %s s; %s kept\n' "$folder/$name" "$(stat --format=%s "$folder/$name")" \
    "$tables" "$SECONDS" "$((${#dumps[@]} < keep ? ${#dumps[@]} : keep))"
