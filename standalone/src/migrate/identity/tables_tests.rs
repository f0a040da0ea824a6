use identity_admin::db::{Db, Options, migrate};

use super::*;

/// A column that a migration adds must be added above, or it would be left behind.
#[tokio::test]
async fn every_column_of_the_schema_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::embedded(folder.path().join("identity.db"));
    migrate(&options.place).await.unwrap();
    let db = Db::new(&options);
    let sql = "SELECT m.name AS owner, c.name AS name, c.type AS type, c.pk AS pk \
               FROM sqlite_schema m JOIN pragma_table_info(m.name) c \
               WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'";
    let mut found = std::collections::BTreeMap::<String, Vec<_>>::new();
    for row in db.rows(sql, &[]).await.unwrap() {
        let column = (row.text("name").unwrap(), row.text("type").unwrap(), row.int("pk").unwrap());
        found.entry(row.text("owner").unwrap()).or_default().push(column);
    }
    LEFT.iter().for_each(|left| drop(found.remove(*left).unwrap()));
    for table in TABLES {
        let mut columns = found.remove(table.name).unwrap();
        let mut own: Vec<_> = (1..)
            .zip(table.columns)
            .map(|(at, (name, kind))| {
                let type_ = match kind {
                    Kind::Text => "TEXT",
                    Kind::Bytes => "BLOB",
                    Kind::Int | Kind::Time => "INTEGER",
                };
                let pk = if at <= table.key { i64::try_from(at).unwrap() } else { 0 };
                ((*name).to_owned(), type_.to_owned(), pk)
            })
            .collect();
        columns.sort();
        own.sort();
        assert_eq!(columns, own, "{}", table.name);
    }
    assert!(found.is_empty(), "{found:?}");
}
