# shellcheck shell=bash
# Tools that the machine may lack: cargo's and Go's are built once into the user's cache, Debian's are installed
# as root and named otherwise. Sourced, not run.

CARGO_DENY_VERSION=0.20.2
DASHBOARD_LINTER_VERSION=0.1.1
export CARGO_DENY_VERSION DASHBOARD_LINTER_VERSION
TOOL_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/triad/tools

# tool NAME VERSION: prints the path of a cargo tool, building it first if need be.
tool() {
  local root=$TOOL_CACHE/$1-$2
  if [[ ! -x $root/bin/$1 ]]; then
    mkdir -p "$TOOL_CACHE"
    (
      flock 9
      [[ -x $root/bin/$1 ]] ||
        CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
          cargo install "$1" --version "$2" --locked --root "$root" --quiet >&2
    ) 9>"$TOOL_CACHE/$1.lock"
  fi
  printf '%s\n' "$root/bin/$1"
}

# has_go MINOR: whether there is a Go 1.MINOR or a later one.
has_go() {
  local version
  version=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p' || true)
  ((${version:-0} >= $1))
}

# go_tool MODULE VERSION: prints the path of a Go program, building it first if need be.
go_tool() {
  local name=${1##*/} root
  root=$TOOL_CACHE/$name-$2
  if [[ ! -x $root/bin/$name ]]; then
    mkdir -p "$TOOL_CACHE"
    (
      flock 9
      [[ -x $root/bin/$name ]] || build_go_tool "$1" "$2" "$root" >&2
    ) 9>"$TOOL_CACHE/$name.lock" || return
  fi
  printf '%s\n' "$root/bin/$name"
}

# From the module's own go.mod and go.sum: `go install …@version` refuses modules that have replace directives.
build_go_tool() { # MODULE VERSION ROOT
  local building=$3.building from
  rm -rf -- "$building"
  mkdir -p "$building/bin"
  from=$(cd "$building" && go mod download -json "$1@v$2" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p') || true
  [[ -n $from ]] || {
    echo "$1@v$2 cannot be downloaded"
    return 1
  }
  # What Go has downloaded may not be written to.
  cp -R -- "$from" "$building/source" && chmod -R u+w "$building/source" &&
    (cd "$building/source" && CGO_ENABLED=0 go build -buildvcs=false -trimpath -o "../bin/${1##*/}" .) &&
    rm -rf -- "$building/source" &&
    mv -T -- "$building" "$3"
}

# need_package COMMAND PACKAGE: installs PACKAGE as root on Debian, else says how.
need_package() {
  command -v "$1" >/dev/null && return
  if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    { apt-get install -y -qq "$2" || { apt-get update -qq && apt-get install -y -qq "$2"; }; } >/dev/null
  fi
  command -v "$1" >/dev/null || {
    echo "missing $1: apt-get install $2" >&2
    exit 1
  }
}
