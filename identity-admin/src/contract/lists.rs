//! What is read by many rows: pages, snapshots, and what is written by many: imports.

use std::fmt::Write as _;

use contracts::TenantId;
use contracts::identity::SnapshotLine;
use indicatif::ProgressBar;
use serde_json::json;

use super::bed::Bed;
use super::on_each_database;
use crate::db::params;
use crate::import::{Format, Imported, Options, import};

on_each_database!(
    what_stays_is_listed_once_page_by_page,
    an_import_does_each_row_once_and_a_snapshot_says_all_of_it,
);

async fn what_stays_is_listed_once_page_by_page(bed: &Bed) {
    let mut made = Vec::new();
    for n in 0..25 {
        if n % 4 == 0 {
            bed.step(chrono::Duration::microseconds(1));
        }
        made.push(bed.user(&format!("u{n}")).await);
    }
    for sort in ["created_at", "-created_at", "user_name", "-user_name"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/tenants/acme/users?limit=4&sort={sort}{cursor}");
            let page = bed.get(&path).await.must(200);
            for user in page.body["items"].as_array().unwrap() {
                seen.push(user["id"].as_str().unwrap().to_owned());
            }
            // What is made meanwhile may be listed; what was listed is gone.
            bed.user(&format!("{}{}", sort.replace('-', "z"), seen.len())).await;
            match page.body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        for id in &made {
            assert_eq!(seen.iter().filter(|seen| *seen == id).count(), 1, "{sort}");
        }
    }
}

/// As many rows as need several statements.
const ROWS: usize = 2500;

async fn an_import_does_each_row_once_and_a_snapshot_says_all_of_it(bed: &Bed) {
    let team = bed.team("all").await;
    bed.team("odd").await;
    let mut lines = String::new();
    for n in 0..ROWS {
        let teams = if n % 2 == 1 { json!(["all", "odd"]) } else { json!(["all"]) };
        let user = json!({"email": format!("u{n}@x.y"), "display_name": format!("Ü {n}")});
        writeln!(lines, "{}", json!({"user": user, "teams": teams})).unwrap();
    }
    // Taken, by a row of the file itself; and a team that is not there.
    writeln!(lines, "{}", json!({"user": {"email": "U1@x.y"}})).unwrap();
    writeln!(lines, "{}", json!({"user": {"email": "v@x.y"}, "teams": ["none"]})).unwrap();
    let (input, results) = (bed.folder.path().join("in"), bed.folder.path().join("out"));
    std::fs::write(&input, lines).unwrap();
    let acme = TenantId::parse("acme").unwrap();
    let once = async || {
        let options = Options { format: Format::Ndjson, batch: ROWS + 2 };
        let bar = ProgressBar::hidden();
        import(&bed.core, &acme, (&input, &results), options, &bar).await.unwrap()
    };
    let rows = ROWS as u64;
    let done = Imported { resumed_behind: 0, rows: rows + 2, created: rows, refused: 2 };
    assert_eq!(once().await, done);
    assert_eq!(once().await.rows, 0);
    // What was done is found by its key, also without its results.
    std::fs::remove_file(&results).unwrap();
    assert_eq!(once().await, done);
    let members = "SELECT COUNT(*) AS n FROM team_members WHERE team_id = ?";
    assert_eq!(usize::try_from(bed.count(members, params![&team]).await).unwrap(), ROWS);
    let changes = bed.changes("acme").await;
    let told = bed.get("/v1/tenants/acme/snapshot").await.must(200);
    let lines: Vec<SnapshotLine> =
        told.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let SnapshotLine::Header { seq, .. } = &lines[0] else { panic!("{:?}", lines[0]) };
    assert_eq!(*seq, changes.last().unwrap().seq);
    let users = lines.iter().filter(|line| matches!(line, SnapshotLine::User(_))).count();
    let members = lines.iter().filter(|line| matches!(line, SnapshotLine::Member(_))).count();
    // The administrator is in no team.
    assert_eq!((users, members), (ROWS + 1, ROWS + ROWS / 2));
    assert!(matches!(lines.last(), Some(SnapshotLine::End { .. })));
}
