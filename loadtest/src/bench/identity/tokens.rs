//! Grants to programs, and log-ins of people beside bare Argon2id.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Method;
use serde_json::{Value, json};

use super::bed::{Admin, Bed, ask};
use super::tenant;
use crate::bench::drive::{Pace, drive, status};
use crate::bench::goals::Figure;
use crate::check::link::{Ask, Endpoint};

const FORM: &str = "application/x-www-form-urlencoded";
/// Service accounts that ask.
const ACCOUNTS: u64 = 20;
/// Grants at once for each connection that is asked for: all who wait for a commit share it.
const SHARED: usize = 8;
/// Log-ins at once: more than are hashed at once, fewer than may wait.
const LOGINS: usize = 8;
const PASSWORD: &str = "correct horse battery";

pub(crate) fn form(endpoint: &Endpoint, path: &str, body: String) -> Ask {
    let mut ask = ask(endpoint, Method::POST, path, body);
    ask.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(FORM));
    ask
}

/// Credentials of service accounts, as HTTP Basic has them.
pub(crate) async fn clients(admin: &Admin) -> anyhow::Result<Arc<Vec<String>>> {
    let mut clients = Vec::new();
    for number in 0..ACCOUNTS {
        let path = format!("/v1/tenants/{}/service-accounts", tenant(number));
        let name = uuid::Uuid::new_v4().to_string();
        let account = admin.post(&path, &json!({ "name": name })).await?;
        let id = account["id"].as_str().context("no account")?.to_owned();
        let scopes = json!({"scopes": ["audit:write", "authz:check"]});
        admin.send(reqwest::Method::PUT, &format!("{path}/{id}/scopes"), &scopes).await?;
        let key = admin.post(&format!("{path}/{id}/keys"), &json!({"name": "bench"})).await?;
        let secret = key["secret"].as_str().context("no secret")?;
        clients.push(format!("Basic {}", BASE64.encode(format!("{id}:{secret}"))));
    }
    Ok(Arc::new(clients))
}

/// A client_credentials grant of one of them.
pub(crate) fn grant(endpoint: &Endpoint, client: &str) -> Ask {
    let mut ask = form(endpoint, "/oauth2/token", "grant_type=client_credentials".to_owned());
    if let Ok(client) = client.parse() {
        ask.headers_mut().insert("authorization", client);
    }
    ask
}

pub(super) async fn grants(bed: &mut Bed, until: Instant) -> anyhow::Result<Vec<Figure>> {
    let admin = bed.admin().await?;
    let pace = bed.pace();
    let pace = Pace { connections: SHARED * pace.connections, ..pace };
    let clients = clients(&admin).await?;
    let runs = bed.in_turns(until, async |_, _| {
        let (endpoint, clients) = (admin.endpoint.clone(), Arc::clone(&clients));
        let make = move |number: u64| grant(&endpoint, &clients[number as usize % clients.len()]);
        let granted = drive(&admin.endpoint, pace, make, status(200)).await?;
        Ok(json!({ "value": granted.per_second, "p99_ms": granted.latency.p99_ms }))
    });
    let figures = Figure::median("identity.grants_per_second", runs.await?).into_iter().collect();
    admin.stop().await?;
    Ok(figures)
}

/// A source of its own for each request, as a proxy would tell it.
pub(super) fn from(mut ask: Ask, number: u64) -> Ask {
    let [.., a, b, c] = number.to_be_bytes();
    if let Ok(source) = format!("10.{a}.{b}.{c}").parse() {
        ask.headers_mut().insert("x-forwarded-for", source);
    }
    ask
}

/// Short codes that wait for a person's answer.
async fn codes(admin: &Admin, count: u64) -> anyhow::Result<Arc<Vec<String>>> {
    let made = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (endpoint, kept) = (admin.endpoint.clone(), Arc::clone(&made));
    let make = move |_| {
        let path = "/oauth2/device_authorization";
        let source = uuid::Uuid::new_v4().as_u128() as u64;
        from(form(&endpoint, path, "client_id=triad-cli".to_owned()), source)
    };
    let span = Duration::from_secs_f64(count as f64 / 300.0);
    let pace = Pace { connections: 8, span, rate: Some(300.0) };
    drive(&admin.endpoint, pace, make, move |_, answer| {
        let made: Value = serde_json::from_slice(&answer.body)?;
        let code = made["user_code"].as_str().context("no code")?.to_owned();
        kept.lock().map_err(|_| anyhow::anyhow!("a caller ended"))?.push(code);
        Ok(())
    })
    .await?;
    let codes = made.lock().map_err(|_| anyhow::anyhow!("a caller ended"))?.clone();
    Ok(Arc::new(codes))
}

/// The answer of a person who allows what a code asks for.
pub(super) fn allow(endpoint: &Endpoint, code: &str, name: &str, password: &str) -> Ask {
    let password = password.replace(' ', "+");
    let body = format!(
        "user_code={code}&tenant={}&name={name}&password={password}&decision=allow",
        tenant(0)
    );
    form(endpoint, "/device", body)
}

pub(super) async fn login(bed: &mut Bed, until: Instant) -> anyhow::Result<Vec<Figure>> {
    let hashing = bed.place().await?.config.passwords.hashing();
    let admin = bed.admin().await?;
    let name = format!("{}@bench.example", uuid::Uuid::new_v4());
    let body = json!({ "email": name, "password": PASSWORD });
    admin.post(&format!("/v1/tenants/{}/users", tenant(0)), &body).await?;
    let pace = Pace { connections: LOGINS, ..bed.pace() };
    let runs = bed.in_turns(until, async |_, _| {
        let bare = bare(hashing.at_once, pace.span);
        // More than can be hashed meanwhile.
        #[allow(clippy::cast_sign_loss, reason = "not negative")]
        let codes = codes(&admin, (1.5 * bare * pace.span.as_secs_f64()) as u64 + 100).await?;
        let (endpoint, name) = (admin.endpoint.clone(), name.clone());
        let make = move |number: u64| {
            let code = &codes[number as usize % codes.len()];
            from(allow(&endpoint, code, &name, PASSWORD), number)
        };
        let done = drive(&admin.endpoint, pace, make, status(200)).await?;
        Ok(json!({ "value": done.per_second / bare, "logins": done.per_second, "bare": bare,
            "p99_ms": done.latency.p99_ms }))
    });
    let figures = Figure::median("identity.login_ratio", runs.await?).into_iter().collect();
    admin.stop().await?;
    Ok(figures)
}

/// Hashes a second on so many threads, each in memory of its own that it uses again.
fn bare(threads: usize, span: Duration) -> f64 {
    let begun = Instant::now();
    let one = || {
        let params = Params::new(19_456, 2, 1, Some(32)).unwrap_or_default();
        let mut memory = vec![Block::new(); params.block_count()];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let (mut done, mut out) = (0_u64, [0; 32]);
        while begun.elapsed() < span {
            let salt = done.to_be_bytes();
            let hashed = argon2.hash_password_into_with_memory(
                PASSWORD.as_bytes(),
                &salt,
                &mut out,
                &mut memory,
            );
            done += u64::from(hashed.is_ok());
        }
        done
    };
    let done: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    });
    done as f64 / begun.elapsed().as_secs_f64()
}
