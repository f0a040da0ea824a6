//! People: passwords, lock-out, the device grant and refresh tokens.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::credentials::Installed;
use super::{Answer, Service};
use crate::world::until;

const CLIENT: &str = "triad-cli";
const PASSWORD: &str = "correct horse battery";
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A user who may log in; its id.
async fn person(service: &Service, name: &str, scopes: &[&str]) -> Result<String> {
    person_in("acme", service, name, scopes).await
}

/// As [`person`], in a tenant.
pub(crate) async fn person_in(
    tenant: &str,
    service: &Service,
    name: &str,
    scopes: &[&str],
) -> Result<String> {
    let body = json!({"email": format!("{name}@acme.example"), "password": PASSWORD});
    let id = service.post(&format!("/v1/tenants/{tenant}/users"), body).await?.must(201)?.id()?;
    let path = format!("/v1/tenants/{tenant}/users/{id}/scopes");
    service.ask(Method::PUT, &path, &[], json!({ "scopes": scopes })).await?.must(200)?;
    Ok(id)
}

/// The codes that a program gets: the long one and the short one.
async fn codes(service: &Service, scope: &str) -> Result<(String, String)> {
    let form = [("client_id", CLIENT), ("scope", scope)];
    let form = if scope.is_empty() { &form[..1] } else { &form[..] };
    let made = service.form("/oauth2/device_authorization", None, form).await?.must(200)?.body;
    let text = |name: &str| made[name].as_str().map(str::to_owned).context("no code");
    Ok((text("device_code")?, text("user_code")?))
}

async fn fetch(service: &Service, device: &str) -> Result<Answer> {
    let form = [("grant_type", DEVICE), ("device_code", device), ("client_id", CLIENT)];
    service.form("/oauth2/token", None, &form).await
}

pub(super) async fn refresh(service: &Service, token: &str, scope: &str) -> Result<Answer> {
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("client_id", CLIENT),
        ("scope", scope),
    ];
    service.form("/oauth2/token", None, &form).await
}

/// A person answers; the page.
async fn answer(service: &Service, code: &str, name: &str, password: &str) -> Result<Answer> {
    answer_in("acme", service, code, (name, password)).await
}

async fn answer_in(
    tenant: &str,
    service: &Service,
    code: &str,
    (name, password): (&str, &str),
) -> Result<Answer> {
    let form = [
        ("user_code", code),
        ("tenant", tenant),
        ("name", name),
        ("password", password),
        ("decision", "allow"),
    ];
    service.form("/device", None, &form).await
}

/// Access and refresh token of an answer.
fn tokens(answer: &Answer) -> Result<(String, String)> {
    let text = |name: &str| answer.body[name].as_str().map(str::to_owned).context("no token");
    Ok((text("access_token")?, text("refresh_token")?))
}

/// What a person gets who logs in on a device.
pub(super) async fn logged_in(service: &Service, name: &str) -> Result<(String, String)> {
    logged_in_to("acme", service, name).await
}

/// As [`logged_in`], in a tenant.
pub(crate) async fn logged_in_to(
    tenant: &str,
    service: &Service,
    name: &str,
) -> Result<(String, String)> {
    let (device, code) = codes(service, "").await?;
    answer_in(tenant, service, &code, (name, PASSWORD)).await?.must(200)?;
    tokens(&fetch(service, &device).await?.must(200)?)
}

fn error(answer: &Answer) -> &str {
    answer.body["error"].as_str().unwrap_or_default()
}

pub(super) async fn is_active(
    installed: &Installed,
    service: &Service,
    token: &str,
) -> Result<bool> {
    let admin = Some((installed.admin.0.as_str(), installed.admin.1.as_str()));
    let said = service.form("/oauth2/introspect", admin, &[("token", token)]).await?.must(200)?;
    Ok(said.body["active"] == true)
}

/// What the trail holds of log-ins and tokens.
async fn told(installed: &Installed, tenant: &str) -> Result<Vec<Value>> {
    let sql = "SELECT payload FROM outbox \
               WHERE tenant_id = ? AND topic = 'audit' AND seq IS NULL ORDER BY id";
    let rows = installed.identities.db.rows(sql, &[tenant.into()]).await?;
    rows.iter().map(|row| Ok(serde_json::from_str(&row.text("payload")?)?)).collect()
}

