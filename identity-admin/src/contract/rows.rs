//! What the layer over the databases promises: transactions, locks, what is told of faults.

use std::time::Duration;

use super::bed::Bed;
use super::on_each_database;
use crate::db::{Db, DbError, Options, Tx, VERSION, Value, params};

on_each_database!(
    the_version_is_this_build_s_and_the_platform_s_tenant_is_there,
    what_is_committed_is_there_and_nothing_else,
    a_duplicate_names_its_field_and_undoes_its_statement_alone,
    a_missing_reference_is_told,
    what_refers_to_a_row_goes_with_it,
    a_statement_counts_the_rows_that_it_matched,
    rows_of_ids_are_deleted_if_the_condition_holds,
    ids_are_never_given_twice,
    a_snapshot_sees_one_moment_and_writes_nothing,
    who_waits_too_long_is_told_for_what,
    what_is_no_such_column_or_type_is_a_fault,
);

/// Puts a tenant in, by hand.
async fn put(tx: &mut Tx, id: &str, name: &str) -> Result<u64, DbError> {
    let sql = "INSERT INTO tenants (id, name, status, version, created_at, updated_at) \
               VALUES (?, ?, 'active', 1, ?, ?)";
    let now = chrono::DateTime::UNIX_EPOCH;
    tx.execute(sql, params![id, name, now, now]).await
}

async fn is_there(db: &Db, id: &str) -> bool {
    db.row("SELECT id FROM tenants WHERE id = ?", params![id]).await.unwrap().is_some()
}

async fn the_version_is_this_build_s_and_the_platform_s_tenant_is_there(bed: &Bed) {
    assert_eq!(bed.db.version().await.unwrap(), VERSION);
    let migrated = crate::db::migrate(&bed.options.place).await.unwrap();
    assert_eq!((migrated.from, migrated.to), (VERSION, VERSION));
    let sql = "SELECT t.name, t.status, t.version, t.created_at, c.seq FROM tenants t \
               JOIN tenant_changes c ON c.tenant_id = t.id WHERE t.id = '_system'";
    let row = bed.db.row(sql, params![]).await.unwrap().unwrap();
    assert_eq!(
        (row.text("name").unwrap(), row.text("status").unwrap()),
        ("_system".into(), "active".into())
    );
    assert_eq!((row.int("version").unwrap(), row.int("seq").unwrap()), (1, 0));
    let since: chrono::DateTime<chrono::Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(row.time("created_at").unwrap(), since);
    let sql = "SELECT expires_at FROM relay_leases WHERE holder = '' AND term = 0 AND name = ?";
    let past: chrono::DateTime<chrono::Utc> = "2000-01-01T00:00:00Z".parse().unwrap();
    // The test signed with a key of its own.
    let row = bed.db.row(sql, params!["outbox"]).await.unwrap().unwrap();
    assert_eq!(row.time("expires_at").unwrap(), past);
    assert_eq!(bed.count("SELECT COUNT(*) AS n FROM relay_leases", params![]).await, 2);
}

async fn what_is_committed_is_there_and_nothing_else(bed: &Bed) {
    let mut tx = bed.db.begin().await.unwrap();
    put(&mut tx, "a", "a").await.unwrap();
    assert!(!is_there(&bed.db, "a").await, "nobody else sees it yet");
    let own = tx.row("SELECT id FROM tenants WHERE id = 'a'", params![]).await.unwrap();
    assert!(own.is_some(), "it sees what it did");
    tx.commit().await.unwrap();
    assert!(is_there(&bed.db, "a").await);
    let mut tx = bed.db.begin().await.unwrap();
    put(&mut tx, "b", "b").await.unwrap();
    tx.rollback().await;
    // More than there are connections: each comes back, or is replaced.
    for _ in 0..10 {
        let mut tx = bed.db.begin().await.unwrap();
        put(&mut tx, "b", "b").await.unwrap();
        drop(tx);
    }
    let mut tx = bed.db.begin().await.unwrap();
    let failed: Result<(), DbError> = put(&mut tx, "b", "a").await.map(drop);
    assert!(tx.end(failed).await.is_err());
    assert!(!is_there(&bed.db, "b").await);
}

