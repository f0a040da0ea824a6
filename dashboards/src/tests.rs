//! What is written here is what the services have, what parses, and what somebody can look up.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use promql_parser::label::MatchOp;
use promql_parser::parser::{self, Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};

use crate::alerts;

/// What the services say of their metrics, and what a series of each is called.
#[derive(Default)]
struct Declared(Mutex<BTreeSet<String>>);

impl Declared {
    fn note(&self, name: &KeyName, suffixes: &[&str]) {
        let names = suffixes.iter().map(|suffix| format!("{}{suffix}", name.as_str()));
        self.0.lock().unwrap().extend(names);
    }

    fn all() -> BTreeSet<String> {
        let declared = Self::default();
        metrics::with_local_recorder(&declared, || {
            ingest::metrics::describe();
            authz_edge::metrics::describe();
            identity_admin::metrics::describe();
            service_kit::telemetry::describe_process();
        });
        let mut names = declared.0.into_inner().unwrap();
        names.insert("up".to_owned());
        names
    }
}

impl Recorder for Declared {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.note(&name, &[""]);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.note(&name, &[""]);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        self.note(&name, &["_bucket", "_count", "_sum"]);
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// The series that an expression asks for.
#[derive(Default)]
struct Asked(BTreeSet<String>);

/// What `dashboard-linter` says of a panel's expressions, as far as it is about selectors.
#[derive(Default)]
struct Lenient(Vec<String>);

impl ExprVisitor for Lenient {
    type Error = String;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, String> {
        let selector = match expr {
            Expr::VectorSelector(of) => of,
            Expr::MatrixSelector(of) => &of.vs,
            _ => return Ok(true),
        };
        for (label, value) in [("job", "$job"), ("instance", "$instance")] {
            let is_there = selector.matchers.matchers.iter().any(|matcher| {
                let is_regex = matches!(matcher.op, MatchOp::Re(_));
                matcher.name == label && matcher.value == value && is_regex
            });
            if !is_there {
                self.0.push(format!("{selector}: {label}"));
            }
        }
        Ok(true)
    }
}

impl ExprVisitor for Asked {
    type Error = String;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, String> {
        let mut note = |of: &VectorSelector| self.0.extend(of.name.clone());
        match expr {
            Expr::VectorSelector(of) => note(of),
            Expr::MatrixSelector(of) => note(&of.vs),
            _ => {}
        }
        Ok(true)
    }
}

#[test]
fn the_files_are_what_the_code_writes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = crate::files().unwrap();
    for (name, text) in &files {
        let found = std::fs::read_to_string(root.join(name)).unwrap_or_default();
        assert!(found == *text, "{name} is not up to date: cargo run -p dashboards");
    }
    let written: BTreeSet<_> = files.iter().map(|(name, _)| root.join(name)).collect();
    for folder in ["grafana", "prometheus"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let is_ours = written.contains(&path) || path.ends_with("prometheus.yaml");
            assert!(is_ours, "{} is nobody's", path.display());
        }
    }
}

