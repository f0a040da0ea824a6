//! Permission checks in MySQL: the graph as rows, and one recursive statement for each question.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use sqlx::mysql::MySqlPool;
use sqlx::{AssertSqlSafe, Row as _, SqlSafeStr as _};
use tokio::task::JoinSet;

use crate::check::graph::{Graph, Shape};
use crate::check::space::{Question, Space};
use crate::check::words::{Action, Fact, Family, Holder, Scope};
use crate::latency::{Latency, Recorder};
use crate::stop::Stop;

/// Rows of an insert.
const BATCH: usize = 2000;
/// The only tenant.
const TENANT: u32 = 0;

/// Kinds of holders: 0 user, 1 team; of scopes: 0 document, 1 folder, 2 all documents. Every key covers
/// what a step of the recursion reads.
pub(super) const SCHEMA: [&str; 4] = [
    "CREATE TABLE member_of (tenant INT UNSIGNED NOT NULL, kind TINYINT UNSIGNED NOT NULL, \
     id INT UNSIGNED NOT NULL, team INT UNSIGNED NOT NULL, PRIMARY KEY (tenant, kind, id, team))",
    "CREATE TABLE parent_of (tenant INT UNSIGNED NOT NULL, kind TINYINT UNSIGNED NOT NULL, \
     id INT UNSIGNED NOT NULL, folder INT UNSIGNED NOT NULL, PRIMARY KEY (tenant, kind, id, folder))",
    "CREATE TABLE binding (tenant INT UNSIGNED NOT NULL, holder_kind TINYINT UNSIGNED NOT NULL, \
     holder INT UNSIGNED NOT NULL, scope_kind TINYINT UNSIGNED NOT NULL, scope INT UNSIGNED NOT NULL, \
     role INT UNSIGNED NOT NULL, PRIMARY KEY (tenant, holder_kind, holder, scope_kind, scope, role))",
    "CREATE TABLE permission (tenant INT UNSIGNED NOT NULL, role INT UNSIGNED NOT NULL, \
     action TINYINT UNSIGNED NOT NULL, PRIMARY KEY (tenant, role, action))",
];

const TABLES: [&str; 4] = ["member_of", "parent_of", "binding", "permission"];

/// Whether the user, or a team that it belongs to through any depth, holds a role with the action on the
/// document or on anything above it. Bound are: user, tenant, document, tenant, tenant, action.
pub(super) const CHECK: &str = "WITH RECURSIVE holders (kind, id) AS (
  SELECT CAST(0 AS UNSIGNED), CAST(? AS UNSIGNED)
  UNION
  SELECT 1, m.team FROM holders h
    JOIN member_of m ON m.tenant = ? AND m.kind = h.kind AND m.id = h.id
), scopes (kind, id) AS (
  SELECT CAST(0 AS UNSIGNED), CAST(? AS UNSIGNED)
  UNION
  SELECT 1, p.folder FROM scopes s
    JOIN parent_of p ON p.tenant = ? AND p.kind = s.kind AND p.id = s.id
)
SELECT CAST(EXISTS (
  SELECT 1 FROM holders h
    JOIN binding b ON b.tenant = ? AND b.holder_kind = h.kind AND b.holder = h.id
    JOIN permission p ON p.tenant = b.tenant AND p.role = b.role AND p.action = ?
    LEFT JOIN scopes s ON s.kind = b.scope_kind AND s.id = b.scope
  WHERE b.scope_kind = 2 OR s.id IS NOT NULL
) AS SIGNED)";

/// What checks came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checked {
    pub(super) per_second: f64,
    pub(super) latency: Latency,
}