async fn a_duplicate_names_its_field_and_undoes_its_statement_alone(bed: &Bed) {
    let mut tx = bed.db.begin().await.unwrap();
    put(&mut tx, "a", "a").await.unwrap();
    for (id, name, field) in [("a", "b", "id"), ("b", "a", "name")] {
        match put(&mut tx, id, name).await {
            Err(DbError::Duplicate { field: told }) => assert_eq!(told, field, "{id} {name}"),
            other => panic!("{other:?}"),
        }
    }
    // Of a statement with several rows none is left.
    let sql = "INSERT INTO tenant_changes (tenant_id, seq) VALUES ('c', 1), ('d', 1), ('c', 2)";
    assert!(matches!(tx.execute(sql, params![]).await, Err(DbError::Duplicate { .. })));
    put(&mut tx, "e", "e").await.unwrap();
    tx.commit().await.unwrap();
    assert!(is_there(&bed.db, "a").await && is_there(&bed.db, "e").await);
    let left = "SELECT COUNT(*) AS n FROM tenant_changes WHERE tenant_id IN ('c', 'd')";
    assert_eq!(bed.count(left, params![]).await, 0);
}

async fn a_missing_reference_is_told(bed: &Bed) {
    let sql = "INSERT INTO user_settings \
               (tenant_id, user_id, locale, time_zone, preferences, version, updated_at) \
               VALUES ('acme', 'nobody', 'en', 'UTC', '{}', 1, ?)";
    let now = bed.core.clock.now();
    let mut tx = bed.db.begin().await.unwrap();
    let told = tx.execute(sql, params![now]).await;
    assert!(matches!(told, Err(DbError::MissingReference)), "{told:?}");
    put(&mut tx, "a", "a").await.unwrap();
    tx.commit().await.unwrap();
    assert!(is_there(&bed.db, "a").await);
    // A reference that is null refers to nothing.
    let sql = "INSERT INTO team_members (tenant_id, team_id, created_at) VALUES ('acme', ?, ?)";
    let team = bed.team("t").await;
    assert_eq!(bed.db.execute(sql, params![&team, now]).await.unwrap(), 1);
}

async fn what_refers_to_a_row_goes_with_it(bed: &Bed) {
    bed.user("u").await;
    let deleted = bed.db.execute("DELETE FROM tenants WHERE id = 'acme'", params![]).await;
    assert_eq!(deleted.unwrap(), 1, "what goes along is not counted");
    for table in ["users", "user_settings", "principal_scopes"] {
        let sql = format!("SELECT COUNT(*) AS n FROM {table} WHERE tenant_id = 'acme'");
        assert_eq!(bed.count(sql, params![]).await, 0, "{table}");
    }
}

async fn a_statement_counts_the_rows_that_it_matched(bed: &Bed) {
    let same = "UPDATE tenants SET status = 'active' WHERE id = ?";
    assert_eq!(bed.db.execute(same, params!["acme"]).await.unwrap(), 1, "though nothing changed");
    assert_eq!(bed.db.execute(same, params!["nobody"]).await.unwrap(), 0);
    let mut tx = bed.db.begin().await.unwrap();
    assert_eq!(tx.execute(same, params!["acme"]).await.unwrap(), 1);
    assert_eq!(tx.execute("DELETE FROM teams WHERE id = 'x'", params![]).await.unwrap(), 0);
    tx.commit().await.unwrap();
}

/// Rows of the outbox of a tenant `x`; their ids.
async fn waiting(bed: &Bed, number: usize) -> Vec<i64> {
    let rows = vec!["('audit', 'x', 'e', '{}', ?)"; number].join(", ");
    let sql = format!(
        "INSERT INTO outbox (topic, tenant_id, event_id, payload, created_at) VALUES {rows}"
    );
    let now = Value::from(bed.core.clock.now());
    bed.db.execute(sql, &vec![now; number]).await.unwrap();
    let sql = "SELECT id FROM outbox WHERE tenant_id = 'x' ORDER BY id";
    let rows = bed.db.rows(sql, params![]).await.unwrap();
    rows.iter().map(|row| row.int("id").unwrap()).collect()
}

