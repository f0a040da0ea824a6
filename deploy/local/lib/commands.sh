# shellcheck shell=bash
# One function per command of the door.

# Every process this instance may have, whatever --only said the last time.
known_nodes() {
  local engine
  for engine in ${OPT[engines]}; do "${engine}_nodes"; done
}

resolve_name() {
  [[ $NAME != cassandra ]] || NAME=cassandra-1
  [[ " $(known_nodes | tr '\n' ' ')" == *" $NAME "* ]] ||
    usage_error "no process '$NAME' here; there are: $(known_nodes | tr '\n' ' ')"
}

wanted_engines() {
  local engine
  [[ -n $ONLY ]] || { printf '%s\n' "${ENGINES[@]}"; return; }
  for engine in ${ONLY//,/ }; do
    [[ " ${ENGINES[*]} " == *" $engine "* ]] || usage_error "--only: '$engine' is none of: ${ENGINES[*]}"
    printf '%s\n' "$engine"
  done
}

up_engine() { # ENGINE
  local engine=$1 began=$SECONDS name
  "${engine}_install"
  for name in $("${engine}_nodes"); do [[ $name == "$LATER" ]] || ensure_running "$name"; done
  for name in $("${engine}_nodes"); do [[ $name == "$LATER" ]] || wait_until_ready "$name"; done
  say "$engine answers ($((SECONDS - began)) s)"
}

check_later() { # ENGINE...
  local engine
  [[ -n $LATER ]] || return 0
  for engine; do [[ $LATER != "$engine" && $LATER != "$engine"-* ]] || return 0; done
  usage_error "--later: '$LATER' is no process of: $*"
}

command_up() {
  local engine name list
  local -a wanted dead=()
  list=$(wanted_engines)
  mapfile -t wanted <<<"$list"
  check_given
  check_later "${wanted[@]}"
  create_state
  lock_state
  load_instance
  merge_given
  check_needs "${wanted[@]}"
  choose_ports
  for engine in "${wanted[@]}"; do
    for name in $("${engine}_nodes"); do is_running "$name" || dead+=("$name"); done
  done
  refuse_busy_ports "${dead[@]}"
  add_engines "${wanted[@]}"
  save_instance
  ! tls_on || tls_make
  up_all "${wanted[@]}"
}

# Of no instance: what is logged goes to a state folder of its own, which stays if an install fails.
command_install() {
  local engine list
  local -a wanted
  list=$(wanted_engines)
  mapfile -t wanted <<<"$list"
  STATE=$(mktemp -d -t engines-install.XXXXXX)
  create_state
  load_instance
  check_needs "${wanted[@]}"
  for engine in "${wanted[@]}"; do "${engine}_install"; done
  delete_state
}

up_all() { # ENGINE...
  local engine failed=''
  local -A jobs=()
  for engine; do
    up_engine "$engine" &
    jobs[$engine]=$!
  done
  for engine; do wait "${jobs[$engine]}" || failed+=" $engine"; done
  [[ -z $failed ]] || die "not up:$failed (the others keep running; engines down stops them)"
}

command_down() {
  have_instance || return 0
  lock_state
  load_instance
  local -a names
  mapfile -t names < <(known_nodes)
  stop_nodes "${names[@]}"
}

command_reset() {
  have_instance || return 0
  command_down
  delete_state
}

command_status() {
  require_instance
  local name pid state rss
  printf '%-14s %8s  %-7s %6s %8s\n' NAME PID STATE PORT RSS_MIB
  for name in $(known_nodes); do
    pid=- state=dead rss=-
    if pid=$(pid_of "$name"); then
      state=up
      ! is_paused "$name" || state=paused
      rss=$(awk '/^VmRSS/ { printf "%d", $2 / 1024 }' "/proc/$pid/status" 2>/dev/null || true)
    fi
    printf '%-14s %8s  %-7s %6s %8s\n' "$name" "${pid:--}" "$state" "$("$(engine_of "$name")_port" "$name")" "${rss:--}"
  done
}

command_env() {
  require_instance
  local engine
  printf 'export TRIAD_STATE=%q\n' "$STATE"
  ! tls_on || tls_env
  for engine in ${OPT[engines]}; do "${engine}_env"; done
}

command_logs() {
  require_instance
  resolve_name
  local log
  log=$(log_of "$NAME")
  [[ -f $log ]] || die "$NAME has no log yet ($log)"
  if [[ -n $FOLLOW ]]; then exec tail -n 50 -F -- "$log"; else exec cat -- "$log"; fi
}

command_kill() {
  require_instance
  resolve_name
  kill_node "$NAME"
}

signal_node() { # SIGNAL
  require_instance
  resolve_name
  local pid
  pid=$(pid_of "$NAME") || die "$NAME is not running"
  kill "-$1" "$pid"
}

command_pause() { signal_node STOP; }

command_resume() { signal_node CONT; }

command_start() {
  require_instance
  resolve_name
  lock_state
  local engine
  engine=$(engine_of "$NAME")
  check_needs "$engine"
  is_running "$NAME" || refuse_busy_ports "$NAME"
  "${engine}_install"
  ensure_running "$NAME"
  wait_until_ready "$NAME"
}
