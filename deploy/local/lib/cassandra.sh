# shellcheck shell=bash
# Cassandra: one node, or three on 127.0.0.1, .2 and .3. Drivers take the port of every node from the contact point, so
# the nodes of an instance share their ports and differ by address; instances differ by port.

cassandra_nodes() {
  local i
  for ((i = 1; i <= OPT[cassandra_nodes]; i++)); do printf 'cassandra-%s\n' "$i"; done
}

cassandra_ip() { printf '127.0.0.%s' "${1#cassandra-}"; } # NAME

cassandra_ports() { # NAME
  printf '%s %s\n' cassandra "$(cassandra_ip "$1")" cassandra-storage "$(cassandra_ip "$1")"
  ! tls_on || printf 'cassandra-tls %s\n' "$(cassandra_ip "$1")"
  # JMX listens on the first loopback address, whatever the node's.
  printf '%s 127.0.0.1\n' "cassandra-jmx-${1#cassandra-}"
}

cassandra_needs() {
  need_java
  [[ ${OPT[cassandra_group]} == none ]] || need_command setpriv util-linux
  installed "cassandra-$CASSANDRA_VERSION" || need_command mvn maven
}

cassandra_install() { install_once "cassandra-$CASSANDRA_VERSION" cassandra_build; }

cassandra_build() { # FOLDER
  maven_fetch "$1" copy-dependencies outputDirectory "org.apache.cassandra:cassandra-all:$CASSANDRA_VERSION"
}

# Every node is a seed: any of them can restart while any other is down, and all three may start at once, because seeds
# do not bootstrap and there is no data to stream.
cassandra_seeds() {
  local name seeds=''
  for name in $(cassandra_nodes); do seeds+="${seeds:+,}$(cassandra_ip "$name"):$(port cassandra-storage)"; done
  printf '%s' "$seeds"
}

cassandra_sync_config() {
  printf 'commitlog_sync: %s\n' "${OPT[commitlog_sync]}"
  case ${OPT[commitlog_sync]} in
    # A write waits for the next flush: kill -9 loses nothing acknowledged, at no more than 2 ms a write.
    group) printf 'commitlog_sync_group_window: 2ms\n' ;;
    # Acknowledged writes of the last 10 s are lost on kill -9 of a lone node.
    periodic) printf 'commitlog_sync_period: 10s\n' ;;
  esac
}

cassandra_auth_config() {
  [[ ${OPT[cassandra_auth]} == on ]] || return 0
  cat <<'EOF'
authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
role_manager: CassandraRoleManager
# Short, so that a revoked grant acts while a test watches.
roles_validity: 1000ms
permissions_validity: 500ms
credentials_validity: 500ms
EOF
}

# On a port of its own, so that probes need no client of TLS.
cassandra_tls_config() {
  tls_on || return 0
  cat <<EOF
native_transport_port_ssl: $(port cassandra-tls)
client_encryption_options:
  enabled: true
  optional: false
  keystore: $STATE/tls/cassandra.p12
  keystore_password: $TLS_STORE_PASSWORD
  store_type: PKCS12
EOF
}

cassandra_config() { # NAME
  local ip
  ip=$(cassandra_ip "$1")
  cat <<EOF
cluster_name: triad
num_tokens: 16
auto_bootstrap: false
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "$(cassandra_seeds)"
listen_address: $ip
rpc_address: $ip
native_transport_port: $(port cassandra)
storage_port: $(port cassandra-storage)
data_file_directories: [$STATE/$1/data]
commitlog_directory: $STATE/$1/commitlog
hints_directory: $STATE/$1/hints
saved_caches_directory: $STATE/$1/saved_caches
cdc_raw_directory: $STATE/$1/cdc_raw
# A snapshot for every dropped test keyspace would fill the disk.
auto_snapshot: false
# One oversized value must fail by itself instead of dragging its batch over the mutation limit.
column_value_size_fail_threshold: 512KiB
# Cassandra's default; off the heap it writes faster (ADR 0008).
memtable_allocation_type: ${OPT[memtable]}
EOF
  cassandra_sync_config
  cassandra_auth_config
  cassandra_tls_config
}

cassandra_logging() {
  cat <<'EOF'
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date{ISO8601} %-5level %thread %F:%L - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="out"/></root>
</configuration>
EOF
}

# What JDK 17 keeps closed and Cassandra reaches into; its own start script passes the same list.
readonly CASSANDRA_EXPORTS=(
  java.base/{jdk.internal.misc,jdk.internal.ref,sun.nio.ch,java.lang.ref}
  java.management.rmi/com.sun.jmx.remote.internal.rmi java.rmi/{sun.rmi.registry,sun.rmi.server}
  java.sql/java.sql jdk.unsupported/sun.misc jdk.attach/sun.tools.attach
)
readonly CASSANDRA_OPENS=(
  java.base/{java.lang.module,jdk.internal.loader,jdk.internal.ref,jdk.internal.reflect,jdk.internal.math}
  java.base/{jdk.internal.module,jdk.internal.util.jar,sun.nio.ch,java.nio,java.io,java.util,java.util.concurrent}
  java.base/{java.util.concurrent.atomic,java.lang,java.math,java.lang.reflect,java.net}
  jdk.management/com.sun.management.internal
)

