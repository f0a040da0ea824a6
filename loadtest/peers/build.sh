# shellcheck shell=bash
# Peers as their projects release them, once for each version, in the engines' cache. Sourced, not run; what sources it
# has HERE, and deploy/local/lib's common.sh and install.sh.

# Its distribution is one archive, from Maven; the Go peers' versions stand in their go.mod.
readonly KEYCLOAK_VERSION=26.4.7

# What is required first is the peer itself.
version() { # PEER
  case $1 in
    keycloak) printf '%s\n' "$KEYCLOAK_VERSION" ;;
    *) awk '$1 == "require" { print substr($3, 2) }' "$HERE/$1/go.mod" ;;
  esac
}

peer_folder() { printf '%s' "$CACHE/$1-$(version "$1")"; } # PEER

peer_binary() { printf '%s' "$(peer_folder "$1")/bin/$1"; } # PEER

build_peer() { # PEER
  case $1 in
    keycloak)
      command -v mvn >/dev/null || die "missing mvn: apt-get install maven"
      command -v "${JAVA_HOME:+$JAVA_HOME/bin/}java" >/dev/null || die "missing java: apt-get install openjdk-17-jdk-headless" ;;
    *) command -v go >/dev/null || die "missing go: unpack a release of the Go project and put its bin on PATH" ;;
  esac
  install_once "$1-$(version "$1")" "build_$1"
}

# As its releases are built; a module of its own resolves exactly what the release resolves.
build_openfga() { # FOLDER
  build_go openfga "$1" -ldflags \
    "-s -w -X github.com/openfga/openfga/internal/build.Version=v$(version openfga)" \
    github.com/openfga/openfga/cmd/openfga
}

build_spicedb() { # FOLDER
  build_go spicedb "$1" -tags memoryprotection -ldflags \
    "-s -w -checklinkname=0 -X github.com/jzelinskie/cobrautil/v2.Version=v$(version spicedb)" \
    github.com/authzed/spicedb/cmd/spicedb
}

# A main of our own: all of Bento's components would take gigabytes and half an hour, and change nothing.
build_bento() { # FOLDER
  cp "$HERE/bento/main.go" "$1/main.go"
  build_go bento "$1" -ldflags "-s -w" .
}

build_go() { # PEER FOLDER ARGUMENT...
  local peer=$1 folder=$2
  shift 2
  cp "$HERE/$peer/go.mod" "$folder/go.mod"
  (cd "$folder" && CGO_ENABLED=0 go build -mod=mod -buildvcs=false -trimpath -o "bin/$peer" "$@") </dev/null
}

# `kc.sh build` is what its documentation asks for before `start --optimized`. One node: no cluster, no listener for one.
build_keycloak() { # FOLDER
  local lock unpacked=$1/unpacked
  exec {lock}>"$CACHE/.maven.lock"
  flock -w 600 "$lock" || return 1
  # Without a project, Maven leaves a note of what it unpacked where it runs, and unpacks it no second time there.
  (cd "$1" && mvn -q -B --strict-checksums dependency:unpack \
    "-Dartifact=org.keycloak:keycloak-quarkus-dist:$KEYCLOAK_VERSION:zip" "-DoutputDirectory=$unpacked") </dev/null &&
    mv -- "$unpacked/keycloak-$KEYCLOAK_VERSION"/* "$1/" && rm -rf -- "$unpacked" &&
    KC_DB=mysql KC_CACHE=local sh "$1/bin/kc.sh" build </dev/null
}