#[tokio::test]
async fn a_person_allows_a_program_and_it_goes_on_until_the_person_is_deactivated() -> Result<()> {
    // So that whoever asks twice asks too soon.
    let installed = Installed::new(&[("DEVICE__INTERVAL_SECONDS", "60")]).await?;
    let service = installed.start().await?;
    service.tenant("acme").await?;
    let ada = person(&service, "ada", &["identity:read", "authz:check"]).await?;
    let (device, code) = codes(&service, "identity:read audit:read").await?;
    ensure!(error(&fetch(&service, &device).await?.must(400)?) == "authorization_pending");
    ensure!(error(&fetch(&service, &device).await?.must(400)?) == "slow_down");

    let page = service.get("/device").await?.must(200)?;
    ensure!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
    let page = service.get(&format!("/device?user_code={code}")).await?.must(200)?;
    let shown = page.body.as_str().unwrap_or_default();
    ensure!(shown.contains(CLIENT) && shown.contains("audit:read"), "{shown}");
    let typed = code.to_lowercase().replace('-', " ");
    answer(&service, &typed, "ada@acme.example", "wrong horse battery").await?.must(400)?;
    answer(&service, &typed, "Ada@ACME.example", PASSWORD).await?.must(200)?;
    answer(&service, &typed, "ada@acme.example", PASSWORD).await?.must(404)?;

    let got = fetch(&service, &device).await?.must(200)?;
    ensure!(got.body["scope"] == "identity:read", "what both allow: {}", got.body);
    ensure!(error(&fetch(&service, &device).await?.must(400)?) == "invalid_grant", "once");
    let (access, first) = tokens(&got)?;
    ensure!(is_active(&installed, &service, &access).await?);
    ensure!(!is_active(&installed, &service, &first).await?, "it lets nobody in");
    let next = refresh(&service, &first, "").await?.must(200)?;
    let (_, second) = tokens(&next)?;
    ensure!(second != first && next.body["scope"] == "identity:read");
    ensure!(error(&refresh(&service, &second, "authz:check").await?.must(400)?) == "invalid_scope");

    let events = told(&installed, "acme").await?;
    let actions: Vec<_> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    let expected = ["login.failed", "login.succeeded", "token.issued", "token.refreshed"];
    ensure!(actions == expected, "{events:?}");
    ensure!(events[0]["actor_id"].is_null() && events[0]["resource_id"] == ada, "{}", events[0]);
    ensure!(events[1..].iter().all(|event| event["actor_id"] == ada), "{events:?}");
    ensure!(events.iter().all(|event| event["source_ip"] == "127.0.0.1"), "{events:?}");

    let user = format!("/v1/tenants/acme/users/{ada}");
    service.post(&format!("{user}/deactivate"), Value::Null).await?.must(200)?;
    ensure!(error(&refresh(&service, &second, "").await?.must(400)?) == "invalid_grant");
    ensure!(!is_active(&installed, &service, &access).await?);
    let (_, code) = codes(&service, "").await?;
    answer(&service, &code, "ada@acme.example", PASSWORD).await?.must(400)?;
    service.post(&format!("{user}/reactivate"), Value::Null).await?.must(200)?;
    ensure!(error(&refresh(&service, &second, "").await?.must(400)?) == "invalid_grant");
    answer(&service, &code, "ada@acme.example", PASSWORD).await?.must(200)?;
    service.stop().await
}

