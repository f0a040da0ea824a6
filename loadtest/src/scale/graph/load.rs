//! A graph into its Dgraph: a folder made by `dgraph bulk` before any alpha runs, or `graph import`.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use authz_edge::graph::schema::SCHEMA;
use authz_edge::graph::write::{Author, Offline};
use authz_edge::model::{Relationship, Role};
use contracts::TenantId;
use serde::Serialize;
use serde_json::json;
use tokio::process::Command;

use super::parts::Part;
use crate::bench::authz::bed::Place;
use crate::bench::authz::import;
use crate::check::graph::{Graph, Shape};
use crate::check::target::{permissions, relationship};
use crate::check::words::role_name;
use crate::child::Launch;
use crate::cli::By;
use crate::deploy::{Local, pid};
use crate::progress::{bar, say};
use crate::stop::Stop;
use crate::system::settle;

/// The first node: below it there is room for what Dgraph makes by itself.
const FIRST: u64 = 1 << 20;
/// What the loader may take, as the engines' script bounds an alpha: softly.
const MEMORY: &str = "6GiB";
/// The largest part of the end of a log that is shown.
const LAST_WORDS: usize = 2000;
/// What a load left to compact is waited for, at most.
const SETTLE: Duration = Duration::from_secs(120);

/// What was loaded.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Loaded {
    pub(super) by: By,
    /// Bytes of the files that were loaded.
    pub(super) file_bytes: u64,
    /// To write them.
    pub(super) writing_seconds: f64,
    /// To load them.
    pub(super) seconds: f64,
    pub(super) relationships: u64,
    pub(super) relationships_per_second: f64,
}

/// Makes the data folder of the alpha, which has none yet; Zero runs.
pub(super) async fn bulk(local: &Local, part: &Part, stop: &Stop) -> anyhow::Result<Loaded> {
    let [zero, binary] = local.addresses(["TRIAD_DGRAPH_ZERO", "TRIAD_DGRAPH_BINARY"]).await?;
    let folder = local.state().join("bulk");
    std::fs::create_dir_all(&folder)?;
    let (file, schema) = (folder.join("graph.rdf"), folder.join("graph.schema"));
    std::fs::write(&schema, SCHEMA)?;
    let begun = Instant::now();
    let relationships = {
        let (file, part, stop) = (file.clone(), part.clone(), stop.clone());
        tokio::task::spawn_blocking(move || write(&file, &part, &stop)).await??
    };
    let writing_seconds = begun.elapsed().as_secs_f64();
    let file_bytes = std::fs::metadata(&file)?.len();
    say(&format!("{} MB of N-Quads in {writing_seconds:.0} s", file_bytes / 1_000_000));
    let begun = Instant::now();
    run(&binary.join(","), &zero.join(","), &folder).await?;
    let alpha = local.state().join(super::ALPHA);
    std::fs::create_dir_all(&alpha)?;
    std::fs::rename(folder.join("out/0/p"), alpha.join("p")).context("moving what was made")?;
    std::fs::remove_dir_all(&folder)?;
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Loaded {
        by: By::Bulk,
        file_bytes,
        writing_seconds,
        seconds,
        relationships,
        relationships_per_second: relationships as f64 / seconds,
    })
}

/// Runs the loader in `folder`; it ends with us.
async fn run(binary: &str, zero: &str, folder: &Path) -> anyhow::Result<()> {
    let log = folder.join("bulk.log");
    let said = File::create(&log)?;
    let status = Command::new(binary)
        .args(["bulk", "--files", "graph.rdf", "--schema", "graph.schema", "--format", "rdf"])
        .args(["--map_shards", "1", "--reduce_shards", "1", "--num_go_routines", "2"])
        // Parts of a file in memory: the default's eight times as large ones fit no small machine.
        .args(["--mapoutput_mb", "256", "--out", "out", "--tmp", "tmp"])
        .args(["--http", "127.0.0.1:0", "--zero", zero])
        .current_dir(folder)
        .env("GOMEMLIMIT", MEMORY)
        .stdin(Stdio::null())
        .stdout(said.try_clone()?)
        .stderr(said)
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("starting {binary}"))?;
    let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
    let from = text.char_indices().rev().nth(LAST_WORDS).map_or(0, |(at, _)| at);
    ensure!(status.success(), "dgraph bulk: {status}; it said\n{}", &text[from..]);
    Ok(())
}

