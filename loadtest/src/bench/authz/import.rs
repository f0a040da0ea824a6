//! How fast a tenant's graph comes back from a file, by the command that people use.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, ensure};
use authz_edge::transfer::format::{FORMAT, VERSION};
use serde_json::json;
use tokio::process::Command;

use super::bed::{Bed, in_turns};
use crate::bench::goals::Figure;
use crate::check::graph::{Graph, Shape};
use crate::check::target::{permissions, relationship};
use crate::check::words::role_name;
use crate::progress::say;

/// Imports the same graph into one fresh tenant after the other. Nothing else runs beside it.
pub(super) async fn import(bed: &mut Bed, until: Instant) -> anyhow::Result<Vec<Figure>> {
    let shape = bed.sizes.import.clone();
    bed.place().await?;
    let file = Dropped(std::env::temp_dir().join(format!("lt-{}.ndjson", uuid::Uuid::new_v4())));
    let written = write(&file.0, &shape, 0)?;
    say(&format!("{} relationships and {} roles", written.relationships, shape.roles));
    let runs = in_turns(bed, until, async |bed, turn| {
        let tenant = format!("import-{}-{turn}", std::process::id());
        let seconds = run(bed, &tenant, &file.0, &written).await?;
        let value = written.relationships as f64 / seconds;
        Ok(json!({ "value": value, "seconds": seconds, "relationships": written.relationships }))
    });
    Ok(Figure::median("authz.import_edges_per_second", runs.await?).into_iter().collect())
}

/// Deleted when it is dropped.
struct Dropped(PathBuf);

impl Drop for Dropped {
    fn drop(&mut self) {
        // What is left in the temporary folder harms nobody.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Lines of a file.
pub(crate) struct Written {
    pub(crate) roles: u64,
    pub(crate) relationships: u64,
}

/// What `graph export` would have written of one of the shape's tenants; identities need no lines.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write(path: &Path, shape: &Shape, rank: u32) -> anyhow::Result<Written> {
    let file = std::fs::File::create(path).with_context(|| path.display().to_string())?;
    let mut file = BufWriter::new(file);
    let header = json!({"format": FORMAT, "version": VERSION, "tenant": shape.tenant(rank),
        "epoch": "0000000000000001", "revision": 1});
    writeln!(file, "{}", json!({ "header": header }))?;
    for role in 0..shape.roles {
        let line = json!({"id": role_name(role), "permissions": permissions(role, false)});
        writeln!(file, "{}", json!({ "role": line }))?;
    }
    let mut written = Written { roles: shape.roles.into(), relationships: 0 };
    for relationship in Graph::new(shape, rank).facts().filter_map(relationship) {
        writeln!(file, "{}", json!({ "relationship": relationship }))?;
        written.relationships += 1;
    }
    let end = json!({"roles": written.roles, "subjects": 0, "resources": 0,
        "relationships": written.relationships});
    writeln!(file, "{}", json!({ "end": end }))?;
    file.flush()?;
    Ok(written)
}

/// One import, in seconds; that each line was new is what it must say.
async fn run(bed: &mut Bed, tenant: &str, file: &Path, lines: &Written) -> anyhow::Result<f64> {
    let environment = bed.place().await?.environment;
    let mut command = Command::new(bed.args.launch().binary);
    command.args(["graph", "import", "--tenant", tenant, "--input"]).arg(file);
    command.envs(environment).stdin(Stdio::null()).kill_on_drop(true);
    let begun = Instant::now();
    let output = tokio::time::timeout(bed.limit(), command.output()).await;
    let output = output.context("time is up")??;
    let seconds = begun.elapsed().as_secs_f64();
    let (said, refused) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "graph import: {} {refused}", output.status);
    let all = lines.roles + lines.relationships;
    let expected = format!("{tenant}: {all} lines, {all} of them were not so yet, 0 left out");
    ensure!(said.contains(&expected), "graph import said {said:?}, not {expected:?}");
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_what_an_import_takes() {
        let shape = Shape { seed: 1, users: 60, resources: 40, depth: 2, roles: 6 };
        let file = Dropped(std::env::temp_dir().join(format!("lt-{}", uuid::Uuid::new_v4())));
        let written = write(&file.0, &shape, 0).unwrap();
        let opened = std::fs::File::open(&file.0).unwrap();
        let checked = authz_edge::transfer::import::check(opened).unwrap();
        let counts = checked.counts;
        assert_eq!((counts.roles, counts.relationships), (written.roles, written.relationships));
        let distinct: std::collections::BTreeSet<_> =
            std::fs::read_to_string(&file.0).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(distinct.len() as u64, written.roles + written.relationships + 2);
    }
}