#[tokio::test]
async fn a_program_gets_nothing_that_nobody_allowed() -> Result<()> {
    let installed = Installed::new(&[("DEVICE__INTERVAL_SECONDS", "1")]).await?;
    let service = installed.start().await?;
    service.tenant("acme").await?;
    person(&service, "ada", &["identity:read"]).await?;
    let path = "/oauth2/device_authorization";
    ensure!(error(&service.form(path, None, &[("client_id", "other")]).await?) == "invalid_client");
    let form = [("client_id", CLIENT), ("scope", "nonsense")];
    ensure!(error(&service.form(path, None, &form).await?) == "invalid_scope");

    let (device, code) = codes(&service, "").await?;
    let deny = [("user_code", code.as_str()), ("decision", "deny")];
    service.form("/device", None, &deny).await?.must(200)?;
    ensure!(error(&fetch(&service, &device).await?.must(400)?) == "access_denied");
    answer(&service, &code, "ada@acme.example", PASSWORD).await?.must(404)?;
    ensure!(error(&fetch(&service, "nonsense").await?.must(400)?) == "invalid_grant");

    let (device, code) = codes(&service, "").await?;
    let late = "UPDATE device_grants SET expires_at = '2020-01-01 00:00:00'";
    installed.identities.db.execute(late, &[]).await?;
    answer(&service, &code, "ada@acme.example", PASSWORD).await?.must(404)?;
    ensure!(error(&fetch(&service, &device).await?.must(400)?) == "expired_token");
    // What is random is not told apart from what is not there.
    for code in ["BCDF-GHJK", "nonsense", ""] {
        let form = [("user_code", code), ("decision", "allow")];
        service.form("/device", None, &form).await?.must(404)?;
    }
    // One address may wait for so many answers.
    for _ in 0..100 {
        codes(&service, "").await?;
    }
    let more = service.form(path, None, &[("client_id", CLIENT)]).await?.must(429)?;
    ensure!(more.header("retry-after") == "1", "{more:?}");
    service.stop().await
}

#[tokio::test]
async fn a_refresh_token_that_is_used_again_ends_its_session() -> Result<()> {
    let installed = Installed::new(&[]).await?;
    let lenient = installed.start().await?;
    let strict = installed.identities.with(&[("TOKENS__REFRESH_GRACE_SECONDS", "0")]);
    let strict = strict.start().await?;
    lenient.tenant("acme").await?;
    person(&lenient, "ada", &["identity:read"]).await?;
    let (access, first) = logged_in(&lenient, "ada@acme.example").await?;
    let (_, other) = logged_in(&lenient, "ada@acme.example").await?;
    // Answers get lost: within the grace both get a next one, and both of these are good.
    let both = futures::try_join!(refresh(&lenient, &first, ""), refresh(&lenient, &first, ""))?;
    let (second, twin) = (tokens(&both.0.must(200)?)?.1, tokens(&both.1.must(200)?)?.1);
    for token in [&second, &twin] {
        refresh(&lenient, token, "").await?.must(200)?;
    }
    ensure!(is_active(&installed, &lenient, &access).await?);
    // Beyond it, somebody else has the token.
    ensure!(error(&refresh(&strict, &first, "").await?.must(400)?) == "invalid_grant");
    for token in [&first, &second, &twin] {
        ensure!(error(&refresh(&lenient, token, "").await?.must(400)?) == "invalid_grant");
    }
    ensure!(!is_active(&installed, &lenient, &access).await?, "access tokens end as well");
    refresh(&lenient, &other, "").await?.must(200)?;
    let events = told(&installed, "acme").await?;
    let reused = |event: &&Value| event["details"]["reason"] == "reused";
    let event = events.iter().find(reused).context("not told")?;
    ensure!(event["action"] == "token.refused" && event["status"] == "DENIED", "{event}");
    // A program may end its session itself, and no other program may.
    let form = [("token", other.as_str()), ("client_id", "other")];
    lenient.form("/oauth2/revoke", None, &form).await?.must(401)?;
    let newest = tokens(&refresh(&lenient, &other, "").await?.must(200)?)?.1;
    let form = [("token", newest.as_str()), ("client_id", CLIENT)];
    lenient.form("/oauth2/revoke", None, &form).await?.must(200)?;
    ensure!(error(&refresh(&lenient, &newest, "").await?.must(400)?) == "invalid_grant");
    // Without any grace a token is exchanged once, and by one of two at once.
    let (_, only) = logged_in(&strict, "ada@acme.example").await?;
    let only = tokens(&refresh(&strict, &only, "").await?.must(200)?)?.1;
    let both = futures::try_join!(refresh(&strict, &only, ""), refresh(&strict, &only, ""))?;
    let mut statuses = [both.0.status.as_u16(), both.1.status.as_u16()];
    statuses.sort_unstable();
    ensure!(statuses == [200, 400], "{statuses:?}");
    strict.stop().await?;
    lenient.stop().await
}