#[test]
fn every_expression_parses_and_asks_for_what_a_service_declares() {
    let declared = Declared::all();
    let recorded: BTreeSet<_> = crate::rules()
        .groups
        .iter()
        .flat_map(|group| &group.rules)
        .filter_map(|rule| rule.record.clone())
        .collect();
    let mut used = BTreeSet::new();
    for crate::Asked { place, expr, .. } in crate::asked("5m") {
        let parsed =
            parser::parse(&expr).unwrap_or_else(|error| panic!("{place}: {error}\n{expr}"));
        let mut asked = Asked::default();
        walk_expr(&mut asked, &parsed).unwrap();
        assert!(!asked.0.is_empty(), "{place} asks for nothing");
        for name in asked.0 {
            assert!(
                declared.contains(&name) || recorded.contains(&name),
                "{place}: nobody has {name}"
            );
            used.insert(name);
        }
    }
    // The other way round: what is measured is shown to somebody, unless it is said here why not.
    let shown = |name: &String| {
        let stem =
            ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let stem = stem.unwrap_or(name);
        used.iter().any(|used| used.starts_with(stem))
    };
    let hidden: Vec<_> =
        declared.iter().filter(|name| !shown(name) && !name.starts_with("process_")).collect();
    let known = [
        // Details of what a panel shows, for whoever looks closer.
        "triad_authz_clears_total",
        "triad_authz_fences_total",
        "triad_authz_fills_total",
        "triad_authz_outbox_set_aside_total",
        "triad_authz_relay_rounds_total",
        "triad_authz_relayed_changes_total",
        "triad_authz_reread_total",
        "triad_authz_shared_fills_total",
        "triad_authz_sync_changes_total",
        "triad_identity_changes_total",
        "triad_identity_parked_total",
        "triad_identity_password_hashes_total",
        "triad_identity_password_wait_seconds_bucket",
        "triad_identity_password_wait_seconds_count",
        "triad_identity_password_wait_seconds_sum",
        "triad_identity_relayed_total",
        "triad_identity_snapshots_running",
        "triad_identity_swept_total",
        "triad_ingest_batch_bytes_bucket",
        "triad_ingest_batch_bytes_count",
        "triad_ingest_batch_bytes_sum",
        "triad_ingest_batches_in_flight",
        "triad_ingest_export_retries_total",
        "triad_ingest_exports_total",
        "triad_ingest_promotions_total",
        "triad_ingest_query_index_fallbacks_total",
        "triad_ingest_query_partitions_total",
        "triad_ingest_record_bytes_total",
    ];
    assert_eq!(hidden, known);
}

#[test]
fn every_panel_is_narrowed_down_by_job_and_instance_but_those_that_are_said_not_to_be() {
    let exclusions = crate::linter::exceptions().exclusions;
    let excluded = &exclusions["target-job-rule"].entries;
    for board in crate::boards::all() {
        for panel in board.rows.iter().flat_map(|row| &row.panels) {
            let entry = crate::linter::Entry { dashboard: board.title, panel: panel.title };
            let mut lenient = Lenient::default();
            for query in &panel.queries {
                let ranges = query.expr.matches('[').count();
                assert_eq!(ranges, query.expr.matches("[$__rate_interval]").count());
                let expr = query.expr.replace("$__rate_interval", "5m");
                walk_expr(&mut lenient, &parser::parse(&expr).unwrap()).unwrap();
            }
            assert_eq!(lenient.0.is_empty(), !excluded.contains(&entry), "{:?}", lenient.0);
        }
    }
}

#[test]
fn every_alert_has_a_page_that_names_it_and_every_page_an_alert() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let pages = root.join(alerts::RUNBOOKS);
    let contents = std::fs::read_to_string(pages.join("README.md")).unwrap();
    let mut named = BTreeSet::from(["README.md".to_owned()]);
    let rules = crate::rules();
    for rule in rules.groups.iter().flat_map(|group| &group.rules) {
        let Some(alert) = &rule.alert else { continue };
        let page = &rule.annotations["runbook"];
        let text = std::fs::read_to_string(root.join(page))
            .unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(text.contains(alert), "{page} does not name {alert}");
        assert!(contents.contains(alert), "the table of contents does not name {alert}");
        named.extend(page.rsplit('/').next().map(str::to_owned));
    }
    for entry in std::fs::read_dir(&pages).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(named.contains(&name), "{name} is no alert's");
    }
}

#[test]
fn every_dashboard_can_be_read() {
    let mut uids = BTreeSet::new();
    for board in crate::boards::all() {
        assert!(uids.insert(board.uid), "{} twice", board.uid);
        for panel in board.rows.iter().flat_map(|row| &row.panels) {
            assert!((1..=6).contains(&panel.queries.len()), "{}: {}", board.uid, panel.title);
            assert!(panel.help.ends_with('.') && !panel.title.ends_with('.'), "{}", panel.title);
        }
    }
}
