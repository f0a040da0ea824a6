# shellcheck shell=bash
# Processes: started apart from the shell, known again by pid and start time, waited for with a deadline.

# A pid alone may have been given to somebody else since; with its start time it is unique until the next boot, which the
# boot id covers.
start_mark() { # PID
  local stat
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  # The command name may hold spaces and brackets; the fields after its last bracket are state, ppid, …
  local -a fields
  read -ra fields <<<"${stat##*) }"
  # A main thread that has ended is no death while others still hold the ports.
  local -a threads=("/proc/$1/task/"*)
  [[ ${fields[0]} != [ZX] || ${#threads[@]} -gt 1 ]] || return 1
  printf '%s %s' "${fields[19]}" "$(</proc/sys/kernel/random/boot_id)"
}

pid_of() { # NAME: prints the pid if the process we started still lives
  local pid mark
  { read -r pid mark <"$STATE/run/$1"; } 2>/dev/null || return 1
  [[ -n $pid && -n $mark && $(start_mark "$pid") == "$mark" ]] || return 1
  printf '%s' "$pid"
}

is_paused() { # NAME
  local pid
  pid=$(pid_of "$1") && grep -q '^State:[[:space:]]*T' "/proc/$pid/status" 2>/dev/null
}

is_running() { pid_of "$1" >/dev/null; }

answers_signals() { is_running "$1" && ! is_paused "$1"; }

engine_runs() { # ENGINE
  local name
  for name in $("$1_nodes"); do is_running "$name" && return 0; done
  return 1
}

# Whatever the caller had open (our lock, a build tool's job pipe) must not live on in a daemon.
close_inherited() {
  local fd
  for fd in /proc/self/fd/*; do
    fd=${fd##*/}
    # 255 is bash's own, and closes on exec.
    ((fd <= 2 || fd == 255)) || eval "exec $fd>&-"
  done
}

rotate_log() { # FILE: only between runs, so that no engine writes into a renamed file
  local size
  size=$(stat -c %s "$1" 2>/dev/null || echo 0)
  ((size < 64 * 1024 * 1024)) || mv -- "$1" "$1.old"
}

spawn() { # NAME COMMAND...
  local name=$1 engine log pid
  local -a pin=()
  shift
  engine=$(engine_of "$name") log=$(log_of "$name")
  [[ ${OPT[cpus_$engine]:-all} == all ]] || pin=(taskset -c "${OPT[cpus_$engine]}")
  rotate_log "$log"
  printf '%s\n' "$RUN_MARK $name" >>"$log"
  rm -f -- "$STATE/run/$name"
  # Temporary files of its own, emptied here: after kill -9 nobody else removes unpacked libraries and the like.
  rm -rf -- "$STATE/$name/tmp"
  mkdir "$STATE/$name/tmp"
  (
    close_inherited
    cd "$STATE/$name"
    export TMPDIR=$STATE/$name/tmp
    # Written by the process itself: however early our caller is killed, nothing runs that `down` does not know.
    # Its pid is taken outside of $(…), which is a process of its own.
    pid=$BASHPID
    printf '%s %s\n' "$pid" "$(start_mark "$pid")" >"$STATE/run/$name"
    exec setsid "${pin[@]}" "$@" </dev/null >>"$log" 2>&1
  ) &
  pid=$!
  disown "$pid"
  until [[ -s $STATE/run/$name ]] || ! kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
}

# Brings one process to life whatever state it is in; does not wait.
ensure_running() { # NAME
  local name=$1
  if is_paused "$name"; then
    kill -CONT "$(pid_of "$name")"
  elif ! is_running "$name"; then
    mkdir -p "$STATE/$name"
    "$(engine_of "$name")_start" "$name"
  fi
}

fail_start() { # NAME REASON
  say "$1 $2; its log is $(log_of "$1") and ends:"
  tail_of "$(log_of "$1")"
  exit 1
}

wait_until_ready() { # NAME
  local name=$1 deadline=$((SECONDS + START_SECONDS))
  until "$(engine_of "$name")_ready" "$name"; do
    is_running "$name" || fail_start "$name" "ended while it was starting"
    ((SECONDS < deadline)) || fail_start "$name" "did not answer within $START_SECONDS s"
    sleep 0.3
  done
}

# A question in the engine's own protocol, in a process of its own: /dev/tcp has no timeout, and a paused engine accepts
# connections (the kernel does) and never answers.
probe() { timeout 5 bash "$HERE/lib/probe.sh" "$@" >/dev/null 2>&1; }

stop_nodes() { # NAME...
  local name pid deadline=$((SECONDS + STOP_SECONDS))
  for name; do
    pid=$(pid_of "$name") || continue
    # A stopped process keeps SIGTERM pending for ever.
    kill -TERM "$pid" 2>/dev/null || continue
    kill -CONT "$pid" 2>/dev/null || true
  done
  for name; do
    while is_running "$name" && ((SECONDS < deadline)); do sleep 0.1; done
    ! is_running "$name" || { say "$name ignores SIGTERM: killing it"; kill_node "$name"; }
    rm -f -- "$STATE/run/$name"
  done
}

kill_node() { # NAME: returns when the process is gone, so that its ports are free
  local pid
  pid=$(pid_of "$1") || die "$1 is not running"
  kill -KILL "$pid" 2>/dev/null || true
  local deadline=$((SECONDS + 10))
  while is_running "$1" && ((SECONDS < deadline)); do sleep 0.05; done
  ! is_running "$1" || die "$1 (pid $pid) survives kill -9: it hangs in the kernel"
}
