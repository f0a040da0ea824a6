//! What is acknowledged is there after a restart, and time goes on.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use serde_json::Value;
use service_kit::embedded::{Disk, Folder};

use super::{NOTHING, TIMEOUT, ask, asked, write};
use crate::graph::client::CommitError;
use crate::graph::embedded::Embedded;
use crate::graph::schema::{self, SCHEMA};

/// A graph on a disk. The folder is another process's when this is dropped.
struct Opened {
    graph: Embedded,
    _disk: Disk,
    _folder: Folder,
}

async fn opened(path: &std::path::Path) -> Opened {
    let folder = Folder::take(path).unwrap();
    let disk = Disk::open(&folder).unwrap();
    let graph = Embedded::open(&disk, TIMEOUT).await.unwrap();
    Opened { graph, _disk: disk, _folder: folder }
}

/// Everything that is in a graph.
async fn everything(graph: &Embedded) -> Value {
    let (mut blocks, mut of) = (String::new(), String::from("uid"));
    for line in SCHEMA.lines() {
        let (name, type_) = line.split_once(": ").unwrap();
        let is_edge = type_.starts_with("uid") || type_.starts_with("[uid]");
        of += &format!(" {name}{}", if is_edge { " { uid }" } else { "" });
        if type_.contains("@reverse") {
            of += &format!(" ~{name} {{ uid }}");
        }
        let block = name.replace('.', "_");
        blocks += &format!("{block} as var(func: has({name}))\n");
    }
    let names: Vec<_> =
        SCHEMA.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
    let vars = names.iter().map(|name| name.replace('.', "_")).collect::<Vec<_>>().join(", ");
    ask(graph, &format!("{{ {blocks} all(func: uid({vars})) {{ {of} }} }}")).await
}

