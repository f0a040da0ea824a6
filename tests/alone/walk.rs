//! All three services in one process: who somebody is, what they may do, and what was done.

use std::collections::BTreeSet;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use tests::audit::Trail;
use tests::bed::{Triad, command, free_port, until};

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_a_team_may_read_and_who_is_deactivated_may_not_also_after_a_restart()
-> Result<()> {
    let dir = tempfile::tempdir()?;
    let folder = dir.path().join("data");
    let triad = Triad::start(&folder).await?;
    let t = "/v1/tenants/acme";
    triad.tenant("acme").await?;
    let user = json!({"email": "ann@acme.example"});
    let user = triad.ask(Method::POST, &format!("{t}/users"), user).await?.must(201)?.id()?;
    let team = json!({"name": "writers"});
    let team = triad.ask(Method::POST, &format!("{t}/teams"), team).await?.must(201)?.id()?;
    let member = format!("{t}/teams/{team}/members/user/{user}");
    let joined = triad.ask(Method::PUT, &member, Value::Null).await?.must(201)?.token;
    let bound = triad.bind_reader("acme", ("team", &team), None, &joined).await?;
    let may = async |triad: &Triad, since: &str| -> Result<bool> {
        let asked = json!({"subject": {"type": "user", "id": user}, "action": {"name": "read"},
            "resource": {"type": "document", "id": "d-1"}});
        let path = format!("{t}/check");
        Ok(triad.since(since, Method::POST, &path, asked).await?.must(200)?.body["decision"]
            == true)
    };
    ensure!(may(&triad, &bound).await?, "a member of a team that is bound");
    triad.stop().await?;

    let triad = Triad::start(&folder).await?;
    ensure!(may(&triad, &bound).await?, "after a restart, from the token of before");
    let path = format!("{t}/users/{user}/deactivate");
    let gone = triad.ask(Method::POST, &path, Value::Null).await?.must(200)?.token;
    ensure!(!may(&triad, &gone).await?, "nobody who is deactivated");
    let expected: BTreeSet<_> = [
        "tenant.created",
        "user.created",
        "team.created",
        "team.member_added",
        "authz.role.put",
        "authz.relationship.created",
        "user.deactivated",
    ]
    .into();
    until("all of it is in the trail", async || {
        let page = triad.get(&format!("{t}/audit?limit=100")).await?;
        let events = page["events"].as_array().cloned().unwrap_or_default();
        let found: BTreeSet<_> = events.iter().filter_map(|e| e["action"].as_str()).collect();
        let missing: Vec<_> = expected.difference(&found).collect();
        Ok(if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} of {found:?}")) })
    })
    .await?;
    triad.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_tells_the_key_and_lines_that_work_when_pasted_and_the_second_does_not()
-> Result<()> {
    let dir = tempfile::tempdir()?;
    let folder = dir.path().join("data");
    let (port, admin) = (free_port()?, free_port()?);
    let told = async |name: &str| -> Result<(String, std::process::Child)> {
        let path = dir.path().join(name);
        let out = std::fs::File::create(&path)?;
        let child = command(&folder, port, admin)?.stdout(out).stderr(Stdio::inherit()).spawn()?;
        let text = until("the welcome", async || {
            let text = std::fs::read_to_string(&path)?;
            Ok(if text.contains("Its data is in") { Ok(text) } else { Err(text) })
        })
        .await?;
        Ok((text, child))
    };
    let (text, mut child) = told("first").await?;
    let mut script = "set -eu\n".to_owned();
    for line in text.lines().filter_map(|line| line.strip_prefix("  ")) {
        script += &format!("{}\n", line.replace("curl -sS", "curl -fsS"));
    }
    ensure!(
        script.matches("curl").count() == 3 && script.contains("export TRIAD_TOKEN="),
        "{text}"
    );
    let pasted = std::process::Command::new("bash").arg("-c").arg(&script).output()?;
    let said = String::from_utf8_lossy(&pasted.stderr).into_owned();
    child.kill()?;
    child.wait()?;
    ensure!(pasted.status.success(), "{script}\n{said}");
    ensure!(String::from_utf8_lossy(&pasted.stdout).contains("\"acme\""), "{said}");
    let (text, mut child) = told("second").await?;
    child.kill()?;
    child.wait()?;
    ensure!(!text.contains("TRIAD_TOKEN"), "{text}");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(folder.join("credentials/admin.key"))?.permissions(),
    );
    ensure!(mode & 0o077 == 0, "{mode:o}");
    std::fs::remove_file(folder.join("credentials/admin.key"))?;
    let (_, mut child) = told("third").await?;
    child.kill()?;
    child.wait()?;
    ensure!(
        !folder.join("credentials/admin.key").exists(),
        "what its owner took away is not made anew"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_key_and_every_service_is_there() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let triad = Triad::start(&dir.path().join("data")).await?;
    for path in [
        "/v1/tenants/acme/users",
        "/v1/tenants/acme/audit",
        "/v1/tenants/acme/roles",
        "/scim/v2/Users",
    ] {
        let answer = triad.client.get(triad.url(path)).send().await?;
        ensure!(answer.status() == 401, "{path}: {}", answer.status());
    }
    for document in ["ingest", "authz-edge", "identity-admin"] {
        let text = triad.client.get(triad.url(&format!("/openapi/{document}.json"))).send().await?;
        ensure!(text.status() == 200, "{document}");
    }
    let none = triad.client.get(triad.url("/nowhere")).send().await?;
    ensure!(none.status() == 404 && none.text().await?.contains("\"type\""), "a problem");
    let metrics = triad.client.get(triad.admin_url("/metrics")).send().await?.text().await?;
    for prefix in ["triad_ingest_", "triad_authz_", "triad_identity_"] {
        ensure!(metrics.contains(prefix), "{prefix}");
    }
    // A token that was issued is good at once, and void once it is revoked.
    let account = triad.get("/v1/tenants/_system/service-accounts").await?;
    let account = account["service_accounts"].as_array().or(account["items"].as_array());
    let account = account.and_then(|all| all.iter().find(|a| a["name"] == "bootstrap"));
    let client =
        account.and_then(|a| a["id"].as_str()).context("the administrator's account")?.to_owned();
    let token = triad
        .client
        .post(triad.url("/oauth2/token"))
        .basic_auth(&client, Some(triad.key()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("grant_type=client_credentials")
        .send()
        .await?
        .json::<Value>()
        .await?;
    let token = token["access_token"].as_str().context("no token")?.to_owned();
    let get = async |path: &str| -> Result<u16> {
        Ok(triad.client.get(triad.url(path)).bearer_auth(&token).send().await?.status().as_u16())
    };
    for path in ["/v1/tenants", "/v1/tenants/acme/audit", "/v1/tenants/acme/roles"] {
        let status = get(path).await?;
        ensure!(status == 200, "{path}: {status}");
    }
    let revoke =
        triad.client.post(triad.url("/oauth2/revoke")).basic_auth(&client, Some(triad.key()));
    let revoke = revoke.header("content-type", "application/x-www-form-urlencoded");
    // A token is of letters that a form does not encode.
    let revoked = revoke.body(format!("token={token}")).send().await?;
    ensure!(revoked.status() == 200, "{}", revoked.status());
    for path in ["/v1/tenants", "/v1/tenants/acme/audit", "/v1/tenants/acme/roles"] {
        until("the token is void", async || {
            let status = get(path).await?;
            Ok(if status == 401 { Ok(()) } else { Err(format!("{path}: {status}")) })
        })
        .await?;
    }
    triad.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_keeps_its_promises() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let triad = Triad::start(&dir.path().join("data")).await?;
    let (client, key) = (triad.client.clone(), Some(triad.key().to_owned()));
    let trail = Trail { client, root: triad.url(""), key };
    trail.keeps_its_promises("acme", "umbrella").await?;
    triad.stop().await
}
