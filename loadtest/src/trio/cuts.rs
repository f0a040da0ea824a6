//! Cuts in the network of a namespace of our own: packets of one group of processes to some ports are dropped, so that
//! connecting times out and what is connected hangs. Whoever is cut hears nothing of it, as of a broken cable.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::Mutex;

/// For nftables to take a set of rules.
const WITHIN: Duration = Duration::from_secs(10);
/// The chain, made anew by each call if it is missing.
const CHAIN: &str = "add table inet triad\n\
    add chain inet triad cut { type filter hook output priority 0; policy accept; }\n\
    flush chain inet triad cut\n";

/// The rules that hold now.
#[derive(Default)]
pub(super) struct Cuts(Mutex<BTreeSet<String>>);

impl Cuts {
    /// Drops what these rules match, beside what is dropped already.
    pub(super) async fn add(&self, rules: Vec<String>) -> anyhow::Result<()> {
        let mut held = self.0.lock().await;
        held.extend(rules);
        apply(&script(&held)).await
    }

    /// No longer drops what these rules match.
    pub(super) async fn remove(&self, rules: &[String]) -> anyhow::Result<()> {
        let mut held = self.0.lock().await;
        for rule in rules {
            held.remove(rule);
        }
        apply(&script(&held)).await
    }

    /// Drops nothing. Without any cut nothing is asked of the machine.
    pub(super) async fn clear(&self) -> anyhow::Result<()> {
        let mut held = self.0.lock().await;
        if held.is_empty() {
            return Ok(());
        }
        held.clear();
        apply(&script(&held)).await
    }
}

/// All rules in one transaction: nobody sees half of them.
fn script(rules: &BTreeSet<String>) -> String {
    let rules = rules.iter().map(|rule| format!("add rule inet triad cut {rule} drop\n"));
    rules.fold(CHAIN.to_owned(), |script, rule| script + &rule)
}

async fn apply(script: &str) -> anyhow::Result<()> {
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting nft")?;
    let mut input = nft.stdin.take().context("nft takes no input")?;
    let done = async {
        input.write_all(script.as_bytes()).await?;
        drop(input);
        anyhow::Ok(nft.wait_with_output().await?)
    };
    let output = tokio::time::timeout(WITHIN, done).await.context("nft does not end")??;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "nft ended with {}: {errors}", output.status);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_replaces_all_rules() {
        let rules = ["meta skgid 65001 tcp dport 9092".to_owned()].into();
        let script = script(&rules);
        assert!(script.starts_with(CHAIN));
        assert!(script.ends_with("add rule inet triad cut meta skgid 65001 tcp dport 9092 drop\n"));
        assert_eq!(super::script(&BTreeSet::new()), CHAIN);
    }
}
