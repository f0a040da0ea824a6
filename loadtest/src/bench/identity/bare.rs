//! The same statements by the bare driver: sqlx with nothing around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{NaiveDateTime, Utc};
use sqlx::mysql::{MySqlPool, MySqlRow};
use sqlx::{Row as _, SqlSafeStr as _};
use tokio::task::JoinSet;

/// Does `work` for each number from 0 on `connections` at once; how often a second.
async fn drive<F: Future<Output = anyhow::Result<()>> + Send>(
    connections: usize,
    span: Duration,
    work: impl Fn(u64) -> F + Send + Sync + 'static,
) -> anyhow::Result<f64> {
    let (work, next) = (Arc::new(work), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..connections {
        let (work, next) = (Arc::clone(&work), Arc::clone(&next));
        callers.spawn(async move {
            let mut done = 0_u64;
            while begun.elapsed() < span {
                work(next.fetch_add(1, Ordering::Relaxed)).await?;
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    let mut all = 0;
    while let Some(caller) = callers.join_next().await {
        all += caller??;
    }
    Ok(all as f64 / begun.elapsed().as_secs_f64())
}

/// Makes the tenants that [`create`] writes to, where they are not.
pub(super) async fn tenants(pool: &MySqlPool, tenants: u64) -> anyhow::Result<()> {
    for number in 0..tenants {
        let id = super::tenant(number);
        let sql = "INSERT IGNORE INTO tenants (id, name, status, version, created_at, updated_at) \
                   VALUES (?, ?, 'active', 1, NOW(6), NOW(6))";
        sqlx::query(sql.into_sql_str()).bind(&id).bind(&id).execute(pool).await?;
        let sql = "INSERT IGNORE INTO tenant_changes (tenant_id, seq) VALUES (?, 1)";
        sqlx::query(sql.into_sql_str()).bind(&id).execute(pool).await?;
    }
    Ok(())
}

/// Users created a second: the statements of a creation with an Idempotency-Key, in their order.
pub(super) async fn create(
    pool: &MySqlPool,
    tenants: u64,
    connections: usize,
    span: Duration,
) -> anyhow::Result<f64> {
    let pool = pool.clone();
    drive(connections, span, move |number| {
        let pool = pool.clone();
        async move { one(&pool, &super::tenant(number % tenants)).await }
    })
    .await
}

async fn one(pool: &MySqlPool, tenant: &str) -> anyhow::Result<()> {
    let (id, now) = (uuid::Uuid::new_v4(), Utc::now().naive_utc());
    let (user, mail, key) =
        (id.to_string(), format!("{id}@bare.example"), [*id.as_bytes(); 2].concat());
    let event = format!("{:0<400}", format!("{{\"event_id\":\"{id}\",\"tenant_id\":\"{tenant}\""));
    let mut tx = pool.begin().await?;
    let sql = "UPDATE tenant_changes SET seq = seq + 1 WHERE tenant_id = ?";
    sqlx::query(sql.into_sql_str()).bind(tenant).execute(&mut *tx).await?;
    let sql = "SELECT fingerprint, answer, key_id, seq FROM idempotency_keys \
               WHERE id = ? AND expires_at > ?";
    sqlx::query(sql.into_sql_str()).bind(&key).bind(now).fetch_optional(&mut *tx).await?;
    let sql = "SELECT c.seq FROM tenant_changes c JOIN tenants t ON t.id = c.tenant_id \
               WHERE c.tenant_id = ?";
    let row = sqlx::query(sql.into_sql_str()).bind(tenant).fetch_one(&mut *tx).await?;
    let seq: i64 = row.get(0);
    let sql = "INSERT INTO users (id, tenant_id, email, hashed_password, user_name, user_name_key, \
               display_name, external_id, scim, is_active, attributes, version, created_at, updated_at) \
               VALUES (?, ?, ?, '!', ?, ?, NULL, NULL, NULL, 1, '{}', 1, ?, ?)";
    let insert = sqlx::query(sql.into_sql_str()).bind(&user).bind(tenant).bind(&mail);
    insert.bind(&mail).bind(&mail).bind(now).bind(now).execute(&mut *tx).await?;
    let sql = "INSERT INTO user_settings \
               (tenant_id, user_id, locale, time_zone, preferences, version, updated_at) \
               VALUES (?, ?, 'en', 'UTC', '{}', 1, ?)";
    let insert = sqlx::query(sql.into_sql_str()).bind(tenant).bind(&user);
    insert.bind(now).execute(&mut *tx).await?;
    let sql = "INSERT INTO outbox (topic, tenant_id, seq, event_id, payload, created_at) \
               VALUES (?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?)";
    let mut insert = sqlx::query(sql.into_sql_str());
    for topic in ["changes", "audit"] {
        insert = insert.bind(topic).bind(tenant).bind(seq).bind(&user).bind(&event).bind(now);
    }
    insert.execute(&mut *tx).await?;
    let sql = "INSERT INTO idempotency_keys \
               (id, tenant_id, fingerprint, answer, key_id, seq, expires_at) \
               VALUES (?, ?, ?, ?, NULL, ?, ?)";
    let insert = sqlx::query(sql.into_sql_str()).bind(&key).bind(tenant).bind(&key);
    insert.bind(event.as_bytes()).bind(seq).bind(now).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// What [`create`] left for a relay that there is none of.
pub(super) async fn forget(pool: &MySqlPool) -> anyhow::Result<()> {
    sqlx::query("TRUNCATE outbox".into_sql_str()).execute(pool).await?;
    Ok(())
}

/// Users read a second, by id and by address in turns, every column of them.
pub(super) async fn read(
    pool: &MySqlPool,
    users: &Arc<Vec<super::Known>>,
    connections: usize,
    span: Duration,
) -> anyhow::Result<f64> {
    let (pool, users) = (pool.clone(), Arc::clone(users));
    drive(connections, span, move |number| {
        let (pool, users) = (pool.clone(), Arc::clone(&users));
        async move {
            let known = &users[number as usize % users.len()];
            let (by, value) =
                if number % 2 == 0 { ("id", &known.id) } else { ("email", &known.email) };
            let sql = format!(
                "SELECT id, tenant_id, email, user_name, user_name_key, display_name, external_id, scim, \
                 is_active, attributes, version, created_at, updated_at FROM users WHERE tenant_id = ? AND {by} = ?"
            );
            let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(&known.tenant).bind(value);
            columns(&query.fetch_one(&pool).await?)
        }
    })
    .await
}

fn columns(row: &MySqlRow) -> anyhow::Result<()> {
    for text in 0..5 {
        row.try_get::<Option<String>, _>(text)?;
    }
    row.try_get::<Option<Vec<u8>>, _>(6)?;
    row.try_get::<Option<String>, _>(7)?;
    row.try_get::<bool, _>(8)?;
    row.try_get::<String, _>(9)?;
    row.try_get::<i64, _>(10)?;
    row.try_get::<NaiveDateTime, _>(11)?;
    row.try_get::<NaiveDateTime, _>(12)?;
    Ok(())
}