/// Makes the tables and fills them with the graph.
///
/// # Errors
/// When MySQL refuses or does not answer.
pub(super) async fn load(pool: &MySqlPool, shape: &Shape) -> anyhow::Result<()> {
    for statement in SCHEMA {
        sqlx::raw_sql(statement.into_sql_str()).execute(pool).await?;
    }
    let mut rows: [Vec<Vec<u32>>; 4] = Default::default();
    for (table, row) in Graph::new(shape, TENANT).facts().filter_map(row) {
        rows[table].push(row);
    }
    rows[3] = permissions(shape);
    for (table, rows) in TABLES.into_iter().zip(&rows) {
        for chunk in rows.chunks(BATCH) {
            sqlx::raw_sql(AssertSqlSafe(insert(table, chunk))).execute(pool).await?;
        }
        // Fresh tables have no statistics yet, and plans would be what is measured.
        let analyze = format!("ANALYZE TABLE {table}");
        sqlx::raw_sql(AssertSqlSafe(analyze)).execute(pool).await?;
    }
    Ok(())
}

/// The number of a fact's table, and its row without the tenant; `None` for what is no row.
fn row(fact: Fact) -> Option<(usize, Vec<u32>)> {
    match fact {
        Fact::Member { user, team } => Some((0, vec![0, user, team])),
        Fact::Nested { team, parent } => Some((0, vec![1, team, parent])),
        Fact::Document { document, folder } => Some((1, vec![0, document, folder])),
        Fact::Folder { folder, parent } => parent.map(|parent| (1, vec![1, folder, parent])),
        Fact::Binding { holder, role, scope } => {
            let (holder_kind, holder) = match holder {
                Holder::User(user) => (0, user),
                Holder::Team(team) => (1, team),
            };
            let (scope_kind, scope) = match scope {
                Scope::Document(document) => (0, document),
                Scope::Folder(folder) => (1, folder),
                Scope::Documents => (2, 0),
            };
            Some((2, vec![holder_kind, holder, scope_kind, scope, role]))
        }
    }
}

fn permissions(shape: &Shape) -> Vec<Vec<u32>> {
    let actions = |role| Family::of(role).actions().iter().map(|action| number(*action));
    (0..shape.roles).flat_map(|role| actions(role).map(move |action| vec![role, action])).collect()
}

fn number(action: Action) -> u32 {
    action as u32
}

/// An insert of rows, which are numbers alone. A fact that is told twice is one row.
fn insert(table: &str, rows: &[Vec<u32>]) -> String {
    let mut text = format!("INSERT IGNORE INTO {table} VALUES ");
    for (index, row) in rows.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = write!(text, "{}({TENANT}", if index > 0 { "," } else { "" });
        for cell in row {
            let _ = write!(text, ",{cell}");
        }
        text.push(')');
    }
    text
}

/// Checks from so many connections for `span`, after what is to be seen before, at most as long.
///
/// # Errors
/// A wrong answer; when MySQL refuses or does not answer.
pub(super) async fn check(
    pool: &MySqlPool,
    space: &Arc<Space>,
    connections: u16,
    span: Duration,
    stop: &Stop,
) -> anyhow::Result<Checked> {
    drive(pool, space, connections, span, true, stop).await?;
    drive(pool, space, connections, span, false, stop).await
}

