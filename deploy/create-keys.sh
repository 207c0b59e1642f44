#!/usr/bin/env bash
# Makes the keys that a new installation needs, each once.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: create-keys.sh --to FOLDER

Writes, unless they are there already, with mode 600:
  FOLDER/health/key    for the health check  (role station: may read /health and /metrics, and no record)
  FOLDER/gateway/key   for the gateway       (role station)
  FOLDER/admin/key     for the first person  (role admin: log in with it, make keys for the others)
The database is the one MES_DATABASE_URL names, or the file mes_database_url in MES_SECRETS_DIR.
MES names the command to use, if `mes` is not on PATH. To renew a key: `mes keys revoke --name NAME`, remove its file,
run this again.
TEXT
}

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

folder=
while (($#)); do
    case $1 in
        --help | -h) usage; exit 0 ;;
        --to) folder=${2:?"--to needs a folder"}; shift 2 ;;
        *) usage >&2; fail "unknown argument: $1" ;;
    esac
done
[[ -n $folder ]] || { usage >&2; fail "say where: --to FOLDER"; }
mes=${MES:-mes}
command -v "$mes" > /dev/null || fail "the command $mes is not on PATH: set MES"

umask 077
while read -r name role; do
    file=$folder/$name/key
    if [[ -s $file ]]; then
        printf '%s is there already.\n' "$file"
    else
        mkdir -p "$folder/$name"
        "$mes" keys create --name "$name" --role "$role" --file "$file"
    fi
done <<'KEYS'
health station
gateway station
admin admin
KEYS
