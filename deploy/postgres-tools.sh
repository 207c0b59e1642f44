# shellcheck shell=bash
# What backup.sh and restore.sh share: PostgreSQL's programs, and the database's address without its password.

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# find_program NAME: print its path, from MES_PG_BIN or else from PATH.
find_program() {
    local path
    if [[ -n ${MES_PG_BIN:-} ]]; then
        path=$MES_PG_BIN/$1
    else
        path=$(command -v "$1") || fail "$1 is not on PATH: install PostgreSQL's client, or set MES_PG_BIN to its folder"
    fi
    [[ -x $path ]] || fail "$path can't be run: MES_PG_BIN must be the folder of PostgreSQL's programs"
    printf '%s' "$path"
}

# use_database SETTING [NAME]: set `address` to the database that SETTING, or the file of that name in MES_SECRETS_DIR,
# or else libpq's own environment (PGHOST, PGDATABASE, PGPASSFILE, PGSERVICE ...) names; to database NAME of the same
# server, if given. The password goes to PGPASSWORD: the process list shows arguments to everyone.
use_database() {
    local url=${!1:-} file=${MES_SECRETS_DIR:-}/${1,,} name=${2:-}
    if [[ -z $url && -n ${MES_SECRETS_DIR:-} && -r $file ]]; then
        url=$(< "$file")
    fi
    if [[ -z $url ]]; then
        [[ -n ${PGDATABASE:-}${PGSERVICE:-}$name ]] || fail "which database? Set $1, or the file $file, or PGDATABASE"
        [[ -z $name ]] || PGDATABASE=$name
        address="${PGDATABASE:+dbname=$PGDATABASE}"
        return
    fi
    # Never shown in an error: it holds a password.
    local form='^postgres(ql)?(\+asyncpg)?://(([^:@/?]*)(:([^@/?]*))?@)?([^/?]*)(/([^?]*))?(\?(.*))?$'
    [[ $url =~ $form ]] || fail "$1 is no address of the form postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    local user=${BASH_REMATCH[4]} password=${BASH_REMATCH[6]} host=${BASH_REMATCH[7]}
    local database=${name:-${BASH_REMATCH[9]}} options=${BASH_REMATCH[11]}
    if [[ -n $password ]]; then
        password=${password//\\/\\\\}
        PGPASSWORD=$(printf '%b' "${password//%/\\x}")
        export PGPASSWORD
    fi
    # shellcheck disable=SC2034 # read by the scripts that source this
    address="postgresql://${user:+$user@}$host/$database${options:+?$options}"
}

# ask SQL: print the rows that the database answers, columns joined by `|`.
ask() {
    "${psql:?}" --no-psqlrc --no-password --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 --command="$1" "$address"
}

# major PROGRAM: print the program's major version.
major() {
    local said
    said=$("$1" --version)
    said=${said#*(PostgreSQL) }
    printf '%s' "${said%%[!0-9]*}"
}

# require_version PROGRAM: it must be at least as new as the server.
require_version() {
    local server
    server=$(ask 'SHOW server_version_num') || fail "the database can't be reached; PostgreSQL's reason stands above"
    server=$((server / 10000))
    (($(major "$1") >= server)) ||
        fail "$1 is version $(major "$1"), the server $server: set MES_PG_BIN to the programs of version $server or newer"
}
