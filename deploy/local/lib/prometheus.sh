# shellcheck shell=bash
# Prometheus: Debian's package, unpacked beside the other engines and not installed. Whom it asks stands in files of
# `prometheus/targets`, which it reads again when they change; Triad's rules are those of dashboards/prometheus.

prometheus_nodes() { printf 'prometheus\n'; }

prometheus_ports() { printf '%s 127.0.0.1\n' prometheus; }

prometheus_needs() {
  installed "prometheus-$PROMETHEUS_VERSION" || need_command apt-get apt
}

prometheus_install() { install_once "prometheus-$PROMETHEUS_VERSION" prometheus_build; }

prometheus_build() { # FOLDER
  # As another user apt may not lock its own folders, and does not have to.
  (cd "$1" && { ((EUID != 0)) || apt-get update -qq; } && apt-get download -qq prometheus) &&
    dpkg-deb -x "$1"/prometheus_*.deb "$1" && rm -f -- "$1"/prometheus_*.deb
}

prometheus_configure() {
  local seconds=${TRIAD_SCRAPE_SECONDS:-5}
  mkdir -p "$STATE/prometheus/targets"
  cat >"$STATE/prometheus/prometheus.yaml" <<EOF_CONFIG
global:
  scrape_interval: ${seconds}s
  evaluation_interval: ${seconds}s
rule_files:
  - $HERE/../../dashboards/prometheus/rules.yaml
scrape_configs:
  - job_name: triad
    file_sd_configs:
      - files: [$STATE/prometheus/targets/*.json]
        refresh_interval: 5s
EOF_CONFIG
}

prometheus_start() { # NAME
  prometheus_configure
  spawn prometheus "$CACHE/prometheus-$PROMETHEUS_VERSION/usr/bin/prometheus" \
    "--config.file=$STATE/prometheus/prometheus.yaml" "--storage.tsdb.path=$STATE/prometheus/data" \
    --storage.tsdb.retention.time=7d "--web.listen-address=127.0.0.1:$(port prometheus)" \
    --web.console.templates="$STATE/prometheus" --web.console.libraries="$STATE/prometheus" --log.level=warn
}

prometheus_ready() { probe prometheus 127.0.0.1 "$(port prometheus)"; }

prometheus_env() {
  printf 'export TRIAD_PROMETHEUS=127.0.0.1:%s TRIAD_PROMETHEUS_TARGETS=%q\n' "$(port prometheus)" \
    "$STATE/prometheus/targets"
  printf 'export TRIAD_PROMTOOL=%q\n' "$CACHE/prometheus-$PROMETHEUS_VERSION/usr/bin/promtool"
}

prometheus_port() { port prometheus; }
