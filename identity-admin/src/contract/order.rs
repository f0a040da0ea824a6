//! How values are kept, compared and sorted: alike on every database, byte for byte and to the microsecond.

use chrono::{DateTime, Duration, Utc};

use super::bed::Bed;
use super::on_each_database;
use crate::db::{DbError, Value, exact, params};

on_each_database!(
    times_are_kept_to_the_microsecond_and_sort_as_they_are,
    text_sorts_by_its_bytes,
    text_of_another_case_or_accent_is_another,
    bytes_and_documents_are_kept_as_they_are,
    what_is_absent_is_no_duplicate,
);

/// Out of order.
const TIMES: [&str; 8] = [
    "2026-11-22T14:03:07.123457Z",
    "1969-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.999999Z",
    "2026-11-22T14:03:07.123456Z",
    "1970-01-01T00:00:00Z",
    "2038-01-19T03:14:08Z",
    "1000-01-01T00:00:00.000001Z",
    "2026-11-22T14:03:07Z",
];

async fn times_are_kept_to_the_microsecond_and_sort_as_they_are(bed: &Bed) {
    let mut times: Vec<DateTime<Utc>> = TIMES.iter().map(|time| time.parse().unwrap()).collect();
    let sql = "INSERT INTO revocations (tenant_id, kind, value, not_before, expires_at) \
               VALUES ('acme', 'x', ?, ?, ?)";
    for (number, time) in times.iter().enumerate() {
        // What is less than a microsecond is cut off.
        let more = *time + Duration::nanoseconds(999);
        bed.db.execute(sql, params![number.to_string(), *time, more]).await.unwrap();
    }
    times.sort();
    let sql = "SELECT not_before, expires_at FROM revocations WHERE kind = 'x' ORDER BY expires_at";
    let rows = bed.db.rows(sql, params![]).await.unwrap();
    for (row, time) in rows.iter().zip(&times) {
        assert_eq!(row.time("not_before").unwrap(), *time);
        assert_eq!(row.opt_time("expires_at").unwrap(), Some(*time));
    }
    let sql = "SELECT COUNT(*) AS n FROM revocations WHERE kind = 'x' AND expires_at <= ?";
    for (before, time) in (1..).zip(&times) {
        assert_eq!(bed.count(sql, params![*time]).await, before, "{time}");
    }
}

async fn text_sorts_by_its_bytes(bed: &Bed) {
    let mut names = [
        "a",
        "B",
        "A",
        "b",
        "Z",
        "z",
        "ä",
        "Ä",
        "é",
        "ß",
        "ss",
        "a-b",
        "a_b",
        "ab",
        "a b",
        "10",
        "9",
        "%",
        "日本",
        "ﬀ",
        "\u{10ffff}",
        "😀",
        "\u{e000}",
        "~",
    ];
    for name in names {
        bed.team(name).await;
    }
    names.sort_unstable();
    for (direction, reverse) in [("", false), ("-", true)] {
        let path = format!("/v1/tenants/acme/teams?limit=100&sort={direction}name");
        let listed = bed.get(&path).await.must(200);
        let mut listed: Vec<_> = listed.body["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|team| team["name"].as_str().unwrap().to_owned())
            .collect();
        if reverse {
            listed.reverse();
        }
        assert_eq!(listed, names);
    }
    let sql = "SELECT COUNT(*) AS n FROM teams WHERE name > ?";
    for (at, name) in names.iter().enumerate() {
        let behind = i64::try_from(names.len() - at - 1).unwrap();
        assert_eq!(bed.count(sql, params![*name]).await, behind, "{name}");
    }
}

async fn text_of_another_case_or_accent_is_another(bed: &Bed) {
    let sql = "INSERT INTO tenant_changes (tenant_id, seq) VALUES (?, 0)";
    for id in ["x", "X", "é", "e", "É", "x%", "x_"] {
        assert_eq!(bed.db.execute(sql, params![id]).await.unwrap(), 1, "{id}");
    }
    let again = bed.db.execute(sql, params!["é"]).await;
    assert!(matches!(again, Err(DbError::Duplicate { .. })), "{again:?}");
    let sql = "SELECT tenant_id FROM tenant_changes WHERE tenant_id = ?";
    let row = bed.db.row(sql, params!["X"]).await.unwrap().unwrap();
    assert_eq!(row.text("tenant_id").unwrap(), "X");
    // Ids that others gave count with the space at their end.
    let (user, other) = (bed.user("u").await, bed.user("o").await);
    let sql = "UPDATE users SET external_id = ? WHERE id = ?";
    for (user, external) in [(&user, "7"), (&other, "7 ")] {
        bed.db.execute(sql, params![exact(Some(external)), user]).await.unwrap();
    }
    let sql = "SELECT id, external_id FROM users WHERE external_id = ?";
    let rows = bed.db.rows(sql, params![exact(Some("7 "))]).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].text("id").unwrap(), other);
    assert_eq!(rows[0].opt_text("external_id").unwrap().as_deref(), Some("7 "));
}