#[tokio::test]
async fn who_does_not_exist_costs_what_a_wrong_password_costs_and_is_told_the_same() -> Result<()> {
    let installed = Installed::new(&[]).await?;
    let service = installed.start().await?;
    service.tenant("acme").await?;
    service.tenant("closed").await?;
    person(&service, "ada", &[]).await?;
    let bob = person(&service, "bob", &[]).await?;
    let gone = format!("/v1/tenants/acme/users/{bob}/deactivate");
    service.post(&gone, Value::Null).await?.must(200)?;
    service.user("acme", "eve").await?;
    let shut = json!({"email": "a@closed.example", "password": PASSWORD});
    service.post("/v1/tenants/closed/users", shut).await?.must(201)?;
    service.post("/v1/tenants/closed/suspend", Value::Null).await?.must(200)?;
    let hashed = async || {
        let name = "triad_identity_password_hashes_total";
        service.process().metric(name, "purpose=\"verify\"").await
    };
    let (_, code) = codes(&service, "").await?;
    let mut pages = Vec::new();
    for (tenant, name, password) in [
        ("acme", "ada@acme.example", "wrong horse battery"),
        ("acme", "nobody@acme.example", PASSWORD),
        ("acme", "eve@acme.example", PASSWORD),
        ("acme", "bob@acme.example", PASSWORD),
        ("nowhere", "ada@acme.example", PASSWORD),
        ("No Tenant!", "ada@acme.example", PASSWORD),
        ("closed", "a@closed.example", PASSWORD),
        ("acme", "", ""),
    ] {
        let before = hashed().await?;
        let form = [
            ("user_code", code.as_str()),
            ("tenant", tenant),
            ("name", name),
            ("password", password),
            ("decision", "allow"),
        ];
        let page = service.form("/device", None, &form).await?.must(400)?;
        ensure!(hashed().await? - before == 1.0, "{tenant} {name}");
        let page = page.body.as_str().unwrap_or_default().to_owned();
        // The form has what was typed, for another try.
        pages.push(
            page.replace(&format!("value=\"{tenant}\""), "")
                .replace(&format!("value=\"{name}\""), ""),
        );
    }
    ensure!(pages.windows(2).all(|pair| pair[0] == pair[1]), "{pages:#?}");
    let told = told(&installed, "acme").await?;
    let reason = |event: &Value| event["details"]["reason"].as_str().unwrap_or_default().to_owned();
    let reasons: Vec<_> = told.iter().map(reason).collect();
    ensure!(reasons == ["wrong", "unknown", "wrong", "inactive", "unknown"], "{reasons:?}");
    ensure!(self::told(&installed, "nowhere").await?.is_empty(), "no tenant, no trail");
    ensure!(self::told(&installed, "_system").await?.len() == 2);
    service.stop().await
}

/// A form to the page, with some headers.
async fn with(
    service: &Service,
    headers: &[(&str, &str)],
    form: &[(&str, &str)],
) -> Result<Answer> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let kind = "application/x-www-form-urlencoded";
    let request = service.process().client.post(service.url("/device")).body(body);
    let mut request = request.header("content-type", kind);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    Ok(Answer { status, headers, body: answer.text().await?.into() })
}

/// A log-in that comes from an address, as a trusted proxy says.
async fn from(service: &Service, address: &str, code: &str, password: &str) -> Result<Answer> {
    let form = [
        ("user_code", code),
        ("tenant", "acme"),
        ("name", "ada@acme.example"),
        ("password", password),
        ("decision", "allow"),
    ];
    with(service, &[("x-forwarded-for", address)], &form).await
}

/// A log-in from an address that must be locked out.
async fn locked_out(
    service: &Service,
    address: &str,
    code: &str,
    given: &[(&str, &str)],
) -> Result<()> {
    let form = [&[("user_code", code), ("decision", "allow")], given].concat();
    with(service, &[("x-forwarded-for", address)], &form).await?.must(429).map(drop)
}

