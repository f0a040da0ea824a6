//! Statements that are made often find their rows by an index, also where SQLite knows nothing of a table's size.

use super::Bed;
use crate::db::{Value, params};

/// A statement; where it may read all rows, of a table or of a tenant.
const STATEMENTS: [(&str, &[&str]); 14] = [
    // The relay's round.
    (
        "SELECT DISTINCT tenant_id FROM outbox WHERE parked_at IS NOT NULL AND topic = ? \
         ORDER BY tenant_id LIMIT ?",
        &[],
    ),
    (
        "SELECT id, topic FROM outbox WHERE parked_at IS NULL \
         AND NOT (topic = ? AND tenant_id IN (?, ?)) ORDER BY id LIMIT ?",
        &["SCAN outbox"],
    ),
    (
        "SELECT topic, COUNT(*) AS parked FROM outbox WHERE parked_at IS NOT NULL GROUP BY topic",
        &["SCAN outbox USING INDEX outbox_ix_parked"],
    ),
    (
        "DELETE FROM outbox WHERE id IN (SELECT value FROM json_each(?)) \
         AND EXISTS (SELECT 1 FROM relay_leases WHERE name = ? AND holder = ? AND term = ?)",
        &["SCAN json_each VIRTUAL TABLE INDEX 1:"],
    ),
    // What a sweep asks for.
    (
        "SELECT expires_at FROM revocations WHERE expires_at <= ? ORDER BY expires_at \
         LIMIT 1 OFFSET ?",
        &[],
    ),
    ("DELETE FROM refresh_tokens WHERE expires_at <= ?", &[]),
    // Lists.
    (
        "SELECT id FROM users WHERE tenant_id = ? AND created_at >= ? \
         AND (created_at > ? OR id > ?) ORDER BY created_at ASC, id ASC LIMIT ?",
        &[],
    ),
    (
        "SELECT team_id, id FROM team_members WHERE tenant_id = ? \
         AND team_id >= ? AND (team_id > ? OR (team_id = ? AND id > ?)) ORDER BY team_id, id LIMIT ?",
        &[],
    ),
    // Teams that a team is in.
    (
        "WITH RECURSIVE above (id) AS ( \
           SELECT t.id FROM teams t WHERE t.tenant_id = ? AND t.id = ? UNION \
           SELECT m.team_id FROM above a CROSS JOIN team_members m ON m.member_team_id = a.id \
           WHERE m.tenant_id = ?) SELECT id FROM above",
        &["SCAN a", "SCAN above"],
    ),
    (
        "WITH RECURSIVE up (user_id, team_id, direct) AS ( \
           SELECT m.user_id, m.team_id, 1 FROM team_members m \
           WHERE m.tenant_id = ? AND m.user_id IN (?, ?) UNION \
           SELECT u.user_id, m.team_id, 0 FROM up u \
           CROSS JOIN team_members m ON m.member_team_id = u.team_id WHERE m.tenant_id = ?) \
         SELECT up.user_id AS user_id, t.id AS id, t.name AS name, MAX(up.direct) AS direct \
         FROM up CROSS JOIN teams t ON t.id = up.team_id WHERE t.tenant_id = ? \
         GROUP BY up.user_id, t.id, t.name ORDER BY up.user_id, t.name LIMIT ?",
        &["SCAN u", "SCAN up"],
    ),
    // Groups that somebody is in, as directories ask.
    (
        "SELECT COUNT(*) AS n FROM teams WHERE tenant_id = ? AND id IN ( \
           SELECT team_id FROM team_members WHERE (tenant_id = ? AND user_id = ?) \
           OR (tenant_id = ? AND member_team_id = ?))",
        &[],
    ),
    ("SELECT id FROM users WHERE tenant_id = ? AND external_id = ? ORDER BY id LIMIT ?", &[]),
    // Keys that somebody proves themselves with.
    (
        "SELECT k.id, (SELECT GROUP_CONCAT(scope) FROM principal_scopes p \
           WHERE p.tenant_id = k.tenant_id AND p.api_key_id = k.id) AS of_key FROM api_keys k \
         JOIN service_accounts s ON s.tenant_id = k.tenant_id AND s.id = k.service_account_id \
         JOIN tenants t ON t.id = k.tenant_id WHERE k.secret_hmac IN (?, ?) \
         UNION ALL SELECT k.id, NULL FROM api_keys k \
         JOIN service_accounts s ON s.tenant_id = k.tenant_id AND s.id = k.service_account_id \
         JOIN tenants t ON t.id = k.tenant_id WHERE k.previous_hmac IN (?, ?)",
        &[],
    ),
    ("DELETE FROM device_grants WHERE tenant_id = ? AND user_id = ?", &[]),
];

#[tokio::test]
async fn what_is_asked_often_is_found_by_an_index() {
    let bed = Bed::new().await;
    for (sql, scans) in STATEMENTS {
        let places: Vec<Value> = vec![Value::Null; sql.matches('?').count()];
        let plan = bed.db.rows(format!("EXPLAIN QUERY PLAN {sql}"), &places).await.unwrap();
        let plan: Vec<_> = plan.iter().map(|step| step.text("detail").unwrap()).collect();
        let reads_all =
            |step: &&String| step.starts_with("SCAN") || step.ends_with(" (tenant_id=?)");
        let read: Vec<_> = plan.iter().filter(reads_all).collect();
        assert_eq!(read, scans, "{sql}\n{}", plan.join("\n"));
    }
}

#[tokio::test]
async fn whatever_a_row_takes_along_is_found_by_an_index() {
    let bed = Bed::new().await;
    let sql = "SELECT m.name AS child, f.id AS number, group_concat(f.\"from\") AS columns \
               FROM sqlite_schema m, pragma_foreign_key_list(m.name) f \
               WHERE m.type = 'table' GROUP BY m.name, f.id";
    let keys = bed.db.rows(sql, params![]).await.unwrap();
    assert!(keys.len() > 10);
    for key in keys {
        let (child, columns) = (key.text("child").unwrap(), key.text("columns").unwrap());
        let holds = columns.split(',').map(|column| format!("{column} = ?")).collect::<Vec<_>>();
        let sql = format!("EXPLAIN QUERY PLAN DELETE FROM {child} WHERE {}", holds.join(" AND "));
        let plan = bed.db.rows(sql, &vec![Value::Null; holds.len()]).await.unwrap();
        let plan = plan[0].text("detail").unwrap();
        assert!(plan.starts_with(&format!("SEARCH {child}")), "{child} ({columns}): {plan}");
    }
}
