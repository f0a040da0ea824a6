# shellcheck shell=bash
# Engines of one run: their own state and ports, ended with the run, however it ends. Sourced, not run.

# with_engines OPTION...: starts engines and exports where they are.
with_engines() {
  TRIAD_STATE=$(mktemp -d "${TMPDIR:-/tmp}/triad-test.XXXXXX")
  export TRIAD_STATE
  trap 'deploy/local/engines reset --state "$TRIAD_STATE" && rm -rf "$TRIAD_STATE"' EXIT
  deploy/local/engines up --state "$TRIAD_STATE" --port-base auto --install-packages "$@"
  eval "$(deploy/local/engines env --state "$TRIAD_STATE")"
}
