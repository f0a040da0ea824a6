//! SQLite's tables are MySQL's: what the migrations of both lead to is compared, and with what errors are read by.

use std::collections::{BTreeMap, BTreeSet};

use super::Bed;
use crate::db::sqlite::FIELDS;
use crate::db::{Row, VERSION, params};

const MYSQL: [&str; 8] = [
    include_str!("../../../../migrations/mysql/0001_seed.sql"),
    include_str!("../../../../migrations/mysql/0002_widen_seed.sql"),
    include_str!("../../../../migrations/mysql/0003_changes.sql"),
    include_str!("../../../../migrations/mysql/0004_identities.sql"),
    include_str!("../../../../migrations/mysql/0005_credentials.sql"),
    include_str!("../../../../migrations/mysql/0006_relay.sql"),
    include_str!("../../../../migrations/mysql/0007_people.sql"),
    include_str!("../../../../migrations/mysql/0008_scim.sql"),
];

/// What matters of a table.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    /// By name, whether it may be absent.
    columns: BTreeMap<String, bool>,
    /// Columns, as `a,b`.
    primary: String,
    /// By field, columns.
    unique: BTreeMap<String, String>,
    /// `a,b>table(c,d)`; all of them cascade.
    references: BTreeSet<String>,
}

type Tables = BTreeMap<String, Table>;

/// The parts between commas that stand in no parentheses.
fn parts(text: &str) -> Vec<String> {
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(letter);
    }
    parts.iter().map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The text within the first parentheses, without spaces, and what follows them.
fn within(text: &str) -> (String, &str) {
    let (_, rest) = text.split_once('(').unwrap();
    let (inside, rest) = rest.split_once(')').unwrap();
    (inside.replace(' ', ""), rest)
}

impl Table {
    /// Takes one part of a CREATE or ALTER TABLE.
    fn take(&mut self, part: &str) {
        let part = part.strip_prefix("ADD ").unwrap_or(part);
        let words: Vec<&str> = part.split([' ', '(']).collect();
        match words[..] {
            ["PRIMARY", "KEY", ..] => self.primary = within(part).0,
            // The seed's have the name of their first column.
            ["UNIQUE", column, ..] if column != "INDEX" => {
                self.unique.insert(column.trim_matches([',', ')']).to_owned(), within(part).0);
            }
            ["UNIQUE", "INDEX", name, ..] => {
                self.unique.insert(name.strip_prefix("uq_").unwrap().to_owned(), within(part).0);
            }
            ["RENAME", "INDEX", old, "TO", new] => {
                let columns = self.unique.remove(old).unwrap();
                self.unique.insert(new.strip_prefix("uq_").unwrap().to_owned(), columns);
            }
            ["CONSTRAINT", _, "FOREIGN", ..] | ["FOREIGN", ..] => {
                let (own, rest) = within(part);
                let (table, _) = rest.trim_start_matches(" REFERENCES ").split_once('(').unwrap();
                let (theirs, rest) = within(rest);
                assert_eq!(rest, " ON DELETE CASCADE", "{part}");
                self.references.insert(format!("{own}>{}({theirs})", table.trim()));
            }
            ["DROP", "COLUMN", name] => drop(self.columns.remove(name).unwrap()),
            ["INDEX" | "DEFAULT" | "DROP", ..] => {}
            ["COLUMN" | "MODIFY", name, ..] | [name, ..] => {
                let is_primary = part.contains("PRIMARY KEY");
                if is_primary {
                    self.primary = name.to_owned();
                }
                let absent = !is_primary && !part.contains("NOT NULL");
                self.columns.insert(name.to_owned(), absent);
            }
            [] => {}
        }
    }
}

fn of_mysql() -> Tables {
    let mut tables = Tables::new();
    for migration in MYSQL {
        let lines = migration.lines().filter(|line| !line.starts_with("--"));
        let text = lines.collect::<Vec<_>>().join("\n");
        for statement in text.split(";\n").map(|s| s.trim().trim_end_matches(';')) {
            let words: Vec<&str> = statement.split_whitespace().take(5).collect();
            let what = match words[..] {
                ["CREATE", "TABLE", ..] => {
                    let (_, rest) = statement.split_once('(').unwrap();
                    rest.rsplit_once(')').unwrap().0
                }
                ["ALTER", "TABLE", name, ..] => statement.split_once(name).unwrap().1,
                ["DROP", "TABLE", "IF", "EXISTS", name] => {
                    tables.remove(name).unwrap();
                    continue;
                }
                _ => continue,
            };
            let table = tables.entry(words[2].to_owned()).or_default();
            parts(what).iter().for_each(|part| table.take(part));
        }
    }
    tables
}