# The collector is set as Cassandra's own jvm17-server.options set it, but for its pauses: their target of 300 ms with half
# of the heap as new space is what ingest's lag consists of (ADR 0008). As a Java argument file: eighty arguments would
# hide the useful ones from ps.
cassandra_jvm() { # NAME
  local heap=3g direct=512m
  # Nodes 2 and 3 only hold replicas for drills.
  [[ $1 == cassandra-1 ]] || heap=1g direct=256m
  printf -- '--add-exports %s=ALL-UNNAMED\n' "${CASSANDRA_EXPORTS[@]}"
  printf -- '--add-opens %s=ALL-UNNAMED\n' "${CASSANDRA_OPENS[@]}"
  cat <<EOF
-Xms256m
-Xmx$heap
-XX:MaxDirectMemorySize=$direct
-Xss512k
-XX:+UseG1GC
-XX:+ParallelRefProcEnabled
-XX:MaxTenuringThreshold=2
-XX:G1HeapRegionSize=16m
-XX:+UnlockExperimentalVMOptions
-XX:G1NewSizePercent=5
-XX:G1RSetUpdatingPauseTimePercent=5
-XX:MaxGCPauseMillis=50
-XX:InitiatingHeapOccupancyPercent=70
-XX:+ExitOnOutOfMemoryError
-XX:+PerfDisableSharedMem
-Djava.awt.headless=true
-Djava.io.tmpdir="$STATE/$1/tmp"
-Djdk.attach.allowAttachSelf=true
-Dio.netty.tryReflectionSetAccessible=true
-Dcassandra.config="file://$STATE/$1/cassandra.yaml"
-Dcassandra.storagedir="$STATE/$1"
-Dlogback.configurationFile="$STATE/$1/logback.xml"
-Dcassandra-foreground=yes
-Dcassandra.jmx.local.port=$(port "cassandra-jmx-${1#cassandra-}")
-Dcassandra.ring_delay_ms=1000
-Dcassandra.skip_wait_for_gossip_to_settle=0
-Dcassandra.consistent.rangemovement=false
-Dcassandra.superuser_setup_delay_ms=500
-Dcassandra.shutdown_announce_in_ms=500
EOF
  # With one copy of the roles, killing the node that holds it would lock everybody out of the other two.
  printf -- '-Dcassandra.system_auth.default_rf=%s\n' "${OPT[cassandra_nodes]}"
}

cassandra_start() { # NAME
  cassandra_config "$1" >"$STATE/$1/cassandra.yaml"
  cassandra_logging >"$STATE/$1/logback.xml"
  cassandra_jvm "$1" >"$STATE/$1/jvm.options"
  local -a as=()
  # Its own: connections between nodes come from one address on loopback, and tell by nothing else whose they are.
  [[ ${OPT[cassandra_group]} == none ]] ||
    as=(setpriv --regid "$((OPT[cassandra_group] + ${1#cassandra-} - 1))" --clear-groups)
  MALLOC_ARENA_MAX=2 spawn "$1" "${as[@]}" "$(java_command)" "@$STATE/$1/jvm.options" \
    -cp "$CACHE/cassandra-$CASSANDRA_VERSION/lib/*" org.apache.cassandra.service.CassandraDaemon
}

# Asks every node that runs, not only NAME: a node is back when the others know it. Nodes that a drill has killed or
# paused are not waited for; roles are read at QUORUM, so without one nobody can log in and only NAME itself is asked.
cassandra_ready() { # NAME
  local name live=0
  local -a login=() level=('' ONE TWO ALL)
  for name in $(cassandra_nodes); do ! answers_signals "$name" || live=$((live + 1)); done
  probe cassandra-options "$(cassandra_ip "$1")" "$(port cassandra)" || return 1
  if [[ ${OPT[cassandra_auth]} == on ]]; then
    ((live * 2 > OPT[cassandra_nodes])) || return 0
    login=(cassandra cassandra)
  fi
  for name in $(cassandra_nodes); do
    answers_signals "$name" || continue
    probe cassandra-read "$(cassandra_ip "$name")" "$(port cassandra)" "${level[live]}" "${login[@]}" || return 1
  done
}

cassandra_hosts() { # ROLE: every node's port of that role
  local name hosts=''
  for name in $(cassandra_nodes); do hosts+="${hosts:+,}$(cassandra_ip "$name"):$(port "$1")"; done
  printf '%s' "$hosts"
}

cassandra_env() {
  printf 'export TRIAD_CASSANDRA=%s\n' "$(cassandra_hosts cassandra)"
  ! tls_on || printf 'export TRIAD_CASSANDRA_TLS=%s\n' "$(cassandra_hosts cassandra-tls)"
  [[ ${OPT[cassandra_auth]} == on ]] || return 0
  printf 'export TRIAD_CASSANDRA_USER=cassandra\nexport TRIAD_CASSANDRA_PASSWORD=cassandra\n'
}

cassandra_port() { port cassandra; }
