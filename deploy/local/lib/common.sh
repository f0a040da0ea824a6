# shellcheck shell=bash
# What every other file leans on: versions, paths, messages.

readonly KAFKA_VERSION=4.1.1
readonly CASSANDRA_VERSION=5.0.6
readonly MYSQL_VERSION=8.0.15
readonly DGRAPH_VERSION=24.0.5
readonly PROMETHEUS_VERSION=2.42.0

# Order matters only to people: it is the order of every table.
readonly ENGINES=(kafka cassandra mysql dgraph prometheus)

readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/triad/engines

# One engine's start, beyond installation. Generous: a cold 2-core machine that also compiles needs it.
readonly START_SECONDS=${TRIAD_START_SECONDS:-240}
readonly STOP_SECONDS=20

say() { printf '%s\n' "engines: $*" >&2; }

die() { say "$*"; exit 1; }

usage_error() { say "$* (engines --help)"; exit 64; }

# Works for folders that do not exist yet, which realpath does not promise everywhere.
absolute() { readlink -m -- "$1"; }

engine_of() { printf '%s' "${1%%-*}"; }

log_of() { printf '%s' "$STATE/log/$1.log"; }

# Separates runs in a log.
readonly RUN_MARK='--- engines: starting'

tail_of() { # FILE: the end of its last run, indented, so that it cannot be taken for our own words
  [[ -s $1 ]] || return 0
  tail -n 15 "$1" | awk -v mark="$RUN_MARK" '
    index($0, mark) == 1 { n = 0; next }
    { line[n++] = substr($0, 1, 240) }
    END { for (i = 0; i < n; i++) print "    " line[i] }' >&2
}
