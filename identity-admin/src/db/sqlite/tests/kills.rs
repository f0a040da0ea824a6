//! A process that is killed: what it acknowledged is there, and of the rest nothing or all.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rand::{Rng as _, SeedableRng as _};

use super::Bed;
use crate::db::{Db, DbError, Options, params};

/// Which file the child writes to.
const FILE: &str = "TRIAD_TEST_KILLED_FILE";
/// Rows of one transaction.
const ROWS: i64 = 20;
const KILLS: i64 = 6;

const INSERT: &str = "INSERT INTO outbox (topic, tenant_id, seq, event_id, payload, created_at) \
                      VALUES ('audit', ?, ?, ?, ?, 0)";

#[tokio::test]
async fn what_a_killed_process_acknowledged_is_there_and_nothing_half() {
    let bed = Bed::new().await;
    bed.db.close().await;
    let mut random = rand::rngs::SmallRng::seed_from_u64(rand::random());
    for kill in 0..KILLS {
        let acknowledged = killed_behind(&bed, kill, random.random_range(1..60));
        let db = Db::new(&Options::embedded(bed.path()));
        let tenant = format!("kill-{kill}");
        let sql =
            "SELECT seq, COUNT(*) AS n FROM outbox WHERE tenant_id = ? GROUP BY seq ORDER BY seq";
        let rows = db.rows(sql, params![&tenant]).await.unwrap();
        for (seq, row) in (1..).zip(&rows) {
            assert_eq!((row.int("seq").unwrap(), row.int("n").unwrap()), (seq, ROWS), "{tenant}");
        }
        let there = i64::try_from(rows.len()).unwrap();
        // The last one may have been killed between its commit and its word.
        assert!((acknowledged..=acknowledged + 1).contains(&there), "{there}, {acknowledged}");
        let whole = db.row("SELECT integrity_check AS said FROM pragma_integrity_check", params![]);
        assert_eq!(whole.await.unwrap().unwrap().text("said").unwrap(), "ok");
        db.close().await;
    }
}

/// Has a process write, and kills it behind so many acknowledgements; how many there were in all.
fn killed_behind(bed: &Bed, kill: i64, lines: usize) -> i64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "db::sqlite::tests::kills::child", "--ignored", "--nocapture"])
        .env(FILE, bed.path())
        .env("TRIAD_TEST_KILL", kill.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut numbers = said.filter_map(|line| line.unwrap().strip_prefix("done ")?.parse().ok());
    let mut last = numbers.by_ref().take(lines).last().unwrap_or(0);
    child.kill().unwrap();
    // What it said before it died counts as well.
    last = numbers.last().unwrap_or(last);
    child.wait().unwrap();
    last
}

/// The process that is killed: it commits, then says so, for ever.
#[tokio::test]
#[ignore = "is begun by another test"]
#[allow(clippy::print_stdout, reason = "it is read by its parent")]
async fn child() {
    let Some(file) = std::env::var_os(FILE) else { return };
    let tenant = format!("kill-{}", std::env::var("TRIAD_TEST_KILL").unwrap());
    let db = Db::new(&Options::embedded(file));
    for seq in 1.. {
        let mut tx = db.begin().await.unwrap();
        let written = async {
            for row in 0..ROWS {
                let payload = "x".repeat(usize::try_from(row * 100).unwrap_or(0));
                tx.execute(INSERT, params![&tenant, seq, row.to_string(), payload]).await?;
            }
            Ok::<_, DbError>(())
        };
        let written = written.await;
        tx.end(written).await.unwrap();
        println!("done {seq}");
    }
}