async fn bytes_and_documents_are_kept_as_they_are(bed: &Bed) {
    let large: Vec<u8> =
        (0..8 << 20).map(|n: u32| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let sql = "INSERT INTO idempotency_keys (id, tenant_id, fingerprint, answer, seq, expires_at) \
               VALUES (?, 'acme', ?, ?, 1, ?)";
    let now = bed.core.clock.now();
    for (id, answer) in [([1_u8; 32], large.clone()), ([0; 32], Vec::new())] {
        bed.db.execute(sql, params![&id, &[0xff_u8; 32], answer, now]).await.unwrap();
    }
    let sql = "SELECT answer, key_id, fingerprint FROM idempotency_keys WHERE id = ?";
    let row = bed.db.row(sql, params![&[1; 32]]).await.unwrap().unwrap();
    assert!(row.bytes("answer").unwrap() == large);
    assert_eq!(row.bytes("fingerprint").unwrap(), [0xff; 32]);
    assert_eq!(row.opt_text("key_id").unwrap(), None);
    let row = bed.db.row(sql, params![&[0; 32]]).await.unwrap().unwrap();
    assert!(row.bytes("answer").unwrap().is_empty());
    // Bytes of a text, not its characters.
    let text = "日本\n\"\\😀".repeat(10_000);
    let document = serde_json::json!({ "text": text }).to_string();
    let sql = "INSERT INTO outbox (topic, tenant_id, event_id, payload, created_at) \
               VALUES ('audit', 'x', 'e', ?, ?)";
    bed.db.execute(sql, params![&document, now]).await.unwrap();
    let sql = "SELECT payload, OCTET_LENGTH(payload) AS n FROM outbox WHERE tenant_id = 'x'";
    let row = bed.db.row(sql, params![]).await.unwrap().unwrap();
    assert_eq!(usize::try_from(row.int("n").unwrap()).unwrap(), document.len());
    assert_eq!(row.json::<serde_json::Value>("payload").unwrap()["text"], text);
}

async fn what_is_absent_is_no_duplicate(bed: &Bed) {
    let sql = "INSERT INTO users (id, tenant_id, email, hashed_password, user_name, user_name_key, \
               is_active, attributes, version, created_at, updated_at) \
               VALUES (?, 'acme', ?, '!', ?, ?, ?, '{}', 1, ?, ?)";
    let now = bed.core.clock.now();
    for id in ["a", "b"] {
        let email: Value = None::<&str>.into();
        let active = id == "a";
        bed.db.execute(sql, params![id, email, id, id, active, now, now]).await.unwrap();
    }
    let sql = "SELECT id, is_active, email FROM users WHERE email IS NULL AND is_active = ?";
    for (active, id) in [(true, "a"), (false, "b")] {
        let rows = bed.db.rows(sql, params![active]).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].text("id").unwrap(), id);
        assert_eq!(rows[0].flag("is_active").unwrap(), active);
    }
}
