#!/usr/bin/env bash
# Makes the passwords of a new installation, random, in files that only their owner can read.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: init-secrets.sh [--systemd] [--dir FOLDER] [--host HOST[:PORT]|/SOCKET/FOLDER] [--add-missing]

For compose (the default) writes deploy/secrets/ and deploy/.env; with --systemd /etc/mes/secrets/ alone:
  postgres_password, mes_owner_password, mes_password, mes_backup_password     64 hex digits each
  mes_database_url, mes_owner_database_url, mes_backup_database_url            the same in addresses
  mes_event_key        what the signing secrets of webhooks are derived from, 64 hex digits
  mes_seal_key         what anchors of the record's seals are signed with, 64 hex digits
  mes_mqtt_logins      log-ins at MQTT brokers, {"SUBSCRIPTION": "user:password"}; yours to fill
  ../keys or keys/     folders for the keys that create-keys.sh makes
  ../plc or plc/       for passwords of PLCs, STATION.password, yours to write
HOST is where PostgreSQL is: the service `postgres` for compose, localhost for systemd.

Nothing is ever overwritten: a folder with anything in it is refused. --add-missing writes only what is not there, so
a password is renewed by removing the role's two files (never postgres_password), --add-missing, init-database.sh, and
a restart. Nothing secret is printed. Folder 700, files 600; run by root for compose, they belong to user 10001.
TEXT
}

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

here=$(dirname "$(readlink --canonicalize "${BASH_SOURCE[0]}")")
kind=compose folder='' host='' add=''
while (($#)); do
    case $1 in
        --help | -h) usage; exit 0 ;;
        --systemd) kind=systemd; shift ;;
        --dir) folder=${2:?"--dir needs a folder"}; shift 2 ;;
        --host) host=${2:?"--host needs a host"}; shift 2 ;;
        --add-missing) add=yes; shift ;;
        *) usage >&2; fail "unknown argument: $1" ;;
    esac
done
environment=
if [[ $kind == compose ]]; then
    [[ -n $folder ]] || environment=$here/.env
    folder=${folder:-$here/secrets} host=${host:-postgres}
    keys=$folder/keys plc=$folder/plc
else
    folder=${folder:-/etc/mes/secrets} host=${host:-localhost}
    keys=$(dirname "$folder")/keys plc=$(dirname "$folder")/plc
fi
if [[ -z $add ]]; then
    [[ ! -d $folder || -z $(ls -A "$folder") ]] || fail "$folder holds secrets already; nothing was changed (--help)"
    [[ -z $environment || ! -e $environment ]] || fail "$environment is there already; nothing was changed (--help)"
fi

umask 077
mkdir -p "$folder" "$keys"/{health,gateway,admin} "$plc"
chmod 700 "$folder" "$keys" "$plc"

# write FILE: what is read, unless the file is there; complete before it has its name.
write() {
    [[ ! -e $1 ]] || { cat > /dev/null; return 0; }
    cat > "$1.new"
    mv --no-clobber "$1.new" "$1"
}

random() {
    od --address-radix=n --format=x1 --read-bytes=32 --output-duplicates /dev/urandom | tr -d ' \n'
}

random | write "$folder/postgres_password"
random | write "$folder/mes_event_key"
random | write "$folder/mes_seal_key"
printf '{}' | write "$folder/mes_mqtt_logins"
for role in mes_owner mes mes_backup; do
    random | write "$folder/${role}_password"
    password=$(< "$folder/${role}_password")
    ((${#password} >= 32)) || fail "$folder/${role}_password is too short for a password"
    if [[ $host == /* ]]; then
        printf 'postgresql://%s:%s@/mes?host=%s' "$role" "$password" "$host"
    else
        printf 'postgresql://%s:%s@%s/mes' "$role" "$password" "$host"
    fi | write "$folder/${role}_database_url"
done

if [[ -n $environment ]]; then
    uid=$(id --user) gid=$(id --group)
    if ((uid == 0)); then
        uid=10001 gid=10001
        chown --recursive "$uid:$gid" "$folder"
    fi
    write "$environment" <<TEXT
# Written by init-secrets.sh for compose.yaml; change what you like, there is nothing secret in it.
# Whose the secrets are: every container runs as this user, which is never root.
MES_UID=$uid
MES_GID=$gid
# Where the MES is reached. TLS is for a reverse proxy on this machine; only it should be reachable from outside.
MES_PUBLISH=127.0.0.1:8000
# Processes of the MES: one or two for each core.
MES_WORKERS=2
# The gateway's mapping file: your line's stations; this one is the simulated line's.
MES_LINE_MAP=../plc_adapters/simulated/gc1.yaml
# Where \`docker compose run --rm backup\` writes; give it a disk of its own, or a share on another machine.
MES_BACKUP_DIR=./backups
TEXT
    mkdir -p "$here/backups"
    ((UID != 0)) || chown "$uid:$gid" "$here/backups"
fi
printf 'Secrets are in %s; nothing else knows them. Keep a copy where you keep such things.\n' "$folder"
