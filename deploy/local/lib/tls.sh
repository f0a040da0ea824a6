# shellcheck shell=bash
# With `--tls on`: a certificate authority of this instance, what its engines show, and what a client may show them. Made
# once, in STATE/tls; whoever can read that folder can be any of them.

# Of Cassandra's key store, which lies beside the key that it holds.
readonly TLS_STORE_PASSWORD=triad

tls_on() { [[ ${OPT[tls]} == on ]]; }

tls_needs() {
  need_command openssl openssl
  need_command curl curl
}

tls_sections() {
  cat <<'EOF_SECTIONS'
[req]
distinguished_name = subject
[subject]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost,IP:127.0.0.1,IP:127.0.0.2,IP:127.0.0.3
[client]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
EOF_SECTIONS
}

tls_issue() { # server|client
  openssl req -new -newkey rsa:2048 -nodes -config sections -subj "/CN=triad $1" -keyout "$1.key" -out "$1.request" &&
    openssl x509 -req -sha256 -days 3650 -in "$1.request" -CA ca.pem -CAkey ca.key -CAcreateserial \
      -extfile sections -extensions "$1" -out "$1.pem"
}

# RSA: every engine here takes it. Kafka wants key and certificate in one file, Cassandra a store.
tls_files() {
  tls_sections >sections &&
    openssl req -new -x509 -newkey rsa:2048 -nodes -sha256 -days 3650 -config sections -extensions authority \
      -subj '/CN=triad local authority' -keyout ca.key -out ca.pem &&
    tls_issue server && tls_issue client &&
    cat server.key server.pem >kafka.pem &&
    openssl pkcs12 -export -name server -in server.pem -inkey server.key -passout "pass:$TLS_STORE_PASSWORD" \
      -out cassandra.p12 &&
    rm -f -- sections ./*.request ./*.srl
}

# In a folder beside, then renamed: what is there is complete.
tls_make() {
  local folder=$STATE/tls.new log=$STATE/log/tls.log
  [[ ! -d $STATE/tls ]] || return 0
  rm -rf -- "$folder"
  if ! (umask 077 && mkdir "$folder" && cd "$folder" && tls_files) </dev/null >"$log" 2>&1; then
    tail_of "$log"
    die "could not make certificates"
  fi
  mv -T -- "$folder" "$STATE/tls"
}

tls_env() { printf 'export TRIAD_TLS=%q\n' "$STATE/tls"; }
