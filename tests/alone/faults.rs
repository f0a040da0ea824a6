//! What a folder may be, and what becomes of it: a clear message, and an untouched store.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::json;

use tests::bed::{Triad, binary, command, ended, free_port, until};

/// Every file below, with what is in it.
fn contents(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.display().to_string(), std::fs::read(&path)?);
            }
        }
    }
    Ok(found)
}

fn start(folder: &Path) -> Result<(i32, String)> {
    ended(command(folder, free_port()?, free_port()?)?)
}

async fn filled(folder: &Path) -> Result<()> {
    let triad = Triad::start(folder).await?;
    accept(&triad, "first").await?;
    triad.stop().await
}

async fn accept(triad: &Triad, id: &str) -> Result<u16> {
    let event = json!({"id": id, "action": "document.read"});
    Ok(triad.ask(Method::POST, "/v1/tenants/acme/audit", event).await?.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_folder_is_turned_away() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let folder = dir.path().join("data");
    let triad = Triad::start(&folder).await?;
    let (code, said) = start(&folder)?;
    ensure!(code == 75 && said.contains("is in use by another process"), "{code} {said}");
    ensure!(accept(&triad, "a").await? == 202, "the first goes on");
    triad.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_a_newer_release_or_of_somebody_else_is_left_as_it_is() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let folder = dir.path().join("data");
    filled(&folder).await?;
    std::fs::write(folder.join("FORMAT"), "triad data, format 99\n")?;
    let before = contents(&folder)?;
    let (code, said) = start(&folder)?;
    ensure!(
        code == 74 && said.contains("has format 99") && said.contains("newer release"),
        "{code} {said}"
    );
    ensure!(contents(&folder)? == before, "untouched");
    let theirs = dir.path().join("theirs");
    std::fs::create_dir(&theirs)?;
    std::fs::write(theirs.join("thesis.tex"), "years of work")?;
    let before = contents(&theirs)?;
    let (code, said) = start(&theirs)?;
    ensure!(code == 74 && said.contains("holds something else"), "{code} {said}");
    ensure!(contents(&theirs)? == before, "untouched");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_moved_on_is_not_served() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let folder = dir.path().join("data");
    filled(&folder).await?;
    let note = folder.join("migration.json");
    let state = |finished: serde_json::Value| json!({"version": 1, "finished_at": finished, "target": "mysql://db/triad"});
    std::fs::write(&note, state(json!("2026-11-26T10:00:00Z")).to_string())?;
    let before = contents(&folder)?;
    let (code, said) = start(&folder)?;
    ensure!(
        code == 1 && said.contains("was moved on to mysql://db/triad at 2026-11-26T10:00:00Z"),
        "{code} {said}"
    );
    ensure!(contents(&folder)? == before, "untouched");
    // What was only begun may go on here.
    std::fs::write(&note, state(serde_json::Value::Null).to_string())?;
    filled(&folder).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_is_told_and_left_as_it_is() -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
    let folder = dir.path().join("data");
    filled(&folder).await?;
    // Whoever may do everything is not stopped by modes: the process is nobody then.
    let copy = dir.path().join("triad");
    std::fs::copy(binary("triad")?, &copy)?;
    let is_root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self")?) == 0;
    let mode = if is_root { 0o755 } else { 0o555 };
    std::fs::set_permissions(&folder, Permissions::from_mode(mode))?;
    let before = contents(&folder)?;
    let plain = command(&folder, free_port()?, free_port()?)?;
    let mut as_nobody = Command::new(if is_root { Path::new("setpriv") } else { &copy });
    if is_root {
        as_nobody.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&copy);
    }
    as_nobody.args(plain.get_args());
    let (code, said) = ended(as_nobody)?;
    std::fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
    ensure!(code == 74 && said.contains("this user may not write there"), "{code} {said}");
    ensure!(contents(&folder)? == before, "untouched");
    filled(&folder).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_told_before_the_folder_is_touched() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let folder = dir.path().join("data");
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let (code, said) = ended(command(&folder, taken.local_addr()?.port(), free_port()?)?)?;
    ensure!(
        code == 1 && said.contains("listen: 127.0.0.1:") && said.contains("in use"),
        "{code} {said}"
    );
    ensure!(!folder.exists());
    Ok(())
}

/// A small file system of its own, where this user may mount one.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(mib: u32) -> Result<Option<Self>> {
        let dir = tempfile::tempdir()?;
        let size = format!("size={mib}m");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output()?;
        Ok(mounted.status.success().then_some(Self(dir)))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // What is left in it goes with it.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_loses_nothing_and_goes_on_once_there_is_room() -> Result<()> {
    let Some(small) = Small::mount(512)? else {
        // Who may not mount one cannot fill one either without taking the machine's.
        return Ok(());
    };
    let folder = small.0.path().join("data");
    let triad = Triad::start(&folder).await?;
    ensure!(accept(&triad, "before").await? == 202);
    let ballast = small.0.path().join("ballast");
    std::fs::write(&ballast, vec![7; 350 << 20])?;
    triad.stop().await?;
    let triad = Triad::start(&folder).await?;
    let refused =
        triad.ask(Method::POST, "/v1/tenants/acme/audit", json!({"id": "during", "action": "x"}));
    let refused = refused.await?;
    ensure!(refused.status == 503, "{} {}", refused.status, refused.body);
    ensure!(
        refused.body["detail"].as_str().is_some_and(|d| d.contains("no event was accepted")),
        "{}",
        refused.body
    );
    std::fs::remove_file(&ballast)?;
    until("it goes on", async || {
        let status = accept(&triad, "after").await?;
        Ok(if status == 202 { Ok(()) } else { Err(status.to_string()) })
    })
    .await?;
    let page = triad.get("/v1/tenants/acme/audit").await?;
    let ids: Vec<_> =
        page["events"].as_array().into_iter().flatten().map(|e| e["id"].clone()).collect();
    ensure!(ids.contains(&json!("before")) && ids.contains(&json!("after")), "{ids:?}");
    ensure!(!ids.contains(&json!("during")), "{ids:?}");
    triad.stop().await
}