#[tokio::test]
async fn wrong_passwords_lock_an_account_for_one_address_on_every_replica() -> Result<()> {
    let installed = Installed::new(&[
        ("HTTP__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]"),
        ("LOG_IN__MAX_FAILURES", "3"),
    ])
    .await?;
    let (one, other) = futures::try_join!(installed.start(), installed.start())?;
    one.tenant("acme").await?;
    person(&one, "ada", &[]).await?;
    let code = async || anyhow::Ok(codes(&one, "").await?.1);
    let (here, there, sixth) = ("203.0.113.1", "203.0.113.2", "2001:db8::1");
    let wrong = "wrong horse battery";
    // A right one forgets the wrong ones before it.
    for _ in 0..2 {
        let code = code().await?;
        from(&one, here, &code, wrong).await?.must(400)?;
        from(&other, here, &code, wrong).await?.must(400)?;
        from(&other, here, &code, PASSWORD).await?.must(200)?;
    }
    let hashed = async || {
        let name = "triad_identity_password_hashes_total";
        let label = "purpose=\"verify\"";
        let both = (one.process().metric(name, label), other.process().metric(name, label));
        anyhow::Ok(both.0.await? + both.1.await?)
    };
    let (before, last) = (hashed().await?, code().await?);
    // At once they get no more tries than one after the other.
    let all = (0..12).map(|n| from(if n % 2 == 0 { &one } else { &other }, here, &last, wrong));
    let all = try_join_all(all).await?;
    let count = |status: u16| all.iter().filter(|answer| answer.status == status).count();
    ensure!((count(400), count(429)) == (3, 9), "{all:?}");
    ensure!(hashed().await? - before == 3.0);
    // Of those who are locked out the trail is told once.
    let events = told(&installed, "acme").await?;
    let locks = events.iter().filter(|event| !event["details"]["locked_until"].is_null());
    ensure!(locks.count() == 1, "{events:?}");
    ensure!(events.iter().filter(|event| event["action"] == "login.failed").count() == 7);
    for service in [&one, &other] {
        let locked = from(service, here, &last, PASSWORD).await?.must(429)?;
        ensure!(locked.header("retry-after").parse::<u32>()? > 800, "{locked:?}");
    }
    // Elsewhere the same person may, and the header of strangers says nothing.
    from(&one, there, &last, PASSWORD).await?.must(200)?;
    let spoofed = format!("{there}, {here}");
    from(&one, &spoofed, &code().await?, PASSWORD).await?.must(429)?;
    // However the name is typed, and whatever a database thinks of space at its end.
    for name in ["ADA@acme.example", "ada@acme.example  ", "ada@acme.example\u{a0}"] {
        let form = [("tenant", "acme"), ("name", name), ("password", wrong)];
        locked_out(&one, here, &code().await?, &form).await?;
    }
    // A whole network of IPv6 is one customer's.
    let last = code().await?;
    for n in 1..=3 {
        from(&one, &format!("2001:db8::{n}"), &last, wrong).await?.must(400)?;
    }
    from(&one, sixth, &last, PASSWORD).await?.must(429)?;
    from(&one, "2001:db8:0:1::1", &last, PASSWORD).await?.must(200)?;
    // Later they count no more.
    let late = "UPDATE login_attempts SET expires_at = '2020-01-01', locked_until = '2020-01-01'";
    installed.identities.db.execute(late, &[]).await?;
    from(&other, here, &code().await?, PASSWORD).await?.must(200)?;
    one.stop().await?;
    other.stop().await
}

#[tokio::test]
async fn codes_are_not_guessed() -> Result<()> {
    let installed = Installed::new(&[("LOG_IN__MAX_FAILURES", "3")]).await?;
    let service = installed.start().await?;
    service.tenant("acme").await?;
    let (_, code) = codes(&service, "").await?;
    // A slip is no guess, and what another page makes a browser ask counts against nobody.
    for _ in 0..4 {
        service.get("/device?user_code=nonsense").await?.must(404)?;
        let headers = [("sec-fetch-dest", "image")];
        let path = "/device?user_code=BCDF-GHJK";
        service.ask(Method::GET, path, &headers, Value::Null).await?.must(403)?;
    }
    let forged = [("sec-fetch-dest", "document"), ("sec-fetch-site", "cross-site")];
    let form = [("user_code", code.as_str()), ("decision", "deny")];
    with(&service, &forged, &form).await?.must(403)?;
    for _ in 0..3 {
        service.get("/device?user_code=BCDF-GHJK").await?.must(404)?;
    }
    service.get("/device?user_code=BCDF-GHJK").await?.must(429)?;
    service.get(&format!("/device?user_code={code}")).await?.must(429)?;
    service.stop().await
}

