//! A graph that an older build made.

use std::process::{Output, Stdio};

use anyhow::{Context, Result, ensure};
use authz_edge::graph::schema::{SCHEMA, VERSION, meta};
use serde_json::{Value, json};

use crate::edge::{Edges, below, member, question, role};
use crate::world::until;

/// The first schema: `listed` had no order, and nothing that needs one was asked.
fn first_schema() -> Result<String> {
    let first = SCHEMA.replace("listed: string @index(exact) .", "listed: string @index(hash) .");
    // FNV-1a, as `graph/schema.rs` had it beside version 1: a later change belongs into this test too.
    let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let print = first.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    ensure!(print == 0xde06_d0a8_7fdd_a25a, "{print:#x} is not that of version 1");
    Ok(first)
}

fn run(edges: &Edges, arguments: &[&str]) -> Result<Output> {
    Ok(edges.command()?.args(arguments).stdin(Stdio::null()).output()?)
}

/// What a tenant has, without the header, which has another revision each time.
fn exported(edges: &Edges, tenant: &str) -> Result<String> {
    let output = run(edges, &["graph", "export", "--tenant", tenant])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split_once('\n').context("no header")?.1.to_owned())
}

#[tokio::test]
async fn a_graph_of_version_1_is_brought_up_to_date_and_keeps_what_it_has() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("v1"));
    let reader = json!({"permissions": [{"action": "read"}]});
    edge.put(&format!("/v1/tenants/{t}/roles/reader"), &reader).await?;
    let all = [
        member("user", "u", "t"),
        role("team", "t", "reader", &json!({"type": "folder", "id": "f"})),
        below(("document", "d"), ("folder", "f")),
    ];
    edge.write(&t, "touch", &all).await?;
    edge.stop().await?;
    let before = exported(&edges, &t)?;
    ensure!(before.lines().count() >= 5, "{before}");

    // As it was before. Tests run one after the other, and each brings the schema up to date first.
    let graph = edges.graph()?;
    let epoch = meta(&graph).await?.context("a schema")?.epoch;
    let first = first_schema()?;
    until("no open transaction is in the way", async || {
        Ok(graph.alter(&first).await.map_err(|error| error.to_string()))
    })
    .await?;
    let (transaction, found) = graph.begin("{ meta(func: eq(xid, \"meta\")) { uid } }").await?;
    let found: Value = found.read()?;
    let node = found["meta"][0]["uid"].as_str().context("no meta node")?;
    let version = format!("<{node}> <Meta.version> \"1\" .");
    transaction.commit(version, String::new()).await.map_err(|e| anyhow::anyhow!("{e:?}"))?;
    let refused = run(&edges, &["graph", "export", "--tenant", &t])?;
    let why = String::from_utf8_lossy(&refused.stderr);
    ensure!(!refused.status.success() && why.contains("schema apply"), "{why}");

    for _ in 0..2 {
        let applied = run(&edges, &["schema", "apply"])?;
        let said = String::from_utf8_lossy(&applied.stdout);
        let expected = format!("the graph is at version {VERSION}, epoch {epoch}");
        ensure!(applied.status.success() && said.trim() == expected, "{said}, not {expected}");
    }
    ensure!(exported(&edges, &t)? == before);
    let edge = edges.start().await?;
    let read = question("u", "read", ("document", "d"));
    ensure!(edge.check(&t, &read).await?);
    Ok(())
}
