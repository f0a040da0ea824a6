//! Many users from a file: each row once, whatever happens in between.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Identities;
use crate::world::until;

const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A";

fn command(identities: &Identities, input: &Path, batch: usize) -> Result<Command> {
    let mut command = identities.command()?;
    command.args(["import", "--tenant", "acme", "--batch", &batch.to_string(), "--input"]);
    command.arg(input).stdin(Stdio::null());
    Ok(command)
}

fn import(identities: &Identities, input: &Path, batch: usize) -> Result<String> {
    let output = command(identities, input, batch)?.output()?;
    let refused = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{refused}");
    Ok(String::from_utf8(output.stdout)?)
}

/// What became of each row, in order.
fn results(input: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(format!("{}.results.ndjson", input.display()))?;
    let results: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    for (row, result) in (1..).zip(&results) {
        ensure!(result["row"] == row, "{result} is not that of row {row}");
    }
    Ok(results)
}

#[tokio::test]
async fn rows_make_users_and_memberships_and_bad_ones_say_why() -> Result<()> {
    let identities = Identities::new(&[]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let team = service.team("acme", "writers").await?;
    service.user("acme", "there").await?;
    let folder = tempfile::tempdir()?;
    let input = folder.path().join("people.ndjson");
    let rows = [
        json!({"user": {"email": "Ada@x.y", "settings": {"locale": "fr"}}, "password_hash": HASH,
            "teams": ["writers"]}),
        json!({"user": {"email": "eve@x.y", "user_name": "Eve"}}),
        json!({"user": {"email": "ADA@x.y"}}),
        json!({"user": {"email": "other@x.y", "user_name": "eve"}}),
        json!({"user": {"email": "there@acme.example"}}),
        json!({"user": {"email": "no address"}}),
        json!({"user": {"email": "lost@x.y"}, "teams": ["nobody's"]}),
        json!({"membership": {"team": "writers", "user": "eve@x.y"}}),
        json!({"membership": {"team": "writers", "user": "there@acme.example"}}),
        json!({"membership": {"team": "writers", "user": "ada@x.y"}}),
        json!({"membership": {"team": "writers", "user": "nobody@x.y"}}),
    ];
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    std::fs::write(&input, &text)?;
    let said = import(&identities, &input, 4)?;
    ensure!(said.contains("11 rows behind 0, 4 of them made something, 6 were refused"), "{said}");
    let told = results(&input)?;
    let status: Vec<_> =
        told.iter().map(|result| result["status"].as_str().unwrap_or("")).collect();
    let expected = [
        "created",
        "created",
        "refused",
        "refused",
        "refused",
        "refused",
        "refused",
        "created",
        "created",
        "unchanged",
        "refused",
    ];
    ensure!(status == expected, "{told:?}");
    let at_fault: Vec<_> =
        told.iter().filter_map(|result| result["errors"][0]["field"].as_str()).collect();
    let fields = ["email", "user_name", "email", "email", "teams", "membership.user"];
    ensure!(at_fault == fields, "{at_fault:?}");
    let ada = told[0]["id"].as_str().context("no id")?;
    let shown = service.get(&format!("/v1/tenants/acme/users/{ada}")).await?.must(200)?;
    ensure!(shown.body["email"] == "ada@x.y", "{}", shown.body);
    let settings = service.get(&format!("/v1/tenants/acme/users/{ada}/settings")).await?;
    ensure!(settings.must(200)?.body["locale"] == "fr");
    let members = service.list(&format!("/v1/tenants/acme/teams/{team}/members"), "").await?;
    ensure!(members.len() == 3, "{members:?}");
    let stored = identities
        .db
        .row("SELECT hashed_password FROM users WHERE id = ?", &[ada.into()])
        .await?
        .context("no user")?;
    ensure!(stored.text("hashed_password")? == HASH);
    // Numbered and audited as everything else: tenant, administrator, team, user, and what was imported.
    let changes = identities.changes("acme").await?;
    ensure!(changes.len() == 4 + 2 + 3, "{changes:?}");
    // Again: what is done is done.
    let again = import(&identities, &input, 4)?;
    ensure!(again.contains("3 rows behind 8"), "{again}");
    ensure!(results(&input)? == told && identities.changes("acme").await?.len() == changes.len());
    // Another file under the same results is another import.
    std::fs::write(&input, text.lines().take(3).collect::<Vec<_>>().join("\n"))?;
    ensure!(import(&identities, &input, 4).is_err());
    service.stop().await
}

#[tokio::test]
async fn an_import_that_is_killed_goes_on_and_does_each_row_once() -> Result<()> {
    const ROWS: usize = 4000;
    let identities = Identities::new(&[]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    service.team("acme", "all").await?;
    let folder = tempfile::tempdir()?;
    let input = folder.path().join("people.csv");
    let mut text = "email,display_name,teams\n".to_owned();
    for n in 0..ROWS {
        writeln!(text, "u{n}@x.y,Number {n},{}", if n % 2 == 0 { "all" } else { "" })?;
    }
    std::fs::write(&input, text)?;
    let users = "SELECT COUNT(*) AS n FROM users WHERE tenant_id = 'acme'";
    for round in 1..=3 {
        let mut running = command(&identities, &input, 100)?.stdout(Stdio::null()).spawn()?;
        until("some more are there", async || {
            let there = identities.count(users, &[]).await?;
            let ended = running.try_wait()?.is_some();
            let is_far = ended || there > i64::from(round) * 600;
            Ok(if is_far { Ok(()) } else { Err(format!("{there}")) })
        })
        .await?;
        running.kill()?;
        running.wait()?;
    }
    import(&identities, &input, 100)?;
    let told = results(&input)?;
    ensure!(told.len() == ROWS && told.iter().all(|result| result["status"] == "created"));
    ensure!(identities.count(users, &[]).await? == 1 + i64::try_from(ROWS)?);
    let members = "SELECT COUNT(*) AS n FROM team_members";
    ensure!(identities.count(members, &[]).await? == i64::try_from(ROWS / 2)?);
    // Tenant, administrator and team; then users and memberships, without gaps.
    ensure!(identities.changes("acme").await?.len() == 3 + ROWS + ROWS / 2);
    service.stop().await
}
