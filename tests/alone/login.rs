//! A person logs in with the command line, and is let in for as long as they are somebody.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use tests::bed::{Triad, binary, until};

const PASSWORD: &str = "correct horse battery staple";
const FORM: &str = "application/x-www-form-urlencoded";

/// The command line of somebody who has only this home.
fn cli(home: &Path, triad: &Triad, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(binary("triad")?);
    command.env_clear().env("XDG_CONFIG_HOME", home).env("TRIAD_SERVER", triad.url(""));
    command.args(arguments).stdin(Stdio::null());
    Ok(command)
}

/// What it printed as JSON; it must succeed.
fn told(home: &Path, triad: &Triad, arguments: &[&str]) -> Result<Value> {
    let output = cli(home, triad, arguments)?.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {} {said}", output.status);
    Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
}

/// A user of acme who may ask, and read what there is; the id.
async fn ada(triad: &Triad) -> Result<String> {
    let t = "/v1/tenants/acme";
    triad.tenant("acme").await?;
    let user = json!({"email": "ada@acme.example", "password": PASSWORD});
    let user = triad.ask(Method::POST, &format!("{t}/users"), user).await?.must(201)?;
    let (id, since) = (user.id()?, user.token);
    let scopes = json!({"scopes": ["authz:check", "audit:read"]});
    triad.ask(Method::PUT, &format!("{t}/users/{id}/scopes"), scopes).await?.must(200)?;
    triad.bind_reader("acme", ("user", &id), None, &since).await?;
    Ok(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_asks_and_is_shut_out_when_deactivated() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (config, home) = (dir.path().join("triad.yaml"), dir.path().join("home"));
    std::fs::write(&config, "identity: {device: {interval_seconds: 1}}")?;
    let config = config.display().to_string();
    let triad = Triad::with(&dir.path().join("data"), &["--config", &config]).await?;
    let id = ada(&triad).await?;

    let mut login = cli(&home, &triad, &["login", "-t", "acme", "-o", "json"])?
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(login.stderr.take().context("no stderr")?);
    let mut line = String::new();
    while !line.contains("enter the code") {
        line.clear();
        ensure!(said.read_line(&mut line)? > 0, "it said nothing of a code");
    }
    let code = line.trim().rsplit(' ').next().unwrap_or_default();
    ensure!(line.contains(&triad.url("/device")), "{line}");
    let form = format!(
        "user_code={code}&tenant=acme&name=ada%40acme.example&password={}&decision=allow",
        PASSWORD.replace(' ', "+")
    );
    let page = triad.client.post(triad.url("/device")).header("content-type", FORM).body(form);
    let status = page.send().await?.status();
    ensure!(status == 200, "{status}");
    let (mut rest, mut shown) = (String::new(), String::new());
    said.read_to_string(&mut rest)?;
    login.stdout.take().context("no stdout")?.read_to_string(&mut shown)?;
    ensure!(login.wait()?.success(), "{rest}");
    let shown: Value = serde_json::from_str(&shown)?;
    ensure!(shown["subject"] == format!("user:{id}") && shown["tenant"] == "acme", "{shown}");

    // What was kept is enough from here on, and nobody else can read it.
    let who = told(&home, &triad, &["whoami", "-o", "json"])?;
    ensure!(who["subject"] == format!("user:{id}"), "{who}");
    let kept =
        std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(home.join("triad/config.json"))?);
    ensure!(kept & 0o077 == 0, "{kept:o}");
    let subject = format!("user:{id}");
    let asked = ["check", &subject, "read", "document:d-1", "-o", "json"];
    ensure!(told(&home, &triad, &asked)?["decision"] == true);
    let page = told(&home, &triad, &["audit", "query", "--limit", "5", "-o", "json"])?;
    ensure!(page.as_array().is_some_and(|events| !events.is_empty()), "{page}");
    // What the token does not allow is told apart from what the server does not have.
    let output = cli(&home, &triad, &["user", "list"])?.output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success() && text.contains("identity:read"), "{text}");

    let gone = format!("/v1/tenants/acme/users/{id}/deactivate");
    triad.ask(Method::POST, &gone, Value::Null).await?.must(200)?;
    let text = until("the session is over", async || {
        let output = cli(&home, &triad, &asked)?.output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(if output.status.success() { Err("allowed".to_owned()) } else { Ok(text) })
    })
    .await?;
    ensure!(text.contains("log in"), "{text}");
    told(&home, &triad, &["logout"])?;
    triad.stop().await
}
