# shellcheck shell=bash
# The state folder: one instance's options, data, logs and pids. `instance` is key=value, read line by line and never
# sourced: a state folder may come from anywhere.

declare -A OPT=()

readonly STATE_KEYS='^(engines|port_base|cassandra_nodes|cassandra_auth|cassandra_group|tls|commitlog_sync|memtable|mysql_options|cpus_(kafka|cassandra|mysql|dgraph|prometheus))$'

have_instance() { [[ -f $STATE/instance ]]; }

load_instance() {
  OPT=([engines]='' [port_base]=default [cassandra_nodes]=1 [cassandra_auth]=off [cassandra_group]=none
    [tls]=off [commitlog_sync]=group [memtable]=heap_buffers [mysql_options]=none)
  have_instance || return 0
  local key value
  while IFS='=' read -r key value; do
    [[ $key =~ $STATE_KEYS ]] && OPT[$key]=$value
  done <"$STATE/instance"
}

require_instance() {
  have_instance || die "nothing was ever started in $STATE (engines up, or --state)"
  load_instance
}

save_instance() {
  local key
  for key in "${!OPT[@]}"; do printf '%s=%s\n' "$key" "${OPT[$key]}"; done | sort >"$STATE/instance.new"
  mv "$STATE/instance.new" "$STATE/instance"
}

create_state() {
  mkdir -p "$STATE/log" "$STATE/run"
  # The folder ignores itself, so that wherever --state points inside a work tree, git does not see it.
  printf '*\n' >"$STATE/.gitignore"
}

# Serialises what changes the set of processes. kill, pause and resume stay outside: a drill must be able to hit an
# engine in the middle of somebody's `start`.
lock_state() {
  exec {STATE_LOCK}>"$STATE/lock"
  flock -w 300 "$STATE_LOCK" || die "another engines command has held $STATE/lock for five minutes"
}

check_choice() { # OPTION-NAME VALUE ALLOWED...
  local name=$1 value=$2 allowed
  shift 2
  for allowed; do [[ $value == "$allowed" ]] && return 0; done
  usage_error "--$name: '$value' is none of: $*"
}

check_given() {
  if [[ -n ${TRIAD_COMMITLOG_SYNC:-} && ! -v GIVEN[commitlog_sync] ]]; then
    GIVEN+=([commitlog_sync]=$TRIAD_COMMITLOG_SYNC)
  fi
  check_choice cassandra-nodes "${GIVEN[cassandra_nodes]:-1}" 1 3
  check_choice cassandra-auth "${GIVEN[cassandra_auth]:-off}" on off
  check_choice tls "${GIVEN[tls]:-off}" on off
  check_choice commitlog-sync "${GIVEN[commitlog_sync]:-group}" group batch periodic
  check_choice memtable "${GIVEN[memtable]:-heap_buffers}" heap_buffers offheap_objects
  [[ ${GIVEN[cassandra_group]:-none} =~ ^(none|[1-9][0-9]{0,8})$ ]] ||
    usage_error "--cassandra-group wants a number or none, not '${GIVEN[cassandra_group]}'"
  [[ ${GIVEN[cassandra_group]:-none} == none || $EUID == 0 ]] || usage_error "--cassandra-group wants root"
  local option='[a-z][a-z0-9-]*(=[A-Za-z0-9]+)?'
  [[ ${GIVEN[mysql_options]:-none} =~ ^$option(,$option)*$ ]] ||
    usage_error "--mysql-options wants NAME[=VALUE],… or none, not '${GIVEN[mysql_options]}'"
  local base=${GIVEN[port_base]:-auto}
  [[ $base =~ ^(auto|default)$ || ($base =~ ^[0-9]{4,5}$ && $((10#$base)) -ge 1024 && $((10#$base)) -le 61000) ]] ||
    usage_error "--port-base wants a number from 1024 to 61000, default or auto, not '$base'"
}

engine_of_option() { # KEY: the engine an option belongs to, nothing for all of them
  case $1 in
    cassandra_* | commitlog_sync | memtable) printf cassandra ;;
    mysql_*) printf mysql ;;
    cpus_*) printf '%s' "${1#cpus_}" ;;
  esac
}

# Options that data on disk depends on may not change under it; the others may not change under a running process.
merge_given() {
  local key engine
  for key in "${!GIVEN[@]}"; do
    [[ ${OPT[$key]:-all} == "${GIVEN[$key]}" ]] && continue
    engine=$(engine_of_option "$key")
    case $key in
      port_base)
        [[ ${GIVEN[$key]} == auto && ${OPT[$key]} != default ]] && continue
        [[ -z ${OPT[engines]} ]] || die "$STATE was made with port base ${OPT[$key]}: engines reset first" ;;
      cassandra_nodes)
        [[ " ${OPT[engines]} " != *" cassandra "* ]] ||
          die "$STATE holds a cluster of ${OPT[$key]} Cassandra node(s): engines reset first" ;;
      tls)
        for engine in ${OPT[engines]}; do
          ! engine_runs "$engine" || die "$engine is running with tls ${OPT[tls]}: engines down first"
        done ;;
      *)
        ! engine_runs "$engine" ||
          die "$engine is running with ${key//_/-} ${OPT[$key]:-all}: engines down first" ;;
    esac
    OPT[$key]=${GIVEN[$key]}
  done
}

add_engines() { # ENGINE...
  local engine
  local -A wanted=()
  for engine in ${OPT[engines]} "$@"; do wanted[$engine]=1; done
  OPT[engines]=
  for engine in "${ENGINES[@]}"; do
    [[ ! -v wanted[$engine] ]] || OPT[engines]+="${OPT[engines]:+ }$engine"
  done
}

delete_state() {
  local name
  release_ports
  for name in $(known_nodes); do rm -rf -- "${STATE:?}/$name"; done
  rm -rf -- "${STATE:?}"/{log,run,tls,tls.new,instance,instance.new,.gitignore,lock}
  rmdir --ignore-fail-on-non-empty -- "$STATE"
}
