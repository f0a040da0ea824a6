//! Deadlocks, saturation, busy tenants, clients that dawdle, and a MySQL that is killed.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use identity_admin::db::{Db, DbError, Options, Tx};
use serde_json::json;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Answer, Identities, Service, patient};
use crate::world::{PATIENCE, engines, until};

const USERS: &str = "/v1/tenants/acme/users";

/// Locks the tenant, as a mutation does.
async fn hold(identities: &Identities) -> Result<Tx> {
    let mut tx = identities.db.begin().await?;
    let sql = "UPDATE tenant_changes SET seq = seq + 1 WHERE tenant_id = 'acme'";
    tx.execute(sql, &[]).await?;
    Ok(tx)
}

/// Waits until a transaction of this database waits for a lock.
async fn until_somebody_waits(identities: &Identities) -> Result<()> {
    let waiting = "SELECT COUNT(*) AS n FROM performance_schema.data_locks \
                   WHERE lock_status = 'WAITING' AND object_schema = DATABASE()";
    until("somebody waits for a lock", async || {
        let n = identities.count(waiting, &[]).await?;
        Ok(if n > 0 { Ok(()) } else { Err("nobody waits".to_owned()) })
    })
    .await
}

fn told_to_wait(answer: &Answer) -> bool {
    answer.header("retry-after") == "1"
}