async fn drive(
    pool: &MySqlPool,
    space: &Arc<Space>,
    connections: u16,
    span: Duration,
    warm_up: bool,
    stop: &Stop,
) -> anyhow::Result<Checked> {
    let (begun, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..connections {
        let (space, next, stop) = (Arc::clone(space), Arc::clone(&next), stop.clone());
        let mut connection = pool.acquire().await?;
        callers.spawn(async move {
            let mut seen = Recorder::default();
            while begun.elapsed() < span {
                stop.check()?;
                let index = next.fetch_add(1, Ordering::Relaxed);
                let question = if warm_up { space.warm_up(index) } else { space.question(index) };
                let Some(question) = question else { break };
                let asked = Instant::now();
                let allowed = ask(&mut connection, &question).await?;
                seen.record(asked.elapsed());
                ensure!(allowed == question.expected, "answered {allowed}: {question:?}");
            }
            anyhow::Ok(seen)
        });
    }
    let mut all = Recorder::default();
    while let Some(caller) = callers.join_next().await {
        all.merge(&caller??);
    }
    let per_second = all.count() as f64 / begun.elapsed().as_secs_f64();
    Ok(Checked { per_second, latency: all.summary() })
}

async fn ask(
    connection: &mut sqlx::mysql::MySqlConnection,
    question: &Question,
) -> anyhow::Result<bool> {
    let check = sqlx::query(CHECK.into_sql_str()).bind(question.user).bind(TENANT);
    let check = check.bind(question.document).bind(TENANT).bind(TENANT);
    let row = check.bind(number(question.action)).fetch_one(connection).await?;
    Ok(row.try_get::<i64, _>(0)? == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape { seed: 1, users: 120, resources: 90, depth: 3, roles: 6 }
    }

    #[test]
    fn every_fact_is_a_row_of_its_table() {
        let mut counts = [0; 4];
        for (table, row) in Graph::new(&shape(), 0).facts().filter_map(row) {
            counts[table] += 1;
            // With the tenant, as many cells as the table has columns.
            let columns = SCHEMA[table].matches("NOT NULL").count();
            assert_eq!(row.len() + 1, columns, "{}", TABLES[table]);
            assert!(SCHEMA[table].contains(TABLES[table]));
        }
        assert!(counts[..3].iter().all(|count| *count > 90), "{counts:?}");
        assert!(row(Fact::Folder { folder: 1, parent: None }).is_none());
    }

    #[test]
    fn roles_have_what_their_families_may_do() {
        let rows = permissions(&shape());
        assert_eq!(rows.len(), 2 * (1 + 2 + 3), "two roles of each family");
        assert!(rows.contains(&vec![5, number(Action::Share)]));
        assert!(!rows.contains(&vec![0, number(Action::Write)]));
    }

    #[test]
    fn statements_are_numbers_and_marks() {
        let text = insert("member_of", &[vec![0, 7, 3], vec![1, 3, 2]]);
        assert_eq!(text, "INSERT IGNORE INTO member_of VALUES (0,0,7,3),(0,1,3,2)");
        assert_eq!(CHECK.matches('?').count(), 6);
        for table in TABLES {
            assert!(CHECK.contains(&format!("JOIN {table} ")), "{table}");
        }
    }

    /// The statement's meaning, step by step as MySQL executes it, over the rows.
    fn answer(rows: &[Vec<Vec<u32>>; 4], user: u32, action: Action, document: u32) -> bool {
        let closure = |table: &[Vec<u32>], start: u32| {
            let mut found = vec![(0, start)];
            let mut at = 0;
            while let Some((kind, id)) = found.get(at).copied() {
                at += 1;
                for row in table.iter().filter(|row| (row[0], row[1]) == (kind, id)) {
                    if !found.contains(&(1, row[2])) {
                        found.push((1, row[2]));
                    }
                }
            }
            found
        };
        let (holders, scopes) = (closure(&rows[0], user), closure(&rows[1], document));
        rows[2].iter().any(|b| {
            holders.contains(&(b[0], b[1]))
                && rows[3].contains(&vec![b[4], number(action)])
                && (b[2] == 2 || scopes.contains(&(b[2], b[3])))
        })
    }

    #[test]
    fn the_rows_say_what_the_graph_says() {
        let (shape, mut rows) = (shape(), <[Vec<Vec<u32>>; 4]>::default());
        let graph = Graph::new(&shape, 0);
        for (table, row) in graph.facts().filter_map(row) {
            rows[table].push(row);
        }
        rows[3] = permissions(&shape);
        for user in (0..shape.users).step_by(7) {
            for document in (0..shape.resources).step_by(5) {
                for action in Action::ALL {
                    let right = graph.allows(user, action, document);
                    assert_eq!(answer(&rows, user, action, document), right, "{user} {document}");
                }
            }
        }
    }
}