#[tokio::test]
async fn a_password_is_looked_at_before_it_is_taken_and_ends_what_was_got_with_the_last()
-> Result<()> {
    let list = tempfile::NamedTempFile::new()?;
    std::fs::write(list.path(), "Correct Horse Battery Staple\n")?;
    let path = list.path().display().to_string();
    let installed = Installed::new(&[("PASSWORDS__BLOCKLIST_FILE", &path)]).await?;
    let service = installed.start().await?;
    service.tenant("acme").await?;
    let ada = person(&service, "ada", &["identity:read"]).await?;
    let password = format!("/v1/tenants/acme/users/{ada}/password");
    let set = async |text: &str| {
        service.ask(Method::PUT, &password, &[], json!({ "password": text })).await
    };
    for bad in ["short", "correct horse battery STAPLE", "ada@acme.example", "tab\tand more of it"]
    {
        ensure!(set(bad).await?.must(400)?.faults() == ["password"], "{bad}");
        let body = json!({"email": "ada@acme.example", "password": bad});
        let refused = service.post("/v1/tenants/acme/users", body).await?.must(400)?;
        ensure!(refused.faults() == ["password"], "{bad}");
    }
    let tenant = json!({"id": "new", "name": "New", "administrator":
        {"email": "a@new.example", "password": "short"}});
    let refused = service.post("/v1/tenants", tenant).await?.must(400)?;
    ensure!(refused.faults() == ["administrator.password"], "{refused:?}");

    let (access, token) = logged_in(&service, "ada@acme.example").await?;
    let stale = [("if-match", "\"1\"")];
    let body = json!({"password": "another horse battery"});
    service.ask(Method::PUT, &password, &stale, body.clone()).await?.must(204)?;
    service.ask(Method::PUT, &password, &stale, body).await?.must(412)?;
    ensure!(!is_active(&installed, &service, &access).await?);
    ensure!(error(&refresh(&service, &token, "").await?.must(400)?) == "invalid_grant");
    let (device, code) = codes(&service, "").await?;
    answer(&service, &code, "ada@acme.example", PASSWORD).await?.must(400)?;
    answer(&service, &code, "ada@acme.example", "another horse battery").await?.must(200)?;
    let (access, _) = tokens(&fetch(&service, &device).await?.must(200)?)?;
    ensure!(is_active(&installed, &service, &access).await?, "not void from its first moment");
    service.delete(&password).await?.must(204)?;
    service.delete(&password).await?.must(204)?;
    ensure!(!is_active(&installed, &service, &access).await?);
    let (_, code) = codes(&service, "").await?;
    answer(&service, &code, "ada@acme.example", "another horse battery").await?.must(400)?;
    service.stop().await
}

#[tokio::test]
async fn nobody_who_logged_in_with_the_last_password_gets_in_behind_its_change() -> Result<()> {
    // One password at a time: the log-in waits behind others while its password is changed.
    let installed = Installed::new(&[("PASSWORDS__AT_ONCE", "1")]).await?;
    let service = installed.start().await?;
    service.tenant("acme").await?;
    let ada = person(&service, "ada", &["identity:read"]).await?;
    let (_, busy) = codes(&service, "").await?;
    for turn in 0..5 {
        let (device, code) = codes(&service, "").await?;
        let (old, new) = (format!("{PASSWORD} {turn}"), format!("{PASSWORD} {}", turn + 1));
        let path = format!("/v1/tenants/acme/users/{ada}/password");
        let set = async |password: &str| {
            let body = json!({ "password": password });
            service.ask(Method::PUT, &path, &[], body).await?.must(204)
        };
        set(&old).await?;
        let others = (0..4).map(|n| {
            let (service, busy) = (&service, &busy);
            async move { answer(service, busy, &format!("{turn}-{n}@x.example"), PASSWORD).await }
        });
        let late = answer(&service, &code, "ada@acme.example", &old);
        let (_, _, page) = futures::try_join!(try_join_all(others), set(&new), late)?;
        // Whichever came first, the old password opens nothing behind the new one.
        let fetched = fetch(&service, &device).await?;
        ensure!(!error(&fetched).is_empty() && fetched.status == 400, "{page:?} {fetched:?}");
    }
    service.stop().await
}