/// Writes all tenants as N-Quads; returns how many relationships.
fn write(path: &Path, part: &Part, stop: &Stop) -> anyhow::Result<u64> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let (mut offline, mut all) = (Offline::new(FIRST), 0);
    let author = Author::system(chrono::Utc::now());
    let (roles, bar) = (roles(&part.shape)?, bar("tenants", u64::from(part.tenants)));
    for rank in 0..part.tenants {
        stop.check()?;
        let tenant = TenantId::parse(&part.shape.tenant(rank))?;
        let relationships = relationships(&part.shape, rank)?;
        all += relationships.len() as u64;
        let quads = offline.tenant(&tenant, &roles, relationships, &author)?;
        file.write_all(quads.as_bytes())?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    file.flush()?;
    Ok(all)
}

/// What every tenant's roles are.
fn roles(shape: &Shape) -> anyhow::Result<Vec<(String, Role)>> {
    let role = |role| {
        let permissions = json!({ "permissions": permissions(role, false) });
        anyhow::Ok((role_name(role), serde_json::from_value(permissions)?))
    };
    (0..shape.roles).map(role).collect()
}

fn relationships(shape: &Shape, rank: u32) -> anyhow::Result<Vec<Relationship>> {
    let told = Graph::new(shape, rank);
    let told = told.facts().filter_map(relationship);
    Ok(told.map(serde_json::from_value).collect::<Result<_, _>>()?)
}

/// Tells a running graph by the command that people use.
pub(super) async fn import(
    launch: &Launch,
    place: &Place,
    part: &Part,
    stop: &Stop,
) -> anyhow::Result<Loaded> {
    let folder = tempfile::tempdir()?;
    let begun = Instant::now();
    let (relationships, file_bytes) = {
        let (folder, part, stop) = (folder.path().to_owned(), part.clone(), stop.clone());
        tokio::task::spawn_blocking(move || lines(&folder, &part, &stop)).await??
    };
    let writing_seconds = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let output = Command::new(&launch.binary)
        .args(["graph", "import", "--all", "--input"])
        .arg(folder.path())
        .envs(place.environment.clone())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let refused = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "graph import: {} {refused}", output.status);
    let seconds = begun.elapsed().as_secs_f64();
    if let Some(pid) = pid(&place.state, super::ALPHA) {
        settle(pid, SETTLE).await;
    }
    Ok(Loaded {
        by: By::Import,
        file_bytes,
        writing_seconds,
        seconds,
        relationships,
        relationships_per_second: relationships as f64 / seconds,
    })
}

/// Writes a file for each tenant; returns how many relationships and bytes.
fn lines(folder: &Path, part: &Part, stop: &Stop) -> anyhow::Result<(u64, u64)> {
    let (mut relationships, mut bytes) = (0, 0);
    let Part { shape, tenants, .. } = part;
    for rank in 0..*tenants {
        stop.check()?;
        let path: PathBuf = folder.join(format!("{}.ndjson", shape.tenant(rank)));
        relationships += import::write(&path, shape, rank)?.relationships;
        bytes += std::fs::metadata(&path)?.len();
    }
    Ok((relationships, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part() -> Part {
        let shape = Shape { seed: 1, users: 60, resources: 40, depth: 2, roles: 6 };
        Part { shape, tenants: 3, users: 180, relationships: 0 }
    }

    #[test]
    fn both_ways_tell_as_many_relationships() {
        let folder = tempfile::tempdir().unwrap();
        let stop = Stop::after(Duration::from_secs(60));
        let file = folder.path().join("graph.rdf");
        let written = write(&file, &part(), &stop).unwrap();
        let ndjson = folder.path().join("lines");
        std::fs::create_dir(&ndjson).unwrap();
        let (told, bytes) = lines(&ndjson, &part(), &stop).unwrap();
        assert_eq!(written, told);
        assert!(bytes > 0);
        let quads = std::fs::read_to_string(&file).unwrap();
        // Each tenant has its roles, and no key is of two nodes.
        assert_eq!(quads.matches("<Role.hasPermission>").count(), 3 * 2 * (1 + 2 + 3));
        let keys = quads.lines().filter_map(|line| Some(line.split_once(" <xid> ")?.1));
        let keys: Vec<_> = keys.collect();
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert!(!quads.contains("Outbox"), "nobody is to be told");
        assert!(quads.lines().all(|line| line.starts_with("<0x") && line.ends_with(" .")));
    }
}