#[tokio::test]
async fn a_deadlock_is_tried_again_and_nobody_hears_of_it() -> Result<()> {
    let identities = Identities::new(&[]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let id = service.user("acme", "u").await?;
    let user = format!("{USERS}/{id}");
    // The other transaction takes the rows in the other order, and has more to lose: MySQL ends the
    // service's, which has the tenant and wants the user.
    let mut other = identities.db.begin().await?;
    for n in 0..50 {
        let sql = "INSERT INTO relay_leases (name, holder, term, expires_at) \
                   VALUES (?, 'x', 1, '2026-01-01 00:00:00')";
        other.execute(sql, &[format!("l{n}").into()]).await?;
    }
    let touch = "UPDATE users SET display_name = 'other' WHERE tenant_id = 'acme' AND id = ?";
    other.execute(touch, &[id.as_str().into()]).await?;
    let patch = service.patch(&user, "", json!({"attributes": {"a": 1}}));
    let meet = async {
        until_somebody_waits(&identities).await?;
        let sql = "UPDATE tenant_changes SET seq = seq WHERE tenant_id = 'acme'";
        other.execute(sql, &[]).await?;
        other.commit().await?;
        anyhow::Ok(())
    };
    let (patched, met) = tokio::join!(patch, meet);
    met?;
    let patched = patched?.must(200)?;
    // What the other wrote was read by the second try.
    ensure!(patched.body["display_name"] == "other", "{}", patched.body);
    let metric = service.process().metric("triad_identity_retries_total", "deadlock").await?;
    ensure!(metric >= 1.0, "{metric}");
    ensure!(identities.changes("acme").await?.len() == 4);
    service.stop().await
}

#[tokio::test]
async fn without_a_free_connection_requests_are_told_to_come_back() -> Result<()> {
    let identities = Identities::new(&[
        ("MYSQL__MAX_OPEN_CONNS", "1"),
        ("MYSQL__ACQUIRE_TIMEOUT_MS", "200"),
        ("MYSQL__LOCK_TIMEOUT_SECONDS", "9"),
    ])
    .await?;
    let service = identities.start().await?;
    // The service's own looks at the database want the one connection as well.
    until("the tenant is made", async || {
        let made = service.tenant("acme").await;
        Ok(made.map(drop).map_err(|error| error.to_string()))
    })
    .await?;
    let held = hold(&identities).await?;
    let waiting = service.user("acme", "waits");
    let busy = async {
        until_somebody_waits(&identities).await?;
        let answers = (0..20).map(|_| service.get(USERS));
        for answer in try_join_all(answers).await? {
            ensure!(answer.status == 503 && told_to_wait(&answer), "{answer:?}");
        }
        held.rollback().await;
        anyhow::Ok(())
    };
    let (waited, busy) = tokio::join!(waiting, busy);
    busy?;
    waited?;
    let saturated = service.process().metric("triad_identity_saturated_total", "").await?;
    ensure!(saturated >= 20.0, "{saturated}");
    service.stop().await
}

#[tokio::test]
async fn a_busy_tenant_is_told_after_a_while_and_a_key_in_use_by_its_own_name() -> Result<()> {
    let identities = Identities::new(&[("MYSQL__LOCK_TIMEOUT_SECONDS", "1")]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let held = hold(&identities).await?;
    let body = json!({"email": "a@b.c"});
    let busy = service.post(USERS, body.clone()).await?.must(503)?;
    let in_use = service.keyed(USERS, "k", body.clone()).await?.must(409)?;
    ensure!(told_to_wait(&busy) && told_to_wait(&in_use));
    ensure!(in_use.body["type"] == "urn:triad:problem:idempotency-key-in-use");
    // Other tenants go on.
    service.tenant("other").await?;
    held.rollback().await;
    service.keyed(USERS, "k", body).await?.must(201)?;
    service.stop().await
}

#[tokio::test]
async fn a_statement_that_takes_too_long_takes_its_transaction_with_it() -> Result<()> {
    let identities = Identities::new(&[]).await?;
    let lease = "INSERT INTO relay_leases (name, holder, term, expires_at) \
                 VALUES ('l', 'x', 1, '2026-01-01 00:00:00')";
    let system = "UPDATE tenant_changes SET seq = seq WHERE tenant_id = '_system'";
    let statement_timeout = std::time::Duration::from_millis(300);
    let hasty = Db::new(&Options { statement_timeout, ..patient(&identities.place) });
    let mut held = identities.db.begin().await?;
    held.execute(system, &[]).await?;
    let mut late = hasty.begin().await?;
    late.execute(lease, &[]).await?;
    ensure!(matches!(late.execute(system, &[]).await, Err(DbError::Deadline)));
    late.rollback().await;
    held.rollback().await;
    // The row would be locked, or there, if anything were left of it.
    identities.db.execute(lease, &[]).await?;
    // Its connection is not given to anybody else.
    ensure!(hasty.rows("SELECT seq FROM tenant_changes", &[]).await?.len() == 1);
    Ok(())
}

#[tokio::test]
async fn idle_connections_beyond_the_bound_are_closed() -> Result<()> {
    let identities = Identities::new(&[("MYSQL__MAX_IDLE_CONNS", "2")]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let held = hold(&identities).await?;
    let burst = try_join_all((0..12).map(async |n| service.user("acme", &format!("u{n}")).await));
    let opened = async {
        until("many connections are open", async || {
            let used = service.process().metric("triad_identity_connections", "used").await?;
            Ok(if used >= 10.0 { Ok(()) } else { Err(format!("{used}")) })
        })
        .await?;
        held.rollback().await;
        anyhow::Ok(())
    };
    let (burst, opened) = tokio::join!(burst, opened);
    burst?;
    opened?;
    // The service's own look borrows one of them at times.
    until("few are left", async || {
        let left = service.process().metric("triad_identity_connections", "").await?;
        Ok(if left <= 3.0 { Ok(()) } else { Err(format!("{left}")) })
    })
    .await?;
    service.stop().await
}

#[tokio::test]
async fn a_killed_mysql_loses_nothing_that_was_acknowledged_and_tells_nothing_else() -> Result<()> {
    let identities = Identities::new(&[]).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    let write = async |n: usize| -> Result<Answer> {
        let body = json!({"email": format!("u{n}@x.y")});
        let mut answer = None;
        until("it is written", async || {
            let now = service.keyed(USERS, &format!("k-{n}"), body.clone()).await?;
            // Never 500: what happened is known, or the client is told that it is not.
            let (status, body) = (now.status.as_u16(), now.body.clone());
            answer = Some(now);
            match status {
                201 => Ok(Ok(())),
                503 => Ok(Err(body.to_string())),
                _ => panic!("{status} {body}"),
            }
        })
        .await?;
        answer.context("no answer")
    };
    let writes = try_join_all((0..80).map(write));
    let kill = async {
        until("some are written", async || {
            let users = identities.count("SELECT COUNT(*) AS n FROM users", &[]).await?;
            Ok(if users > 5 { Ok(()) } else { Err(format!("{users}")) })
        })
        .await?;
        tokio::task::spawn_blocking(|| {
            engines(&["kill", "mysql"])?;
            engines(&["start", "mysql"])
        })
        .await?
    };
    let (answers, killed) = tokio::join!(writes, kill);
    killed?;
    let answers = answers?;
    for answer in &answers {
        service.get(&format!("{USERS}/{}", answer.id()?)).await?.must(200)?;
    }
    ensure!(identities.changes("acme").await?.len() == 2 + answers.len());
    let users = identities.count("SELECT COUNT(*) AS n FROM users", &[]).await?;
    ensure!(usize::try_from(users)? == 1 + answers.len());
    service.process().until_ready().await?;
    service.stop().await
}

/// All that is answered to some bytes until the connection ends.
async fn answered(service: &Service, sent: &str) -> Result<String> {
    let at = service.url("");
    let at = at.trim_start_matches("http://");
    let mut stream = TcpStream::connect(at).await?;
    stream.write_all(sent.as_bytes()).await?;
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.context("it is never cut off")??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn clients_that_dawdle_are_cut_off() -> Result<()> {
    let own = [("HTTP__HEADER_READ_TIMEOUT_MS", "300"), ("HTTP__REQUEST_TIMEOUT_MS", "1000")];
    let identities = Identities::new(&own).await?;
    let service = identities.start().await?;
    let slow = answered(&service, "GET /v1/tenants HTTP/1.1\r\nhost: x\r\nx-slow: ").await?;
    ensure!(slow.is_empty() || slow.starts_with("HTTP/1.1 408"), "{slow}");
    for path in ["/v1/tenants", "/scim/v2/Users", "/oauth2/token"] {
        let half = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: 1000\r\n\r\n{{"
        );
        let slow = answered(&service, &half).await?;
        ensure!(slow.starts_with("HTTP/1.1 503"), "{path}: {slow}");
    }
    service.tenant("acme").await?;
    service.stop().await
}
