//! README's shell blocks, as its reader would run them.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use tests::bed::{Triad, binary};

/// The blocks that are to be run, in order.
fn blocks(readme: &str) -> Vec<String> {
    let (mut blocks, mut open) = (Vec::new(), None::<(bool, String)>);
    for line in readme.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => {
                let is_run = kind.trim() == "sh";
                open = Some((is_run, String::new()));
            }
            (Some(_), Some(_)) => {
                blocks.extend(open.take().and_then(|(is_run, text)| is_run.then_some(text)));
            }
            (Some((_, text)), None) => {
                // Writing into a String cannot fail.
                let _ = writeln!(text, "{line}");
            }
            (None, None) => {}
        }
    }
    blocks
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_of_the_readme_does_what_it_says() -> Result<()> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no root")?;
    let blocks = blocks(&std::fs::read_to_string(root.join("README.md"))?);
    ensure!(blocks.len() >= 4, "{} blocks are to be run", blocks.len());
    let dir = tempfile::tempdir()?;
    let triad = Triad::start(&dir.path().join("triad-data")).await?;
    let bin = dir.path().join("target/release");
    std::fs::create_dir_all(&bin)?;
    std::os::unix::fs::symlink(binary("triad")?, bin.join("triad"))?;
    // One shell, as a reader has one; a command that fails ends it, and its place is told.
    let mut script =
        "set -euo pipefail\ntrap 'echo \"failed: $BASH_COMMAND\" >&2' ERR\n".to_owned();
    for block in &blocks {
        script += &block.replace("127.0.0.1:8100", &format!("127.0.0.1:{}", triad.port));
    }
    let output = Command::new("bash")
        .arg("-c")
        .arg(&script)
        .current_dir(dir.path())
        .env("TRIAD_SERVER", triad.url(""))
        .env("XDG_CONFIG_HOME", dir.path().join("config"))
        .env_remove("TRIAD_TOKEN")
        .env_remove("TRIAD_TENANT")
        .output()?;
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{out}\n{err}");
    // What the text beside the blocks promises of their answers.
    for promised in ["\"decision\":true", "\"decision\":false", "user.created", "document.read"] {
        ensure!(out.contains(promised), "{promised} is not in\n{out}");
    }
    triad.stop().await
}

#[test]
fn blocks_are_those_that_are_plain_shell() {
    let text =
        "a\n```sh\none\n```\n```sh norun\ntwo\n```\n```\nthree\n```\n```sh\nfour\nfive\n```\n";
    assert_eq!(blocks(text), ["one\n", "four\nfive\n"]);
}
