#!/usr/bin/env bash
# Restores a backup into an empty database, whole or not at all, and shows that it is what was backed up.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: restore.sh [--database NAME] FILE.dump

Refuses, changing nothing: a file whose checksum differs, a database that isn't empty, a server without the roles that
the backup names (deploy/init-database.sh makes them). Restores in one transaction, so that a failure leaves the
database empty. Then compares with the backup: the rows of every table, and the whole schema with its ledger
triggers and rights. Exit status 0 only if all is the same. Ids of events go on a thousand million further on, since
those told after the backup are known to others.

The database: MES_OWNER_DATABASE_URL, or the file mes_owner_database_url in MES_SECRETS_DIR, or libpq's environment;
NAME, if given, is another one on the same server. Programs: psql, pg_dump and pg_restore on PATH or in MES_PG_BIN.

Try it regularly beside the plant, then drop the database:
  init-database.sh --database mes_trial && restore.sh --database mes_trial FILE.dump
In earnest: stop the MES, rename the broken database (ALTER DATABASE mes RENAME TO mes_broken), init-database.sh,
restore.sh FILE.dump, start the MES. The keys in the backup work again, also those revoked since: revoke them again.
TEXT
}

here=$(dirname "$(readlink --canonicalize "${BASH_SOURCE[0]}")")
# shellcheck source-path=SCRIPTDIR source=postgres-tools.sh
source "$here/postgres-tools.sh"

file='' database=''
while (($#)); do
    case $1 in
        --help | -h) usage; exit 0 ;;
        --database) database=${2:?"--database needs a name"}; shift 2 ;;
        -*) usage >&2; fail "unknown argument: $1" ;;
        *) [[ -z $file ]] || fail "one file at a time"; file=$1; shift ;;
    esac
done
[[ -n $file ]] || { usage >&2; fail "say which: FILE.dump"; }
for part in "$file" "$file.rows" "$file.sha256"; do
    [[ -r $part ]] || fail "$part is missing or can't be read; a backup is three files"
done
(cd "$(dirname "$file")" && sha256sum --quiet --strict --check "$(basename "$file").sha256") ||
    fail "$file is not what was backed up: its checksum differs"

psql=$(find_program psql)
pg_dump=$(find_program pg_dump)
pg_restore=$(find_program pg_restore)
use_database MES_OWNER_DATABASE_URL "$database"
require_version "$pg_restore"
contents=$("$pg_restore" --list "$file") || fail "$file can't be read by $pg_restore"

there=$(ask "
    WITH own AS (SELECT oid FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%')
    SELECT string_agg(name, ', ') FROM (
        SELECT relname AS name FROM pg_class WHERE relnamespace IN (SELECT oid FROM own)
        UNION SELECT proname FROM pg_proc WHERE pronamespace IN (SELECT oid FROM own)
        UNION SELECT typname FROM pg_type WHERE typnamespace IN (SELECT oid FROM own) AND typrelid = 0 AND typelem = 0
        UNION SELECT nspname FROM pg_namespace WHERE oid IN (SELECT oid FROM own) AND nspname <> 'public'
        ORDER BY name LIMIT 5
    ) AS found")
[[ -z $there ]] || fail "the database isn't empty: it holds $there ... Make a new one (see --help); nothing was changed"

owners=$(awk '!/^;/ && NF && $NF != "-" { print $NF }' <<< "$contents" | sort --unique)
for role in mes_app $owners; do
    [[ $(ask "SELECT count(*) FROM pg_roles WHERE rolname = '$role'") == 1 ]] ||
        fail "role $role is missing on this server: run deploy/init-database.sh first; nothing was changed"
done

"$pg_restore" --no-password --exit-on-error --single-transaction --dbname="$address" "$file" ||
    fail "PostgreSQL refused the backup; its reason stands above; the database is still empty"
ask 'SET client_min_messages = error; ANALYZE' || fail "restored, but ANALYZE failed"

counts=$(awk -F '\t' '{
    split($1, name, "."); gsub(/\047/, "&&", $1)
    printf "%sSELECT \047%s\047, count(*) FROM \"%s\".\"%s\"", (NR > 1 ? " UNION ALL " : ""), $1, name[1], name[2]
}' "$file.rows")
declare -A found=()
while IFS='|' read -r table rows; do
    found[$table]=$rows
done < <(ask "$counts")
differing=0
printf '%-40s %14s %14s\n' table 'backed up' restored
while IFS=$'\t' read -r table expected; do
    mark=
    [[ ${found[$table]:-} == "$expected" ]] || { mark='  DIFFERS' differing=$((differing + 1)); }
    printf '%-40s %14s %14s%s\n' "$table" "$expected" "${found[$table]:-?}" "$mark"
done < "$file.rows"

# The schema as text, without what only says when and by whom it was written.
plain() {
    grep --invert-match --extended-regexp '^(--|SET |SELECT pg_catalog\.set_config|\\(un)?restrict |$)'
}
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT
"$pg_restore" --schema-only --file=- "$file" | plain > "$work/backup"
"$pg_dump" --no-password --schema-only "$address" | plain > "$work/restored"
dumped_by=$(sed --quiet 's/^; *Dumped by pg_dump version: \([0-9]*\).*/\1/p' <<< "$contents")
if diff "$work/backup" "$work/restored" > "$work/difference"; then
    printf 'schema, triggers and rights: the same\n'
elif [[ $dumped_by == "$(major "$pg_dump")" ]]; then
    head --lines=20 "$work/difference" >&2
    fail "the schema differs from the backup's, as shown: do not use this database"
else
    head --lines=20 "$work/difference"
    printf 'the schema is written differently: by version %s then, %s now; judge the lines above\n' \
        "$dumped_by" "$(major "$pg_dump")"
fi
# Ids of events that were told after the backup are known to others: none is given to another event.
ask "SELECT setval(pg_get_serial_sequence('event', 'id'),
                   (SELECT last_value FROM event_id_seq) + 1000000000)" > /dev/null ||
    fail "restored, but the ids of events could not be set on"
((differing == 0)) || fail "$differing tables have other rows than the backup: do not use this database"
printf 'restored %s tables in %s s, all as backed up\n' "$(wc --lines < "$file.rows")" "$SECONDS"