#[derive(Debug, Clone)]
enum Step {
    /// Set, or removed.
    Value(u64, &'static str, u8, bool),
    Edge(u64, &'static str, u64, bool),
    Clear(u64, &'static str),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let node = || 1..6_u64;
    let value =
        prop::sample::select(vec!["xid", "listed", "version", "Tenant.seq", "Outbox.pending"]);
    let edge =
        prop::sample::select(vec!["guard", "User.memberOf", "Binding.role", "Permission.role"]);
    prop_oneof![
        4 => (node(), value.clone(), any::<u8>(), any::<bool>())
            .prop_map(|(of, what, to, is_set)| Step::Value(of, what, to, is_set)),
        4 => (node(), edge.clone(), node(), any::<bool>())
            .prop_map(|(from, what, to, is_set)| Step::Edge(from, what, to, is_set)),
        2 => (node(), prop_oneof![value, edge]).prop_map(|(of, what)| Step::Clear(of, what)),
        1 => Just(Step::Reopen),
    ]
}

impl Step {
    fn quads(&self) -> (String, String) {
        let quads = |quad: String, is_set| {
            if is_set { (quad, String::new()) } else { (String::new(), quad) }
        };
        match self {
            Self::Value(of, what, to, true) => {
                quads(format!("<{of:#x}> <{what}> \"{to}\" ."), true)
            }
            Self::Value(of, what, ..) | Self::Clear(of, what) => {
                quads(format!("<{of:#x}> <{what}> * ."), false)
            }
            Self::Edge(from, what, to, is_set) => {
                quads(format!("<{from:#x}> <{what}> <{to:#x}> ."), *is_set)
            }
            Self::Reopen => quads(String::new(), true),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn opened_again_it_answers_the_same(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let (mut on_disk, beside) = (opened(folder.path()).await, super::graph().await);
            on_disk.graph.alter(SCHEMA).await.unwrap();
            let made = "_:a <deleted> \"1\" .\n_:b <deleted> \"1\" .\n_:c <deleted> \"1\" .\n\
                        _:d <deleted> \"1\" .\n_:e <deleted> \"1\" .\n";
            write(&on_disk.graph, made, "").await.unwrap();
            write(&beside, made, "").await.unwrap();
            let mut last = on_disk.graph.query(NOTHING, &[]).await.unwrap().revision;
            for step in &steps {
                if let Step::Reopen = step {
                    drop(on_disk);
                    on_disk = opened(folder.path()).await;
                }
                let (set, delete) = step.quads();
                let committed = write(&on_disk.graph, &set, &delete).await.unwrap();
                assert!(committed > last);
                last = committed;
                write(&beside, &set, &delete).await.unwrap();
            }
            let before = everything(&on_disk.graph).await;
            drop(on_disk);
            on_disk = opened(folder.path()).await;
            let after = everything(&on_disk.graph).await;
            assert_eq!(before, after);
            assert_eq!(before, everything(&beside).await);
        });
    }
}

#[tokio::test]
async fn the_schema_and_the_epoch_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let first = opened(folder.path()).await;
    let applied = schema::apply(&first.graph.clone().into()).await.unwrap();
    drop(first);
    let second = opened(folder.path()).await;
    assert_eq!(schema::meta(&second.graph.clone().into()).await, Ok(Some(applied)));
}

/// Names the folder of the process that is killed.
const FOLDER: &str = "TRIAD_KILLED_FOLDER";
const WRITERS: u64 = 8;

/// Each writer counts on a node of its own, and says what is acknowledged.
async fn count(graph: Embedded, writer: u64) {
    let key = format!("w{writer}");
    let dql = format!("{{ q(func: eq(xid, {key:?})) {{ uid version }} }}");
    loop {
        let (open, answer) = graph.begin(&dql).await.unwrap();
        let found: Value = answer.read().unwrap();
        let row = &found["q"][0];
        let node = row["uid"].as_str().map_or("_:n".to_owned(), |uid| format!("<{uid}>"));
        let next = row["version"].as_u64().unwrap_or(0) + 1;
        let set = format!(
            "{node} <xid> {key:?} .\n{node} <version> \"{next}\" .\n_:o <Outbox.pending> {key:?} .\n"
        );
        match open.commit(set, String::new()).await {
            Ok(revision) => println!("did {writer} {next} {}", revision.0),
            Err(CommitError::Aborted) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "is run and killed by another test"]
async fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let on_disk = opened(folder.as_ref()).await;
    schema::apply(&on_disk.graph.clone().into()).await.unwrap();
    let writers = (0..WRITERS).map(|writer| tokio::spawn(count(on_disk.graph.clone(), writer)));
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

/// Runs the process until it said so much, and kills it. What it said, by writer, and the last time.
fn killed_after(folder: &std::path::Path, lines: usize) -> (BTreeMap<u64, u64>, u64) {
    let name = "graph::embedded::tests::disk::writes_until_it_is_killed";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut counts, mut last, mut left) = (BTreeMap::new(), 0, Some(lines));
    for line in said.map_while(Result::ok) {
        if let ["did", writer, count, time] = line.split(' ').collect::<Vec<_>>()[..] {
            let [writer, count, time] = [writer, count, time].map(|n| n.parse::<u64>().unwrap());
            counts.insert(writer, count);
            last = last.max(time);
            if left == Some(0) {
                child.kill().unwrap();
            }
            // What it said before it died is still read.
            left = left.and_then(|left| left.checked_sub(1));
        }
    }
    child.wait().unwrap();
    (counts, last)
}

#[tokio::test]
async fn a_process_that_is_killed_loses_nothing_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (mut before, mut all) = (0, BTreeMap::new());
    for lines in [0, 1, 17, 120] {
        let (counts, last) = killed_after(folder.path(), lines);
        assert!(counts.len() > usize::from(lines > 16), "{counts:?}");
        assert!(last > before, "time goes on");
        all.extend(counts);
        let on_disk = opened(folder.path()).await;
        let mut written = 0;
        for writer in 0..WRITERS {
            let key = format!("w{writer}");
            let dql = format!(
                "{{ q(func: eq(xid, {key:?})) {{ version }} \
                 o(func: eq(Outbox.pending, {key:?})) {{ count(uid) }} }}"
            );
            let (revision, found) = asked(&on_disk.graph, &dql, &[]).await.unwrap();
            assert!(revision.0 > last, "time goes on");
            before = revision.0;
            let stored = found["q"][0]["version"].as_u64().unwrap_or(0);
            let told = all.get(&writer).copied().unwrap_or(0);
            // The last one may have been written, and its answer cut off.
            assert!(stored >= told && stored <= told + 1, "{writer}: {stored}, told {told}");
            assert_eq!(found["o"][0]["count"], stored, "each is there whole or not at all");
            all.insert(writer, stored);
            written += stored;
        }
        assert!(written > 0);
    }
}
