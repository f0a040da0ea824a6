//! Triad beside OpenFGA and SpiceDB, which `loadtest/peers/run` builds, starts, loads and asks: the same
//! graph, questions, client and connections, one after the other on the same machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::bed::Bed;
use crate::bench::goals::Figure;
use crate::check::measure::answered;
use crate::check::space::Keys;
use crate::deploy;
use crate::progress::say;

/// Its clean-up, once it was told to end.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// Whether a peer is to be measured: it is built, or was asked for.
pub(super) fn is_there(peer: &str, asked: bool) -> anyhow::Result<bool> {
    let there = asked || binary(peer)?.is_file();
    if !there {
        say(&format!(
            "{peer} is not built, so it is not measured: `--only {peer}` builds and measures it"
        ));
    }
    Ok(there)
}

/// Figures beside one peer, whose rates are compared with those of Triad that were noted before. Our
/// engines are down: each has the machine for itself.
pub(super) async fn compare(
    bed: &mut Bed,
    peer: &str,
    ids: &[&str],
) -> anyhow::Result<Vec<Figure>> {
    let spaces = [(Keys::Hot, "hot"), (Keys::Wide, "wide")];
    let wanted = spaces.map(|(keys, word)| {
        let id = ids.iter().find(|id| id.ends_with(word))?;
        Some((*id, keys, word))
    });
    let wanted: Vec<_> = wanted.into_iter().flatten().collect();
    let words: Vec<_> = wanted.iter().map(|(.., word)| *word).collect();
    let text = ask(bed, peer, &words.join(",")).await?;
    let mut figures = Vec::new();
    for (id, keys, word) in wanted {
        let own = bed.rate(keys).context("Triad was not measured")?;
        let theirs = rate(&text, word)?;
        say(&format!("{peer}, {word}: {theirs:.0} checks/s, Triad {own:.0}"));
        let run = json!({"value": own / theirs, "triad": own, peer: theirs});
        figures.extend(Figure::median(id, vec![run]));
    }
    Ok(figures)
}

/// The checks a second in the line of that key space, which must be right.
fn rate(text: &str, keys: &str) -> anyhow::Result<f64> {
    let line = line(text, keys)?;
    line["checks_per_second"].as_f64().filter(|rate| *rate > 0.0).context("no rate")
}

/// The line of that key space, whose answers must be right, and nearly all there.
pub(super) fn line(text: &str, keys: &str) -> anyhow::Result<Value> {
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.into_iter().find(|line| line["keys"] == keys);
    let line = line.with_context(|| format!("peers/run printed no line of {keys}"))?;
    ensure!(line["wrong"] == 0, "{keys}: {} answers were wrong", line["wrong"]);
    let failures = BTreeMap::deserialize(&line["failures"]).context("no failures")?;
    answered(line["checks"].as_u64().context("no checks")?, &failures).context(keys.to_owned())?;
    Ok(line)
}

/// Runs the script for one peer; what it prints.
pub(super) async fn ask(bed: &Bed, peer: &str, keys: &str) -> anyhow::Result<String> {
    let mut command = Command::new(folder()?.join("run"));
    let (graph, quick) = (&bed.sizes.graph, bed.args.quick);
    let numbers = [
        ("--seconds", if quick { 1 } else { seconds(bed.args.seconds) }),
        ("--connections", u32::from(bed.args.connections)),
        ("--users", graph.users),
        ("--resources", graph.resources),
        ("--depth", graph.depth),
    ];
    command.args(["--only", peer, "--keys", keys]);
    for (option, number) in numbers {
        command.args([option, &number.to_string()]);
    }
    let output = std::env::temp_dir().join(format!("lt-peers-{}-{peer}", std::process::id()));
    let child = command
        .env("LOADTEST", std::env::current_exe()?)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&output)?)
        .spawn()
        .context("starting loadtest/peers/run")?;
    let mut script = Script(child);
    let status = loop {
        bed.stop.check()?;
        match script.0.try_wait()? {
            Some(status) => break status,
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    let text = std::fs::read_to_string(&output)?;
    let _ = std::fs::remove_file(&output);
    if !status.success() {
        bail!("loadtest/peers/run --only {peer} ended with {status}");
    }
    Ok(text)
}

/// As the script takes them: whole ones.
#[allow(clippy::cast_sign_loss, reason = "one at least")]
fn seconds(asked: f64) -> u32 {
    asked.clamp(1.0, 600.0).round() as u32
}

/// The running script. Killed, it would leave its engines running; told to end, it ends them.
struct Script(Child);

impl Drop for Script {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(None)) {
            return;
        }
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &pid]).status();
        let until = Instant::now() + ENDS_WITHIN;
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn folder() -> anyhow::Result<PathBuf> {
    Ok(deploy::workspace()?.join("loadtest/peers"))
}

/// Where the script builds a peer.
fn binary(peer: &str) -> anyhow::Result<PathBuf> {
    let module = std::fs::read_to_string(folder()?.join(peer).join("go.mod"))?;
    let version = version(&module).with_context(|| format!("{peer}/go.mod names no version"))?;
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = cache.or_else(home).context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(cache.join("triad/engines").join(format!("{peer}-{version}")).join("bin").join(peer))
}

/// What is required first is the peer itself.
fn version(module: &str) -> Option<&str> {
    let line = module.lines().find_map(|line| line.strip_prefix("require "))?;
    line.split_ascii_whitespace().nth(1)?.strip_prefix('v')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peers_versions_are_known() {
        for peer in ["openfga", "spicedb"] {
            let binary = binary(peer).unwrap();
            assert!(binary.ends_with(Path::new("bin").join(peer)), "{}", binary.display());
        }
        let module = "module x\n\ngo 1.24\n\nrequire github.com/openfga/openfga v1.22.1\n";
        assert_eq!(version(module), Some("1.22.1"));
        assert_eq!(version("module x\n"), None);
    }

    #[test]
    fn a_peer_s_rate_is_read_from_its_line_and_only_if_it_was_right() {
        let line = |keys: &str, wrong: u64, timeouts: u64| {
            json!({"keys": keys, "checks_per_second": 6000.5, "checks": 60_005, "wrong": wrong,
                "failures": {"timeout": timeouts, "503": 1}})
            .to_string()
        };
        let text = [line("hot", 0, 59), line("wide", 2, 0), line("slow", 0, 60)].join("\n");
        assert_eq!(rate(&text, "hot").unwrap(), 6000.5);
        assert!(rate(&text, "wide").is_err() && rate(&text, "cold").is_err());
        let slow = format!("{:#}", rate(&text, "slow").unwrap_err());
        assert!(slow.contains("61 had no answer"), "{slow}");
    }
}
