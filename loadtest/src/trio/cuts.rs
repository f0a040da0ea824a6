//! Cuts in the network of a namespace of our own: packets of one group of processes to some ports are dropped, so that
//! connecting times out and what is connected hangs. Whoever is cut hears nothing of it, as of a broken cable.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::Mutex;

use super::ports::marks;

/// For nftables to take a set of rules.
const WITHIN: Duration = Duration::from_secs(10);
/// The chains, made anew by each call if they are missing.
const CHAINS: &str = "add table inet triad\n\
    add chain inet triad marks { type filter hook output priority -10; policy accept; }\n\
    add chain inet triad cut { type filter hook output priority 0; policy accept; }\n\
    flush chain inet triad marks\n\
    flush chain inet triad cut\n";

/// The rules that hold now.
#[derive(Default)]
pub(super) struct Cuts(Mutex<BTreeSet<String>>);

impl Cuts {
    /// Marks connections from now on: to be called before there are any.
    pub(super) async fn begin(&self) -> anyhow::Result<()> {
        nft(&script(&*self.0.lock().await)).await.map(drop)
    }

    /// Drops what these rules match, beside what is dropped already.
    pub(super) async fn add(&self, rules: Vec<String>) -> anyhow::Result<()> {
        let mut held = self.0.lock().await;
        held.extend(rules);
        nft(&script(&held)).await.map(drop)
    }

    /// No longer drops what these rules match.
    ///
    /// # Errors
    /// When one of them dropped nothing: who was to be cut off was not.
    pub(super) async fn remove(&self, rules: &[String]) -> anyhow::Result<()> {
        let mut held = self.0.lock().await;
        for rule in rules {
            held.remove(rule);
        }
        let mut script = script(&held);
        for rule in rules {
            let counter = counter(rule);
            let _ = writeln!(script, "list counter inet triad {counter}");
        }
        let told = nft(&script).await?;
        for rule in rules {
            nft(&format!("delete counter inet triad {}\n", counter(rule))).await?;
            ensure!(is_counted(&told, &counter(rule)), "nothing was dropped by {rule}: {told}");
        }
        Ok(())
    }

    /// Drops nothing. Without any cut nothing is asked of the machine.
    pub(super) async fn clear(&self) -> anyhow::Result<()> {
        let mut held = self.0.lock().await;
        if held.is_empty() {
            return Ok(());
        }
        held.clear();
        // With all that was counted.
        nft(&format!("delete table inet triad\n{}", script(&held))).await.map(drop)
    }
}

/// All rules in one transaction: nobody sees half of them. What is counted stays.
fn script(rules: &BTreeSet<String>) -> String {
    let mut script = CHAINS.to_owned();
    for rule in marks() {
        // Writing to a string does not fail.
        let _ = writeln!(script, "add rule inet triad marks {rule}");
    }
    for rule in rules {
        let counter = counter(rule);
        let _ = writeln!(script, "add counter inet triad {counter}");
        let _ = writeln!(script, "add rule inet triad cut {rule} counter name {counter} drop");
    }
    script
}

/// The name of what counts the packets that a rule drops.
fn counter(rule: &str) -> String {
    rule.replace(|char: char| !char.is_ascii_alphanumeric(), "_")
}

/// Whether a listing says that something was counted: `counter NAME {`, and `packets N bytes M` behind it.
fn is_counted(told: &str, counter: &str) -> bool {
    let Some((_, behind)) = told.split_once(&format!("counter {counter} {{")) else { return false };
    let packets = behind.split_ascii_whitespace().skip_while(|word| *word != "packets").nth(1);
    packets.is_some_and(|packets| packets != "0")
}

/// Runs a script of nftables; what it lists.
async fn nft(script: &str) -> anyhow::Result<String> {
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
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
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_replaces_all_rules() {
        let rules = ["ct mark 65001 tcp dport 9092".to_owned()].into();
        let script = script(&rules);
        assert!(script.starts_with(CHAINS));
        assert!(script.contains("add rule inet triad marks meta skgid 65001 ct mark set 65001\n"));
        let name = "ct_mark_65001_tcp_dport_9092";
        let cut = format!("cut ct mark 65001 tcp dport 9092 counter name {name} drop\n");
        assert!(script.ends_with(&cut), "{script}");
        assert!(!super::script(&BTreeSet::new()).contains("drop"));
    }

    #[test]
    fn what_was_dropped_is_read_of_a_listing() {
        let listing = |packets: u32| {
            format!(
                "table inet triad {{\n\tcounter a {{\n\t\tpackets 9 bytes 1\n\t}}\n}}\n\
                 table inet triad {{\n\tcounter b {{\n\t\tpackets {packets} bytes 2\n\t}}\n}}\n"
            )
        };
        assert!(is_counted(&listing(3), "a") && is_counted(&listing(3), "b"));
        assert!(!is_counted(&listing(0), "b") && !is_counted(&listing(3), "c"));
    }
}
