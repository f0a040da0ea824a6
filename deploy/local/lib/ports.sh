# shellcheck shell=bash
# Which port each process listens on, whether it is free, and the choice of a free block.
#
# Dgraph can only shift all its ports by one number, and they lie 1000 apart. So a block is ten ports at N (Dgraph Zero
# first) plus N+1000, +2000, +3000 and +4000, and blocks ten apart interleave without touching. What finds no place in the
# ten is beside N+1000.

# `auto` chooses here: below the kernel's ephemeral range, with N+4000 too, and above the engines' own ports.
readonly AUTO_FIRST=10000 AUTO_LAST=10990

declare -A DEFAULT_PORTS=(
  [kafka]=9092 [kafka-controller]=9093 [kafka-tls]=9094
  [cassandra]=9042 [cassandra-tls]=9142 [cassandra-storage]=7000
 [cassandra-jmx-1]=7199 [cassandra-jmx-2]=7200 [cassandra-jmx-3]=7201
  [mysql]=3306 [prometheus]=9090
  [zero-grpc]=5080 [zero-http]=6080 [alpha-internal]=7080 [alpha-http]=8080 [alpha-grpc]=9080
)
declare -A PORT_OFFSETS=(
  [zero-grpc]=0 [kafka]=1 [kafka-controller]=2
  [cassandra]=3 [cassandra-storage]=4 [cassandra-jmx-1]=5 [cassandra-jmx-2]=6 [cassandra-jmx-3]=7
  [mysql]=8 [prometheus]=9
  [zero-http]=1000 [kafka-tls]=1001 [cassandra-tls]=1002 [alpha-internal]=2000 [alpha-http]=3000 [alpha-grpc]=4000
)

port() { # ROLE
  if [[ ${OPT[port_base]} == default ]]; then
    printf '%s' "${DEFAULT_PORTS[$1]}"
  else
    printf '%s' "$((OPT[port_base] + PORT_OFFSETS[$1]))"
  fi
}

# Inode of a listening socket that would stop us from binding IP:PORT, if there is one. /proc instead of ss: no package
# to ask for, and it is the same table.
listener_inode() { # IP PORT
  local octets ip tables=(/proc/net/tcp)
  [[ ! -r /proc/net/tcp6 ]] || tables+=(/proc/net/tcp6)
  IFS=. read -ra octets <<<"$1"
  printf -v ip '%02X%02X%02X%02X' "${octets[3]}" "${octets[2]}" "${octets[1]}" "${octets[0]}"
  # A JVM's IPv4 socket shows up in tcp6 as a v4-mapped address.
  awk -v ip="$ip" -v port="$(printf '%04X' "$2")" '
    $4 == "0A" {
      split($2, at, ":")
      if (at[2] == port && (at[1] ~ /^0+$/ || at[1] == ip || at[1] == "0000000000000000FFFF0000" ip)) { print $10; exit }
    }' "${tables[@]}"
}

pid_of_inode() { # INODE
  local link
  link=$(find /proc/[0-9]*/fd -maxdepth 1 -lname "socket:\[$1\]" -print -quit 2>/dev/null || true)
  [[ $link =~ ^/proc/([0-9]+)/ ]] && printf '%s' "${BASH_REMATCH[1]}"
}

refuse_busy_ports() { # NODE...
  local name role ip inode pid busy=0
  for name; do
    while read -r role ip; do
      inode=$(listener_inode "$ip" "$(port "$role")")
      [[ -n $inode ]] || continue
      pid=$(pid_of_inode "$inode" || true)
      say "port $(port "$role") ($role) on $ip is in use by pid ${pid:-unknown, of another user}" \
        "${pid:+($(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | cut -c1-60))}; use --port-base"
      busy=1
    done < <(ports_of "$name")
  done
  ((busy == 0)) || exit 1
}

ports_of() { "$(engine_of "$1")_ports" "$1"; }

block_is_free() { # BASE: for every engine, wanted now or not, because a later `up` may add one
  local offset ip
  for offset in "${PORT_OFFSETS[@]}"; do
    for ip in 127.0.0.1 127.0.0.2 127.0.0.3; do
      [[ -z $(listener_inode "$ip" $(($1 + offset))) ]] || return 1
    done
  done
}

# A block belongs to a state folder until that is reset or gone, running or not: an instance keeps its ports.
block_is_reserved() { # BASE
  local owner
  owner=$(cat "$CACHE/ports/$1" 2>/dev/null) || return 1
  [[ -f $owner/instance && $owner != "$STATE" ]] && grep -qx "port_base=$1" "$owner/instance"
}

# Writes down the choice before the lock is let go: two `up --port-base auto` at once must not agree on a block.
choose_ports() {
  [[ ${OPT[port_base]} != default ]] || return 0
  mkdir -p "$CACHE/ports"
  local lock
  exec {lock}>"$CACHE/ports/.lock"
  flock -w 60 "$lock" || die "cannot lock $CACHE/ports/.lock"
  [[ ${OPT[port_base]} != auto ]] || find_block
  # Asking for another instance's block by number is allowed (that one may be down), taking it over is not.
  block_is_reserved "${OPT[port_base]}" || printf '%s\n' "$STATE" >"$CACHE/ports/${OPT[port_base]}"
  save_instance
  exec {lock}>&-
}

find_block() {
  local base
  for ((base = AUTO_FIRST; base <= AUTO_LAST; base += 10)); do
    if ! block_is_reserved "$base" && block_is_free "$base"; then
      OPT[port_base]=$base
      return
    fi
  done
  die "no free block of ports from $AUTO_FIRST to $AUTO_LAST: reset old instances (named in $CACHE/ports)"
}

release_ports() {
  local mark=$CACHE/ports/${OPT[port_base]}
  [[ $(cat "$mark" 2>/dev/null) != "$STATE" ]] || rm -f -- "$mark"
}
