# shellcheck shell=bash
# Kafka: one process, broker and KRaft controller in one.

kafka_nodes() { printf 'kafka\n'; }

# What clients log in with where they must: over TLS.
readonly KAFKA_USER=triad KAFKA_PASSWORD=triad

kafka_ports() {
  printf '%s 127.0.0.1\n' kafka kafka-controller
  ! tls_on || printf '%s 127.0.0.1\n' kafka-tls
}

kafka_needs() {
  need_java
  installed "kafka-$KAFKA_VERSION" || need_command mvn maven
}

kafka_install() { install_once "kafka-$KAFKA_VERSION" kafka_build; }

kafka_build() { # FOLDER
  maven_fetch "$1" copy-dependencies outputDirectory \
    "org.apache.kafka:kafka_2.13:$KAFKA_VERSION" \
    "org.apache.kafka:kafka-tools:$KAFKA_VERSION" \
    org.apache.logging.log4j:log4j-slf4j-impl:2.25.1
}

# Beside the plain listener, which the broker itself uses. Its user is in the cluster's metadata, since it was formatted.
kafka_tls_config() {
  tls_on || return 0
  cat <<EOF
sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location=$STATE/tls/kafka.pem
ssl.truststore.type=PEM
ssl.truststore.location=$STATE/tls/ca.pem
EOF
}

kafka_config() {
  local broker controller tls=''
  broker=127.0.0.1:$(port kafka) controller=127.0.0.1:$(port kafka-controller)
  ! tls_on || tls=,SASL_SSL://127.0.0.1:$(port kafka-tls)
  cat <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@$controller
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://$broker,CONTROLLER://$controller$tls
advertised.listeners=PLAINTEXT://$broker$tls
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
log.dirs=$STATE/kafka/data

# A typo in a topic's name must fail, as it does in production.
auto.create.topics.enable=false
message.max.bytes=4194304
group.initial.rebalance.delay.ms=0

# One broker: replication of the internal topics can only be 1.
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# A laptop's share of threads, memory and internal partitions; the defaults are for a machine of its own.
num.network.threads=2
num.io.threads=4
background.threads=2
num.recovery.threads.per.data.dir=2
log.cleaner.dedupe.buffer.size=33554432
offsets.topic.num.partitions=8
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=4
EOF
  kafka_tls_config
}

kafka_logging() {
  cat <<'EOF'
<Configuration status="WARN">
  <Appenders>
    <Console name="out"><PatternLayout pattern="%d{ISO8601} %-5p %c{1} %m%n"/></Console>
  </Appenders>
  <Loggers>
    <!-- Start-up prints every configuration class in full at INFO. -->
    <Logger name="org.apache.kafka.common.config" level="WARN"/>
    <Logger name="kafka.server.KafkaConfig" level="WARN"/>
    <Root level="INFO"><AppenderRef ref="out"/></Root>
  </Loggers>
</Configuration>
EOF
}

# The tool that makes a cluster id is a JVM start of its own for sixteen random bytes; the replacement of + and / keeps
# the id clear of a leading dash, which the next tool would take for an option. The user is there whatever --tls is, so that
# it may change.
kafka_format() {
  [[ ! -f $STATE/kafka/data/meta.properties ]] || return 0
  local id
  id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'xy' | tr -d '=')
  "$(java_command)" -Xmx128m -XX:TieredStopAtLevel=1 -XX:+PerfDisableSharedMem \
    -cp "$CACHE/kafka-$KAFKA_VERSION/lib/*" kafka.tools.StorageTool format \
    --ignore-formatted -t "$id" -c "$STATE/kafka/server.properties" \
    --add-scram "SCRAM-SHA-256=[name=\"$KAFKA_USER\",password=\"$KAFKA_PASSWORD\"]" >>"$(log_of kafka)" 2>&1 ||
    fail_start kafka "could not format its data folder"
}

kafka_start() { # NAME
  kafka_config >"$STATE/kafka/server.properties"
  kafka_logging >"$STATE/kafka/log4j2.xml"
  kafka_format
  MALLOC_ARENA_MAX=2 spawn kafka "$(java_command)" -Xms256m -Xmx1g -XX:MaxDirectMemorySize=256m -XX:+UseG1GC \
    -XX:+ExitOnOutOfMemoryError -XX:+PerfDisableSharedMem -Djava.awt.headless=true \
    "-Djava.io.tmpdir=$STATE/kafka/tmp" "-Dlog4j2.configurationFile=$STATE/kafka/log4j2.xml" \
    -cp "$CACHE/kafka-$KAFKA_VERSION/lib/*" kafka.Kafka "$STATE/kafka/server.properties"
}

kafka_ready() { probe kafka 127.0.0.1 "$(port kafka)"; }

kafka_env() {
  printf 'export TRIAD_KAFKA=127.0.0.1:%s\n' "$(port kafka)"
  ! tls_on || printf 'export TRIAD_KAFKA_TLS=127.0.0.1:%s TRIAD_KAFKA_USER=%s TRIAD_KAFKA_PASSWORD=%s\n' \
    "$(port kafka-tls)" "$KAFKA_USER" "$KAFKA_PASSWORD"
}

kafka_port() { port kafka; }
