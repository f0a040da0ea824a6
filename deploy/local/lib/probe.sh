#!/usr/bin/env bash
# One question to one engine in its own wire protocol, over /dev/tcp: no client, no JVM, some milliseconds.
# Exit 0: the engine gave the answer of a working one. The caller sets the deadline.
#
#   probe.sh kafka|mysql|zero|alpha|prometheus IP PORT
#   probe.sh alpha-tls IP PORT AUTHORITY
#   probe.sh cassandra-options IP PORT
#   probe.sh cassandra-read IP PORT ONE|TWO|ALL [USER PASSWORD]
set -euo pipefail

connect() { exec 3<>"/dev/tcp/$1/$2"; }

send() { # HEX
  local i bytes=''
  for ((i = 0; i < ${#1}; i += 2)); do bytes+="\\x${1:i:2}"; done
  printf '%b' "$bytes" >&3
}

receive() { # BYTES: as hex
  head -c "$1" <&3 | od -An -v -tx1 | tr -d ' \n'
}

hex_of() { printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n'; }

expect() { # GOT WANTED WHAT
  [[ $1 == "$2" ]] || { echo "$3: got '$1', wanted '$2'" >&2; exit 1; }
}

# Metadata v1 for no topics. ApiVersions would not do: a broker answers it while it is still fenced, but lists itself
# here only when clients may use it.
kafka() {
  send "0000000e""0003""0001""00000001""ffff""00000000"
  local size brokers
  size=$(receive 4)
  expect "$(receive 4)" 00000001 "correlation id (of $size)"
  brokers=$(receive 4)
  ((16#$brokers >= 1))
}

OPCODE='' BODY=''
cassandra_call() { # OPCODE BODY: native protocol v4
  send "04000000$1$(printf '%08x' $((${#2} / 2)))$2"
  local header
  header=$(receive 9)
  OPCODE=${header:8:2}
  BODY=$(receive $((16#${header:10:8})))
}

cassandra_options() {
  cassandra_call 05 ""
  expect "$OPCODE" 06 SUPPORTED
}

short_string() { printf '%04x%s' "${#1}" "$(hex_of "$1")"; }

cassandra_login() { # [USER PASSWORD]
  cassandra_call 01 "0001$(short_string CQL_VERSION)$(short_string 3.0.0)"
  if [[ $OPCODE == 03 && -n ${1:-} ]]; then
    local token
    token="00$(hex_of "$1")00$(hex_of "$2")"
    cassandra_call 0f "$(printf '%08x' $((${#token} / 2)))$token"
    expect "$OPCODE" 10 "AUTH_SUCCESS ($BODY)"
  else
    expect "$OPCODE" 02 "READY ($BODY)"
  fi
}

# system_distributed has replication factor 3, so a read at ALL succeeds only when this node sees three live ones and
# they all answer it: stronger than what gossip believes.
cassandra_read() { # LEVEL [USER PASSWORD]
  local -A level=([ONE]=0001 [TWO]=0002 [ALL]=0005)
  local cql="SELECT status FROM system_distributed.view_build_status WHERE keyspace_name = 'triad' AND view_name = 'probe'"
  cassandra_options
  cassandra_login "${@:2}"
  cassandra_call 07 "$(printf '%08x' ${#cql})$(hex_of "$cql")${level[$1]}00"
  expect "$OPCODE" 08 "RESULT ($BODY)"
}

mysql_receive() { # one packet's payload
  local header
  header=$(receive 4)
  receive $((16#${header:4:2}${header:2:2}${header:0:2}))
}

mysql_send() { # SEQUENCE PAYLOAD
  local length
  length=$(printf '%06x' $((${#2} / 2)))
  send "${length:4:2}${length:2:2}${length:0:2}$1$2"
}

mysql() { # logs in as root, who has no password, and asks for 1
  local greeting plugin=caching_sha2_password
  greeting=$(mysql_receive)
  expect "${greeting:0:2}" 0a "protocol 10"
  # Capabilities PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH; utf8mb4; an empty answer is how an empty password is sent.
  mysql_send 01 "00820800""00000001""2d$(printf '%046d' 0)$(hex_of root)00""00""$(hex_of $plugin)00"
  local answer
  answer=$(mysql_receive)
  expect "${answer:0:2}" 00 "OK ($answer)"
  mysql_send 00 "03$(hex_of 'SELECT 1')"
  answer=$(mysql_receive)
  expect "${answer:0:2}" 01 "one column ($answer)"
}

http() { # METHOD PATH [BODY]
  printf '%s %s HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/dql\r\nContent-Length: %d\r\n\r\n%s' \
    "$1" "$2" "${#3}" "$3" >&3
  cat <&3
}

# The greps below read to the end: with -q they could break the pipe, and pipefail would take that for a failure.
zero() { http GET /health '' | grep '^HTTP/1.. 200' >/dev/null; }

prometheus() { http GET /-/ready '' | grep '^HTTP/1.. 200' >/dev/null; }

readonly DQL='{ q(func: has(dgraph.type), first: 1) { uid } }'

alpha_health() { http GET /health '' | grep '"status":"healthy"' >/dev/null; }

alpha() { # IP PORT: the first connection is open
  alpha_health
  connect "$1" "$2"
  http POST /query "$DQL" | grep '"data":{"q":' >/dev/null
}

alpha_tls() { # IP PORT AUTHORITY: its health, and nothing else, is told without TLS
  alpha_health
  curl -fsS --noproxy '*' --cacert "$3" -H 'Content-Type: application/dql' --data "$DQL" "https://$1:$2/query" |
    grep '"data":{"q":' >/dev/null
}

connect "$2" "$3"
case $1 in
  kafka | mysql | zero | prometheus) "$1" ;;
  alpha) alpha "$2" "$3" ;;
  alpha-tls) alpha_tls "${@:2}" ;;
  cassandra-options) cassandra_options ;;
  cassandra-read) cassandra_read "${@:4}" ;;
  *) echo "unknown question $1" >&2; exit 64 ;;
esac