async fn rows_of_ids_are_deleted_if_the_condition_holds(bed: &Bed) {
    let ids = waiting(bed, 5).await;
    let held = "EXISTS (SELECT 1 FROM relay_leases WHERE name = ? AND term = ?)";
    let delete = async |ids: &[i64], term: i64| {
        bed.db.delete("outbox", ids, (held, params!["outbox", term])).await.unwrap()
    };
    assert_eq!(delete(&ids, 7).await, 0, "another term");
    assert_eq!(delete(&[], 0).await, 0);
    assert_eq!(delete(&[ids[1], ids[3], i64::MAX], 0).await, 2);
    let sql = "SELECT COUNT(*) AS n FROM outbox WHERE tenant_id = 'x'";
    assert_eq!(bed.count(sql, params![]).await, 3);
}

async fn ids_are_never_given_twice(bed: &Bed) {
    let before = waiting(bed, 3).await;
    bed.db.execute("DELETE FROM outbox", params![]).await.unwrap();
    let after = waiting(bed, 1).await;
    assert!(after[0] > before[2], "{after:?} {before:?}");
}

async fn a_snapshot_sees_one_moment_and_writes_nothing(bed: &Bed) {
    let sql = "SELECT COUNT(*) AS n FROM teams";
    let counted =
        async |tx: &mut Tx| tx.row(sql, params![]).await.unwrap().unwrap().int("n").unwrap();
    let mut before = bed.db.snapshot().await.unwrap();
    bed.team("a").await;
    assert_eq!(counted(&mut before).await, 0);
    let mut after = bed.db.snapshot().await.unwrap();
    bed.team("b").await;
    assert_eq!((counted(&mut before).await, counted(&mut after).await), (0, 1));
    assert!(after.execute("DELETE FROM teams", params![]).await.is_err());
    after.rollback().await;
    before.rollback().await;
    // The connections are as they were.
    bed.team("c").await;
    assert_eq!(bed.count(sql, params![]).await, 3);
}

async fn who_waits_too_long_is_told_for_what(bed: &Bed) {
    let short = |acquire: u64| Options {
        max_open: 1,
        acquire_timeout: Duration::from_secs(acquire),
        lock_timeout: Duration::from_secs(1),
        ..bed.options.clone()
    };
    let sql = "UPDATE tenants SET version = version + 1 WHERE id = 'acme'";
    let mut tx = bed.db.begin().await.unwrap();
    tx.execute(sql, params![]).await.unwrap();
    // Another process, which waits for the row or for the file.
    let other = Db::new(&short(30));
    let held = async {
        let mut tx = other.begin().await?;
        tx.execute(sql, params![]).await
    };
    let held = held.await;
    assert!(matches!(held, Err(DbError::LockTimeout)), "{held:?}");
    assert!(is_there(&other, "acme").await, "who reads waits for nobody");
    tx.rollback().await;
    // The same process, whose connections are all in use; to open the first one takes as long at most.
    let other = Db::new(&short(2));
    let first = other.begin().await.unwrap();
    let second = other.begin().await;
    assert!(matches!(second, Err(DbError::Saturated)), "{second:?}");
    first.rollback().await;
    let mut tx = Db::new(&bed.options).begin().await.unwrap();
    assert_eq!(tx.execute(sql, params![]).await.unwrap(), 1);
    tx.commit().await.unwrap();
}

async fn what_is_no_such_column_or_type_is_a_fault(bed: &Bed) {
    let sql = "SELECT id, name, version, NULL AS absent FROM tenants WHERE id = 'acme'";
    let row = bed.db.row(sql, params![]).await.unwrap().unwrap();
    let is_fault = |error: Option<DbError>| matches!(error, Some(DbError::Refused(_)));
    assert!(is_fault(row.text("colour").err()));
    assert!(is_fault(row.text("absent").err()));
    assert!(is_fault(row.int("absent").err()));
    assert!(is_fault(row.time("absent").err()));
    assert!(row.opt_text("absent").unwrap().is_none() && row.opt_time("absent").unwrap().is_none());
    assert_eq!(row.int("version").unwrap(), 1);
    assert!(is_fault(bed.db.rows("SELECT colour FROM tenants", params![]).await.err()));
}
