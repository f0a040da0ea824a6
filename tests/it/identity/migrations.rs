//! Migrations: repeatable, at once, interrupted; and a service that waits for its version.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use identity_admin::db::{VERSION, migrate};

use super::Identities;
use crate::process::free_port;
use crate::world::until;

#[tokio::test]
async fn migrations_run_once_however_many_begin_them() -> Result<()> {
    let identities = Identities::empty(&[])?;
    let all = try_join_all((0..6).map(|_| migrate(&identities.place))).await?;
    ensure!(all.iter().all(|migrated| migrated.to == VERSION), "{all:?}");
    ensure!(all.iter().filter(|migrated| migrated.from == 0).count() == 1, "{all:?}");
    let again = identities.command()?.arg("migrate").output()?;
    ensure!(again.status.success(), "{again:?}");
    let said = String::from_utf8(again.stdout)?;
    ensure!(said.ends_with(&format!("is at version {VERSION}\n")), "{said}");
    ensure!(identities.db.version().await? == VERSION);
    Ok(())
}

#[tokio::test]
async fn a_migration_that_was_interrupted_anywhere_is_gone_on_with() -> Result<()> {
    let identities = Identities::new(&[]).await?;
    // As a crash leaves it: marked as begun, and some of its tables made.
    let cases = [(5, &["signing_keys"][..]), (7, &["device_grants"][..]), (7, &[][..])];
    for (version, lost) in cases {
        for table in lost {
            identities.db.execute(format!("DROP TABLE {table}"), &[]).await?;
        }
        let begun = "UPDATE _sqlx_migrations SET success = FALSE WHERE version = ?";
        identities.db.execute(begun, &[i64::from(version).into()]).await?;
        ensure!(identities.db.version().await? == 0);
        let migrated = migrate(&identities.place).await?;
        ensure!(migrated.to == VERSION, "{migrated:?}");
        ensure!(identities.db.version().await? == VERSION);
        for table in lost {
            let rows = identities.db.rows(format!("SELECT 1 AS n FROM {table}"), &[]).await?;
            ensure!(rows.is_empty());
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_seed_s_rows_are_kept_and_get_what_they_lack() -> Result<()> {
    let identities = Identities::new(&[]).await?;
    // Back to where the seed's schema stood alone, with a row of each.
    let tables = [
        "team_members",
        "teams",
        "refresh_tokens",
        "device_grants",
        "principal_scopes",
        "api_keys",
        "service_accounts",
        "user_settings",
        "signing_keys",
        "login_attempts",
        "revocations",
        "idempotency_keys",
        "relay_leases",
        "outbox",
        "tenant_changes",
        "users",
        "tenants",
        "_sqlx_migrations",
    ];
    for table in tables {
        identities.db.execute(format!("DROP TABLE {table}"), &[]).await?;
    }
    let seed = include_str!("../../../identity-admin/migrations/mysql/0001_seed.sql");
    for statement in seed.split_inclusive(";\n").filter(|s| !s.trim().is_empty()) {
        identities.db.execute(statement, &[]).await?;
    }
    let rows = [
        "INSERT INTO tenants (id, name) VALUES ('acme', 'Acme')",
        "INSERT INTO users (id, tenant_id, email, hashed_password) VALUES ('u', 'acme', 'a@b.c', 'h')",
    ];
    for row in rows {
        identities.db.execute(row, &[]).await?;
    }
    // sqlx holds that the first was applied, as the one who made the seed's tables would say.
    let fresh = Identities::new(&[]).await?;
    let sum =
        fresh.db.row("SELECT checksum, description FROM _sqlx_migrations WHERE version = 1", &[]);
    let sum = sum.await?.context("no migration")?.bytes("checksum")?;
    identities
        .db
        .execute(
            "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, \
        description TEXT NOT NULL, installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, \
        success BOOLEAN NOT NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)",
            &[],
        )
        .await?;
    let applied = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
        VALUES (1, 'seed', TRUE, ?, 0)";
    identities.db.execute(applied, &[sum.into()]).await?;
    ensure!(migrate(&identities.place).await?.from == 1);
    let service = identities.start().await?;
    let user = service.get("/v1/tenants/acme/users/by-email/A@b.c").await?.must(200)?;
    ensure!(user.body["user_name"] == "a@b.c" && user.body["active"] == true, "{}", user.body);
    service.get("/v1/tenants/acme/users/u/settings").await?.must(200)?;
    service.user("acme", "next").await?;
    ensure!(identities.changes("acme").await?.len() == 1);
    service.stop().await
}

#[tokio::test]
async fn who_starts_beside_a_newer_schema_that_serves_it_is_ready() -> Result<()> {
    let identities = Identities::new(&[]).await?;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
        VALUES (?, ?, TRUE, '', 0)";
    let (version, says) = (VERSION + 1, format!("labels, serves from {VERSION}"));
    identities.db.execute(newer, &[version.into(), says.as_str().into()]).await?;
    let migrated = migrate(&identities.place).await?;
    ensure!((migrated.from, migrated.to) == (version, version), "{migrated:?}");
    let service = identities.start().await?;
    service.tenant("acme").await?;
    service.stop().await
}

#[tokio::test]
async fn who_began_at_its_version_goes_on_beside_the_next_and_who_starts_then_waits() -> Result<()>
{
    let identities = Identities::new(&[]).await?;
    let service = identities.start().await?;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
        VALUES (99, 'newer', TRUE, '', 0)";
    identities.db.execute(newer, &[]).await?;
    // What a newer build migrated is not for this one.
    ensure!(migrate(&identities.place).await.is_err());
    let ports = [free_port()?, free_port()?];
    let probe = format!("http://127.0.0.1:{}/readyz", ports[1]);
    let mended = async {
        let waits = async |why: &str| {
            until("who starts says why it waits", async || {
                let said = service.process().client.get(&probe).send().await?.text().await?;
                Ok(if said.contains(why) { Ok(()) } else { Err(said) })
            })
            .await
        };
        waits("schema version 99").await?;
        ensure!(service.process().is_ready().await?, "who was there before goes on");
        // Half-way; whoever looks each second has looked when it has said so and taken it back.
        for success in [false, true, false] {
            let half = "UPDATE _sqlx_migrations SET success = ? WHERE version = 99";
            identities.db.execute(half, &[success.into()]).await?;
            waits(if success { "schema version 99" } else { "schema version 0" }).await?;
            ensure!(service.process().is_ready().await?, "also while they are run");
        }
        let back = "DELETE FROM _sqlx_migrations WHERE version = 99";
        anyhow::Ok(identities.db.execute(back, &[]).await?)
    };
    let (late, mended) = tokio::join!(identities.start_on(ports), mended);
    mended?;
    late?.stop().await?;
    service.stop().await
}
