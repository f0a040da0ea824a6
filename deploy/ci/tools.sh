# shellcheck shell=bash
# Tools that the machine may lack: cargo's are built once into the user's cache, Debian's are installed
# as root and named otherwise. Sourced, not run.

CARGO_DENY_VERSION=0.20.2
export CARGO_DENY_VERSION
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