#[tokio::test]
async fn a_hash_that_was_imported_lets_its_user_in_and_is_renewed() -> Result<()> {
    let installed = Installed::new(&[]).await?;
    let service = installed.start().await?;
    service.tenant("acme").await?;
    // Of "password", by the reference implementation.
    let hash =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let file = installed.folder.path().join("users.ndjson");
    let rows = [
        json!({"user": {"email": "ada@acme.example"}, "password_hash": hash}),
        json!({"user": {"email": "bob@acme.example", "password": PASSWORD}}),
    ];
    std::fs::write(&file, rows.map(|row| row.to_string()).join("\n"))?;
    let mut command = installed.identities.command()?;
    command.args(["import", "--tenant", "acme", "--input"]).arg(&file).stdin(Stdio::null());
    let output = command.output()?;
    let said = std::fs::read_to_string(format!("{}.results.ndjson", file.display()))?;
    ensure!(said.contains("user.password"), "{said} {output:?}");
    ensure!(!said.contains(PASSWORD) && !said.contains(hash), "{said}");
    let (_, code) = codes(&service, "").await?;
    answer(&service, &code, "ada@acme.example", "password").await?.must(200)?;
    let sql =
        "SELECT COUNT(*) AS n FROM users WHERE hashed_password LIKE '$argon2id$v=19$m=19456,%'";
    ensure!(installed.identities.count(sql, &[]).await? == 1);
    let (_, code) = codes(&service, "").await?;
    answer(&service, &code, "ada@acme.example", "password").await?.must(200)?;
    service.stop().await
}

#[tokio::test]
async fn a_flood_of_passwords_is_told_to_come_again() -> Result<()> {
    let installed =
        Installed::new(&[("PASSWORDS__AT_ONCE", "1"), ("PASSWORDS__WAITING", "1")]).await?;
    let service = installed.start().await?;
    service.tenant("acme").await?;
    person(&service, "ada", &[]).await?;
    let (_, code) = codes(&service, "").await?;
    let all = (0..40).map(|n| {
        let name = format!("nobody{n}@acme.example");
        let (service, code) = (&service, &code);
        async move { answer(service, code, &name, PASSWORD).await }
    });
    let all = try_join_all(all).await?;
    let count = |status: u16| all.iter().filter(|answer| answer.status == status).count();
    ensure!(count(400) + count(503) == 40 && count(503) > 0 && count(400) > 1, "{all:?}");
    let told = all.iter().filter(|answer| answer.status == 503);
    ensure!(told.clone().all(|answer| answer.header("retry-after") == "1"));
    answer(&service, &code, "ada@acme.example", PASSWORD).await?.must(200)?;
    service.stop().await
}

/// Everything that tables hold, as text and in hexadecimal.
async fn everything(installed: &Installed) -> Result<String> {
    let db = &installed.identities.db;
    let sql = "SELECT table_name AS t, column_name AS c FROM information_schema.columns \
               WHERE table_schema = DATABASE() AND table_name NOT LIKE '\\_sqlx%'";
    let mut all = String::new();
    for row in db.rows(sql, &[]).await? {
        let (table, column) = (row.text("t")?, row.text("c")?);
        let sql =
            format!("SELECT COALESCE(HEX(CAST({column} AS BINARY)), '') AS held FROM {table}");
        for row in db.rows(sql, &[]).await? {
            all.push_str(&row.text("held")?);
            all.push('\n');
        }
    }
    Ok(all)
}

