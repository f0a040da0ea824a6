//! Files that are new, old, another's, full, or no database.

use futures::future::try_join_all;

use super::Bed;
use crate::db::sqlite::migrate::stored;
use crate::db::{Db, DbError, Options, Place, Schema, VERSION, migrate, params};

const GROW: &str = "INSERT INTO outbox (topic, tenant_id, event_id, payload, created_at) \
                    VALUES ('audit', 'x', 'e', ?, 0)";

async fn rows(db: &Db) -> i64 {
    let row = db.row("SELECT COUNT(*) AS n FROM outbox", params![]).await.unwrap();
    row.unwrap().int("n").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_run_once_however_many_begin_them() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Sqlite(folder.path().join("new.db"));
    let all = try_join_all((0..6).map(|_| migrate(&place))).await.unwrap();
    assert!(all.iter().all(|migrated| migrated.to == VERSION), "{all:?}");
    assert_eq!(all.iter().filter(|migrated| migrated.from == 0).count(), 1, "{all:?}");
}

#[tokio::test]
async fn its_owner_alone_reads_a_file_and_what_lies_beside_it() {
    let bed = Bed::new().await;
    bed.db.execute(GROW, params!["{}"]).await.unwrap();
    #[cfg(unix)]
    for ending in ["", "-wal", "-shm"] {
        let path = format!("{}{ending}", bed.path().display());
        let mode = std::fs::metadata(path).unwrap().permissions();
        let mode = std::os::unix::fs::PermissionsExt::mode(&mode);
        assert_eq!(mode & 0o777, 0o600, "{ending}");
    }
}

#[tokio::test]
async fn a_commit_is_on_the_disk_before_it_is_told() {
    let bed = Bed::new().await;
    let setting = async |name: &str| {
        let row = bed.db.row(format!("SELECT {name} AS n FROM pragma_{name}"), params![]).await;
        row.unwrap().unwrap()
    };
    assert_eq!(setting("journal_mode").await.text("n").unwrap(), "wal");
    // FULL.
    assert_eq!(setting("synchronous").await.int("n").unwrap(), 2);
    assert_eq!(setting("foreign_keys").await.int("n").unwrap(), 1);
}

