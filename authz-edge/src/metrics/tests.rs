use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use metrics::{Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::PrometheusBuilder;
use moka::sync::Cache;

use crate::graph::GraphError;

use super::*;

/// Remembers what is described.
#[derive(Default)]
struct Described(Mutex<BTreeSet<String>>);

impl Described {
    fn note(&self, name: &KeyName, text: &SharedString) {
        assert!(!text.is_empty() && !text.ends_with('.'), "{name:?}: {text}");
        assert!(self.0.lock().unwrap().insert(name.as_str().to_owned()), "{name:?} twice");
    }
}

impl Recorder for Described {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        assert!(name.as_str().ends_with("_total"), "{name:?}");
        self.note(&name, &text);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.note(&name, &text);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        assert!(name.as_str().ends_with("_seconds"), "{name:?}");
        self.note(&name, &text);
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

/// The metrics that a file names outside of its tests and of [`describe`], as string literals.
fn named(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code = match code.split_once("pub fn describe() {") {
        Some((before, behind)) => {
            let behind = behind.split_once("\n}\n").unwrap_or_default().1;
            format!("{before}{behind}")
        }
        None => code.to_owned(),
    };
    let literals = code.split("\"triad_authz_").skip(1).filter_map(|rest| rest.split_once('"'));
    let names = literals.map(|(name, _)| name).filter(|name| !name.is_empty());
    names.map(|name| format!("triad_authz_{name}")).collect()
}

fn gather(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap_or_default().to_str().unwrap().to_owned();
        if name == "tests" || name.ends_with("_tests") || name == "live" {
            continue;
        }
        if path.is_dir() {
            gather(&path, names);
        } else if path.extension().is_some_and(|of| of == "rs") {
            names.append(&mut named(&std::fs::read_to_string(path).unwrap()));
        }
    }
}

#[test]
fn every_metric_is_described_and_every_description_is_of_a_metric() {
    let described = Described::default();
    metrics::with_local_recorder(&described, describe);
    let mut set = BTreeSet::new();
    gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut set);
    assert_eq!(set, described.0.into_inner().unwrap());
}

#[test]
fn what_leaves_a_cache_for_room_is_counted_and_what_is_replaced_is_not() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let cache = Cache::builder()
            .max_capacity(2)
            .eviction_listener(evictions::<u32, ()>("decision"))
            .build();
        for _ in 0..2 {
            cache.insert(1, ());
        }
        cache.run_pending_tasks();
        assert!(handle.render().contains("cache_evictions_total{kind=\"decision\"} 0"));
        for key in 0..10 {
            cache.insert(key, ());
        }
        cache.run_pending_tasks();
    });
    assert!(handle.render().contains("cache_evictions_total{kind=\"decision\"} 8"));
}

#[test]
fn writes_are_counted_by_how_they_end() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        write("role", &Ok(()));
        write::<()>("role", &Err(WriteError::Missing { what: "role".to_owned() }));
        write::<()>("role", &Err(WriteError::Graph(GraphError::Contended)));
    });
    let text = handle.render();
    for outcome in ["ok", "refused", "error"] {
        let line = format!("triad_authz_writes_total{{kind=\"role\",outcome=\"{outcome}\"}} 1");
        assert!(text.contains(&line), "{text}");
    }
}

#[test]
fn requests_of_envoy_are_counted_and_timed_and_are_there_before_the_first() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        begin();
        ext_authz(Answered::Error, Instant::now());
    });
    let text = handle.render();
    for line in [
        "triad_authz_ext_authz_total{result=\"allow\"} 0",
        "triad_authz_ext_authz_total{result=\"error\"} 1",
        "triad_authz_ext_authz_seconds_count 1",
        "triad_authz_sync_parked_total{reason=\"unknown_type\"} 0",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}