#[tokio::test]
async fn no_secret_is_found_in_any_table() -> Result<()> {
    let installed = Installed::new(&[]).await?;
    let service = installed.start().await?;
    service.tenant("acme").await?;
    let body = json!({"email": "ada@acme.example", "password": PASSWORD});
    service.keyed("/v1/tenants/acme/users", "k1", body.clone()).await?.must(201)?;
    service.keyed("/v1/tenants/acme/users", "k1", body).await?.must(201)?;
    let (access, first) = logged_in(&service, "ada@acme.example").await?;
    let (_, second) = tokens(&refresh(&service, &first, "").await?.must(200)?)?;
    let (device, code) = codes(&service, "").await?;
    answer(&service, &code, "ada@acme.example", "wrong horse battery").await?.must(400)?;
    // A password in the wrong field.
    answer(&service, &code, "misplaced horse battery", "x").await?.must(400)?;
    let account = service.account("acme", "ci", &["audit:write"]).await?;
    let (_, key) = service.key("acme", &account, json!({"name": "k"})).await?;
    let token = service.access((&account, &key)).await?;
    let bare = code.replace('-', "");
    let all = everything(&installed).await?;
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>();
    ensure!(all.contains(&hex("ada@acme.example")), "the search finds nothing at all");
    for secret in [
        PASSWORD,
        "wrong horse battery",
        "misplaced horse battery",
        &access,
        &first,
        &second,
        &device,
        &code,
        &bare,
        &key,
        &token,
        &installed.admin.1,
    ] {
        ensure!(!all.contains(&hex(secret)), "found: {secret}");
    }
    service.stop().await
}

#[tokio::test]
async fn no_secret_is_found_in_what_is_logged() -> Result<()> {
    let installed = Installed::new(&[
        ("AUTH__DEFAULT_TENANT", "acme"),
        ("SCIM__PASSWORDS", "set"),
        ("TELEMETRY__FILTER", "debug,identity_admin=trace,service_kit=trace"),
    ])
    .await?;
    let log = installed.folder.path().join("log");
    let service = installed.identities.start_logging(&log).await?;
    until("there is a key to sign with", async || {
        let answer = service.get("/.well-known/jwks.json").await?;
        Ok(if answer.status == 200 { Ok(()) } else { Err(answer.body.to_string()) })
    })
    .await?;
    service.tenant("acme").await?;
    let ada = json!({"userName": "ada", "password": PASSWORD});
    service.post("/scim/v2/Users", ada).await?.must(201)?;
    // Refused, and so perhaps complained about.
    let short = json!({"userName": "eve", "password": "hunter2"});
    service.post("/scim/v2/Users", short).await?.must(400)?;
    let (access, first) = logged_in(&service, "ada").await?;
    let (_, second) = tokens(&refresh(&service, &first, "").await?.must(200)?)?;
    refresh(&service, "trr_not-a-token", "").await?.must(400)?;
    let (device, code) = codes(&service, "").await?;
    answer(&service, &code, "ada", "wrong horse battery").await?.must(400)?;
    let account = service.account("acme", "ci", &["audit:write"]).await?;
    let (_, key) = service.key("acme", &account, json!({"name": "k"})).await?;
    let token = service.access((&account, &key)).await?;
    let (all_but_one, last) = key.split_at(key.len() - 1);
    let altered = format!("{all_but_one}{}", if last == "x" { "y" } else { "x" });
    service
        .form("/oauth2/token", Some((&account, &altered)), &[("grant_type", "client_credentials")])
        .await?
        .must(401)?;
    let bearer = [("authorization", format!("Bearer {access}"))];
    let bearer = bearer.each_ref().map(|(name, value)| (*name, value.as_str()));
    service.ask(Method::GET, "/v1/tenants/acme/users", &bearer, Value::Null).await?;
    service.stop().await?;
    let said = std::fs::read_to_string(&log)?;
    ensure!(said.contains("serving") && said.len() > 1000, "it logs nothing: {said}");
    for secret in [
        PASSWORD,
        "hunter2",
        "wrong horse battery",
        "$argon2id",
        &access,
        &first,
        &second,
        "trr_not-a-token",
        &device,
        &code,
        &key,
        &altered,
        &token,
        &installed.admin.1,
    ] {
        ensure!(!said.contains(secret), "logged: {secret}");
    }
    Ok(())
}