#[tokio::test]
async fn a_file_of_a_newer_build_is_refused_and_left_as_it_is() {
    let bed = Bed::new().await;
    let newer = format!("PRAGMA user_version = {}", VERSION + 1);
    bed.db.execute(newer, params![]).await.unwrap();
    bed.db.close().await;
    let before = std::fs::read(bed.path()).unwrap();
    match migrate(&bed.place()).await {
        Err(DbError::Refused(why)) => assert!(why.contains("a newer build"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(std::fs::read(bed.path()).unwrap() == before);
    assert_eq!(Db::new(&Options::embedded(bed.path())).version().await.unwrap(), VERSION + 1);
}

#[tokio::test]
async fn a_file_of_a_newer_build_that_serves_this_one_is_worked_on_as_it_is() {
    let bed = Bed::new().await;
    let schema = Schema { version: VERSION + 1, serves_from: VERSION };
    let newer = format!("PRAGMA user_version = {}", stored(schema));
    bed.db.execute(newer, params![]).await.unwrap();
    let migrated = migrate(&bed.place()).await.unwrap();
    assert_eq!((migrated.from, migrated.to), (VERSION + 1, VERSION + 1));
    assert_eq!(bed.db.schema().await.unwrap(), schema);
    assert!(schema.serves());
    bed.db.execute(GROW, params!["{}"]).await.unwrap();
    // The next one does not.
    let other = Schema { version: VERSION + 2, serves_from: VERSION + 1 };
    bed.db.execute(format!("PRAGMA user_version = {}", stored(other)), params![]).await.unwrap();
    assert_eq!(bed.db.schema().await.unwrap(), other);
    assert!(matches!(migrate(&bed.place()).await, Err(DbError::Refused(_))));
}

#[tokio::test]
async fn a_file_that_is_another_program_s_or_no_database_is_refused() {
    let bed = Bed::new().await;
    bed.db.execute("PRAGMA application_id = 7", params![]).await.unwrap();
    bed.db.close().await;
    match migrate(&bed.place()).await {
        Err(DbError::Refused(why)) => assert!(why.contains("another program"), "{why}"),
        other => panic!("{other:?}"),
    }
    let text = bed.folder.path().join("text");
    std::fs::write(&text, "no database at all ".repeat(100)).unwrap();
    let refused = migrate(&Place::Sqlite(text.clone())).await;
    assert!(matches!(refused, Err(DbError::Storage(_))), "{refused:?}");
    let read = Db::new(&Options::embedded(text)).version().await;
    assert!(matches!(read, Err(DbError::Storage(_))), "{read:?}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_made_by_opening_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.db");
    let db = Db::new(&Options::embedded(&path));
    assert!(matches!(db.version().await, Err(DbError::Lost(_))));
    assert!(matches!(db.begin().await, Err(DbError::Lost(_))));
    assert!(!path.exists());
    let nowhere = Place::Sqlite(folder.path().join("no/such/folder.db"));
    assert!(matches!(migrate(&nowhere).await, Err(DbError::Lost(_))));
    // Once it is made, the same connections find it.
    migrate(&Place::Sqlite(path)).await.unwrap();
    assert_eq!(db.version().await.unwrap(), VERSION);
}

#[tokio::test]
async fn a_full_disk_undoes_the_whole_transaction_and_is_told() {
    let bed = Bed::new().await;
    bed.db.execute(GROW, params!["{}"]).await.unwrap();
    // As full as it is: of the one connection that writes.
    let pages = bed.db.row("SELECT page_count AS n FROM pragma_page_count", params![]).await;
    let pages = pages.unwrap().unwrap().int("n").unwrap();
    bed.db.execute(format!("PRAGMA max_page_count = {pages}"), params![]).await.unwrap();
    let mut tx = bed.db.begin().await.unwrap();
    tx.execute(GROW, params!["{}"]).await.unwrap();
    let full = tx.execute(GROW, params!["x".repeat(100_000)]).await;
    assert!(matches!(&full, Err(DbError::Storage(why)) if why.contains("full")), "{full:?}");
    // What would be committed by itself now is not even tried.
    assert!(tx.execute(GROW, params!["{}"]).await.is_err());
    assert!(tx.commit().await.is_err());
    assert_eq!(rows(&bed.db).await, 1);
    // There is room again.
    bed.db.execute(GROW, params!["x".repeat(100_000)]).await.unwrap();
    assert_eq!(rows(&bed.db).await, 2);
}

#[tokio::test]
async fn a_read_only_disk_is_told() {
    let bed = Bed::new().await;
    bed.db.execute("PRAGMA query_only = ON", params![]).await.unwrap();
    let refused = bed.db.execute(GROW, params!["{}"]).await;
    assert!(matches!(refused, Err(DbError::Storage(_))), "{refused:?}");
    bed.db.execute(GROW, params!["{}"]).await.unwrap();
}

#[tokio::test]
async fn a_broken_file_is_told() {
    let bed = Bed::new().await;
    for _ in 0..50 {
        bed.db.execute(GROW, params!["x".repeat(4000)]).await.unwrap();
    }
    bed.db.close().await;
    let mut bytes = std::fs::read(bed.path()).unwrap();
    // All but the first page, which says that it is a database.
    bytes[4096..].fill(0x5a);
    std::fs::write(bed.path(), bytes).unwrap();
    let db = Db::new(&Options::embedded(bed.path()));
    let read = db.rows("SELECT payload FROM outbox ORDER BY id", params![]).await;
    assert!(matches!(read, Err(DbError::Storage(_))), "{read:?}");
    let written = db.execute(GROW, params!["{}"]).await;
    assert!(matches!(written, Err(DbError::Storage(_))), "{written:?}");
}