async fn of_sqlite(bed: &Bed) -> Tables {
    let read = async |sql: &'static str| bed.db.rows(sql, params![]).await.unwrap();
    let text = |row: &Row, column: &str| row.text(column).unwrap();
    let mut tables = Tables::new();
    let columns = "SELECT m.name AS tab, c.name AS col, c.\"notnull\" AS must \
                   FROM sqlite_schema m, pragma_table_info(m.name) c \
                   WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'";
    for row in read(columns).await {
        let table = tables.entry(text(&row, "tab")).or_default();
        table.columns.insert(text(&row, "col"), !row.flag("must").unwrap());
    }
    let primary = "SELECT tab, group_concat(col) AS cols FROM ( \
                     SELECT m.name AS tab, c.name AS col FROM sqlite_schema m, \
                     pragma_table_info(m.name) c WHERE m.type = 'table' AND c.pk > 0 \
                     ORDER BY m.name, c.pk) GROUP BY tab";
    for row in read(primary).await {
        tables.get_mut(&text(&row, "tab")).unwrap().primary = text(&row, "cols");
    }
    let unique = "SELECT tab, name, group_concat(col) AS cols FROM ( \
                    SELECT m.name AS tab, l.name AS name, i.name AS col FROM sqlite_schema m, \
                    pragma_index_list(m.name) l, pragma_index_info(l.name) i \
                    WHERE m.type = 'table' AND l.\"unique\" = 1 AND l.origin <> 'pk' \
                    ORDER BY l.name, i.seqno) GROUP BY tab, name";
    for row in read(unique).await {
        let (table, name) = (text(&row, "tab"), text(&row, "name"));
        let field = name.strip_prefix(&format!("{table}_uq_")).unwrap().to_owned();
        tables.get_mut(&table).unwrap().unique.insert(field, text(&row, "cols"));
    }
    let references = "SELECT tab, there, group_concat(own) AS own, group_concat(theirs) AS theirs, \
                        MIN(deleted) AS deleted FROM ( \
                        SELECT m.name AS tab, f.id AS id, f.\"table\" AS there, f.\"from\" AS own, \
                        f.\"to\" AS theirs, f.on_delete AS deleted \
                        FROM sqlite_schema m, pragma_foreign_key_list(m.name) f \
                        WHERE m.type = 'table' ORDER BY m.name, f.id, f.seq) \
                      GROUP BY tab, id, there";
    for row in read(references).await {
        assert_eq!(text(&row, "deleted"), "CASCADE");
        let (own, there) = (text(&row, "own"), text(&row, "there"));
        let reference = format!("{own}>{there}({})", text(&row, "theirs"));
        tables.get_mut(&text(&row, "tab")).unwrap().references.insert(reference);
    }
    tables
}

#[tokio::test]
async fn both_databases_have_the_same_tables() {
    assert_eq!(i64::try_from(MYSQL.len()), Ok(VERSION));
    let (mysql, sqlite) = (of_mysql(), of_sqlite(&Bed::new().await).await);
    let names = |tables: &Tables| tables.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&sqlite), names(&mysql));
    assert!(mysql.len() > 15 && mysql["users"].columns.len() > 12);
    for (name, table) in &mysql {
        assert_eq!(&sqlite[name], table, "{name}");
    }
}

#[tokio::test]
async fn errors_name_the_field_of_every_unique_index() {
    let tables = of_sqlite(&Bed::new().await).await;
    let mut fields = BTreeMap::new();
    for (table, Table { unique, .. }) in &tables {
        for (field, columns) in unique {
            let columns = columns.split(',').map(|column| format!("{table}.{column}"));
            fields.insert(columns.collect::<Vec<_>>().join(", "), field.clone());
        }
    }
    let known = FIELDS.iter().map(|(columns, field)| ((*columns).to_owned(), (*field).to_owned()));
    assert_eq!(fields, known.collect());
}
