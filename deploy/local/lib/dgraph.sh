# shellcheck shell=bash
# Dgraph: one Zero and one Alpha, built from the published Go module.

dgraph_nodes() { printf 'dgraph-zero\ndgraph-alpha\n'; }

dgraph_ports() { # NAME
  case $1 in
    dgraph-zero) printf '%s 127.0.0.1\n' zero-grpc zero-http ;;
    dgraph-alpha) printf '%s 127.0.0.1\n' alpha-internal alpha-http alpha-grpc ;;
  esac
}

dgraph_needs() { installed "dgraph-$DGRAPH_VERSION" || need_go; }

dgraph_install() { install_once "dgraph-$DGRAPH_VERSION" dgraph_build; }

# `go install …@version` refuses this module (it has replace directives), so it is built as the tool of an empty one.
# Without cgo: Dgraph needs none, and the machine then needs no C compiler.
dgraph_build() { # FOLDER
  local module=github.com/dgraph-io/dgraph/v24
  printf 'module triad-engine\n\ngo 1.24\n\ntool %s/dgraph\n\nrequire %s v%s\n' \
    "$module" "$module" "$DGRAPH_VERSION" >"$1/go.mod"
  (
    cd "$1" && export CGO_ENABLED=0 &&
      go mod tidy &&
      go build -buildvcs=false -trimpath -ldflags "-s -w -X $module/x.dgraphVersion=v$DGRAPH_VERSION" \
        -o bin/dgraph "$module/dgraph"
  ) </dev/null
}

dgraph_start() { # NAME
  local role=${1#dgraph-} zero
  zero=127.0.0.1:$(port zero-grpc)
  local -a command=("$CACHE/dgraph-$DGRAPH_VERSION/bin/dgraph" "$role" --bindall=false
    --telemetry 'reports=false;sentry=false' --port_offset "$(($(port zero-grpc) - DEFAULT_PORTS[zero-grpc]))")
  case $role in
    zero) command+=("--my=$zero" -w "$STATE/$1/zw") ;;
    alpha)
      command+=("--my=127.0.0.1:$(port alpha-internal)" "--zero=$zero" --security whitelist=127.0.0.1
        --cache size-mb=512 -p "$STATE/$1/p" -w "$STATE/$1/w") ;;
  esac
  # Of clients only: an alpha has one port for each protocol, and with certificates it speaks TLS alone there.
  ! tls_on || [[ $role != alpha ]] || command+=(--tls "ca-cert=$STATE/tls/ca.pem; server-cert=$STATE/tls/server.pem; \
server-key=$STATE/tls/server.key; client-auth-type=VERIFYIFGIVEN; use-system-ca=false; internal-port=false")
  # A soft limit: the garbage collector works harder instead of the machine running out.
  GOMEMLIMIT=1536MiB spawn "$1" "${command[@]}"
}

dgraph_ready() { # NAME
  case $1 in
    dgraph-zero) probe zero 127.0.0.1 "$(port zero-http)" ;;
    dgraph-alpha)
      if tls_on; then
        probe alpha-tls 127.0.0.1 "$(port alpha-http)" "$STATE/tls/ca.pem"
      else
        probe alpha 127.0.0.1 "$(port alpha-http)"
      fi ;;
  esac
}

# By name where there are certificates: those who verify them do not all know addresses.
dgraph_env() {
  local host=127.0.0.1
  ! tls_on || host=localhost
  printf 'export TRIAD_DGRAPH=%s:%s\n' "$host" "$(port alpha-grpc)"
  printf 'export TRIAD_DGRAPH_HTTP=127.0.0.1:%s\n' "$(port alpha-http)"
  # For whoever runs the loaders that come with it.
  printf 'export TRIAD_DGRAPH_ZERO=127.0.0.1:%s\n' "$(port zero-grpc)"
  printf 'export TRIAD_DGRAPH_BINARY=%q\n' "$CACHE/dgraph-$DGRAPH_VERSION/bin/dgraph"
}

dgraph_port() { # NAME
  if [[ $1 == dgraph-zero ]]; then port zero-grpc; else port alpha-grpc; fi
}
