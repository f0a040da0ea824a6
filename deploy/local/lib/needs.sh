# shellcheck shell=bash
# What the machine must offer. Everything missing is named at once, with the command that installs it.

MISSING=()  # sentences
PACKAGES=() # Debian packages that would mend them

missing() { # WHAT PACKAGE: once, though several engines may want it
  [[ " ${PACKAGES[*]} " != *" $2 "* ]] || return 0
  MISSING+=("missing $1: apt-get install $2")
  PACKAGES+=("$2")
}

need_command() { # COMMAND PACKAGE
  command -v "$1" >/dev/null || missing "$1" "$2"
}

need_library() { # SONAME PACKAGE
  # ldconfig lies in sbin, which is not on everybody's PATH.
  # grep reads to the end: with -q it would leave ldconfig a broken pipe, and pipefail would call that missing.
  PATH=$PATH:/usr/sbin:/sbin ldconfig -p | grep "[[:space:]]$1 " >/dev/null || missing "$1" "$2"
}

java_command() { printf '%s' "${JAVA_HOME:+$JAVA_HOME/bin/}java"; }

# Cassandra 5.0 runs on 11 and 17, Kafka 4 on 17 and later: 17 is what they share.
need_java() {
  local java version
  java=$(java_command)
  command -v "$java" >/dev/null || { missing "java 17" openjdk-17-jdk-headless; return; }
  version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' || true)
  [[ $version == 17 ]] || missing "java 17 ($java is ${version:-unknown}; JAVA_HOME chooses)" openjdk-17-jdk-headless
}

# Debian's Go is too old for `tool` lines in go.mod, so there is no package to name.
need_go() {
  local version
  version=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p' || true)
  ((${version:-0} >= 24)) ||
    MISSING+=("missing go 1.24 or later${version:+ (found 1.$version)}: unpack a release of the Go project into /usr/local/go and put its bin on PATH")
}

collect_needs() { # ENGINE...
  local engine
  MISSING=() PACKAGES=()
  need_command flock util-linux
  need_command setsid util-linux
  need_command timeout coreutils
  need_command od coreutils
  ! tls_on || tls_needs
  for engine; do
    "${engine}_needs"
    [[ ${OPT[cpus_$engine]:-all} == all ]] || need_command taskset util-linux
  done
}

install_packages() {
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    die "--install-packages wants root on Debian; by hand: apt-get install ${PACKAGES[*]}"
  fi
  say "apt-get install ${PACKAGES[*]}"
  {
    apt-get update -qq &&
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${PACKAGES[@]}"
  } >"$STATE/log/packages.log" 2>&1 || { tail_of "$STATE/log/packages.log"; die "apt-get failed"; }
}

check_needs() { # ENGINE...
  collect_needs "$@"
  if ((${#PACKAGES[@]})) && [[ $INSTALL_PACKAGES == 1 ]]; then
    install_packages
    collect_needs "$@"
  fi
  ((${#MISSING[@]} == 0)) || { printf 'engines: %s\n' "${MISSING[@]}" >&2; exit 1; }
}
