//! What was decided against: the audit log as a table and checks as recursive statements, in one MySQL.

mod checks;
mod ours;
mod rows;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sqlx::SqlSafeStr as _;
use sqlx::mysql::MySqlPool;

use super::figure::{Figure, Rounds};
use super::section::{Curve, Section, notes};
use super::{state, words};
use crate::bench::authz::turn::{SPACES, Turns};
use crate::check::graph::Shape;
use crate::check::space::{Draw, Keys, Space};
use crate::cli::CompareArgs;
use crate::deploy::{self, Local};
use crate::latency::{Latency, median};
use crate::mysql;
use crate::progress::say;
use crate::run::Run;
use crate::scenario::stored::spread;
use crate::stop::Stop;
use crate::system::settle;

/// Checks at once.
const CONNECTIONS: u16 = 8;
/// The share of the time that is left for filling MySQL's table.
const SHARE: f64 = 0.5;
const PEER: &str = "MySQL";
/// A buffer pool as large as Cassandra's heap here, as durable as its periodic commit log, one copy of each row and no log
/// for replicas, which Cassandra at one copy has neither; a log and writes behind it as a disk of today takes them.
const OPTIONS: &str = "innodb-buffer-pool-size=3221225472,innodb-flush-log-at-trx-commit=2,skip-log-bin,\
    innodb-log-file-size=536870912,innodb-io-capacity=2000,innodb-io-capacity-max=4000";
const DATABASE: &str = "CREATE DATABASE monolith CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
/// Windows of rows at each level, of either side; a rate is their median.
const WINDOWS: u64 = 3;
/// What was written is flushed behind it; it is waited for before pages are asked for, at most.
const SETTLE: Duration = Duration::from_secs(60);

/// What was measured with so many rows stored.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// That was asked for.
    rows: u64,
    /// That there were when pages were asked for.
    stored: u64,
    rows_per_second: f64,
    pages: Latency,
}

/// Compares them: MySQL first, then Triad, each with the machine for itself, up to an hour apart.
///
/// # Errors
/// A wrong answer of anybody, and what keeps it from being measured.
pub(super) async fn monolith(args: &CompareArgs, stop: &Stop) -> anyhow::Result<Section> {
    ensure!(args.levels.is_sorted() && !args.levels.is_empty(), "--levels ascend");
    let mut rounds = Rounds::default();
    let mut local = Local::new(state("monolith"));
    local.start_with("mysql", &["--mysql-options", OPTIONS]).await?;
    let pool = database(&local).await?;
    Box::pin(check(&pool, args, stop, &mut rounds)).await?;
    let mysqld = deploy::pid(local.state(), "mysql").context("no process of MySQL")?;
    let theirs = Box::pin(fill(&pool, mysqld, args, stop)).await?;
    pool.close().await;
    local.reset().await?;
    let levels: Vec<u64> = theirs.iter().map(|level| level.rows).collect();
    let ours = Box::pin(ours::levels(args, &levels, stop)).await?;
    let mut turns = Turns::new(&args.authz(CONNECTIONS), stop)?;
    for round in 1..=u64::from(args.rounds) {
        let pairs = Box::pin(turns.own(round)).await?;
        for (space, pair) in SPACES.into_iter().zip(&pairs) {
            for (what, field) in [("rate", "edge"), ("p99", "edge_p99_ms")] {
                let value = pair[field].as_f64().with_context(|| format!("no {field}"))?;
                rounds.note(&format!("own {space} {what}"), value);
            }
        }
    }
    section(args, &rounds, &ours, &theirs)
}

/// An empty database with the settings and the audit table.
async fn database(local: &Local) -> anyhow::Result<MySqlPool> {
    let [mysql] = local.addresses(["TRIAD_MYSQL"]).await?;
    let server = mysql.first().context("no MySQL")?;
    let setting = mysql::pool(server, 1).await?;
    sqlx::raw_sql(DATABASE.into_sql_str()).execute(&setting).await?;
    setting.close().await;
    let connections = rows::WRITERS.max(CONNECTIONS.into());
    let pool = mysql::pool(&format!("{server}monolith"), connections).await?;
    sqlx::raw_sql(rows::SCHEMA.into_sql_str()).execute(&pool).await?;
    Ok(pool)
}

/// Hot and wide checks of the graph that Triad has.
async fn check(
    pool: &MySqlPool,
    args: &CompareArgs,
    stop: &Stop,
    rounds: &mut Rounds,
) -> anyhow::Result<()> {
    let shape = shape(args);
    checks::load(pool, &shape).await?;
    for round in 1..=u64::from(args.rounds) {
        for (keys, name) in [Keys::Hot, Keys::Wide].into_iter().zip(SPACES) {
            let seed = if keys == Keys::Wide { round } else { 1 };
            let draw = Draw { keys, tenants: 1, allow_share: 0.5, exponent: 1.0, pool: 2000, seed };
            let space = Arc::new(Space::new(&shape, draw));
            let checked = checks::check(pool, &space, CONNECTIONS, args.span(), stop).await?;
            say(&format!("MySQL, {name}: {:.0} checks/s", checked.per_second));
            rounds.note(&format!("peer {name} rate"), checked.per_second);
            rounds.note(&format!("peer {name} p99"), checked.latency.p99_ms);
        }
    }
    Ok(())
}

/// That of `bench authz`.
fn shape(args: &CompareArgs) -> Shape {
    let (users, resources) = if args.quick { (300, 200) } else { (10_000, 5000) };
    Shape { seed: 1, users, resources, depth: 3, roles: 30 }
}

/// The audit table at each level, as far as there is time for.
async fn fill(
    pool: &MySqlPool,
    mysqld: u32,
    args: &CompareArgs,
    stop: &Stop,
) -> anyhow::Result<Vec<Level>> {
    let left = stop.deadline().saturating_duration_since(Instant::now());
    let until = Instant::now() + left.mul_f64(SHARE);
    let run = Run::recent(&format!("m{}", std::process::id()), 1);
    let (mut stored, mut measured) = (0, Vec::new());
    for (step, level) in args.levels.iter().enumerate() {
        let missing = level.saturating_sub(stored);
        let part = spread(&run, step as u64, missing.max(1));
        if missing > 0 {
            if rows::insert(pool, &part, until, stop).await?.is_none() {
                say(&format!("MySQL: no time to fill it to {level} rows"));
                break;
            }
            stored += missing;
        }
        // As Cassandra has while its backlog is published.
        settle(mysqld, SETTLE).await;
        // Even without time for more: what is filled is measured.
        let limit = until + Duration::from_secs(300);
        let (mut rates, mut about) = (Vec::new(), part);
        for number in 0..WINDOWS {
            let window = Run::recent(&format!("{}-w{step}-{number}", run.id), args.window);
            let rate = rows::insert(pool, &window, limit, stop).await?;
            rates.push(rate.context("the window took long")?);
            stored += window.events;
            if missing == 0 {
                about = window;
            }
        }
        settle(mysqld, SETTLE).await;
        let (rate, pages) = (median(rates), rows::pages(pool, &about, args.probes).await?);
        say(&format!("MySQL, {stored} rows: {rate:.0} rows/s, page p99 {:.1} ms", pages.p99_ms));
        measured.push(Level { rows: *level, stored, rows_per_second: rate, pages });
    }
    Ok(measured)
}

fn section(
    args: &CompareArgs,
    rounds: &Rounds,
    ours: &[Level],
    theirs: &[Level],
) -> anyhow::Result<Section> {
    let mut section = Section::new("The monolith: audit log and checks in MySQL");
    section.engine(PEER)?;
    section.settings = notes(words::MONOLITH_SETTINGS);
    section.peer_does = notes(words::MONOLITH_PEER_DOES);
    let levels = args.levels.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    section.commands = vec![format!(
        "loadtest compare monolith --levels {levels} --window {} --rounds {}",
        args.window, args.rounds
    )];
    section
        .commands
        .push(format!("deploy/local/engines up --only mysql --mysql-options {OPTIONS}"));
    let statements = [rows::SCHEMA].into_iter().chain(checks::SCHEMA).chain([checks::CHECK]);
    section.commands.extend(statements.map(|statement| format!("mysql> {statement}")));
    for (ours, theirs) in ours.iter().zip(theirs) {
        let with = format!(
            "with {} rows stored ({} and {} after those of the measurement itself)",
            ours.rows, ours.stored, theirs.stored
        );
        let id = |what: &str| format!("monolith.{what}_{}", ours.rows);
        let rate = Figure::more(
            &id("rows_per_second"),
            "rows/s",
            &format!("audit rows written, {with}"),
            vec![ours.rows_per_second],
        );
        let page = Figure::less(
            &id("page_p99_ms"),
            "ms",
            &format!("p99 of a first page, {with}"),
            vec![ours.pages.p99_ms],
        );
        section.figures.push(rate.peer(PEER, vec![theirs.rows_per_second]));
        section.figures.push(page.peer(PEER, vec![theirs.pages.p99_ms]));
    }
    for space in SPACES {
        let of = |side: &str, what: &str| rounds.of(&format!("{side} {space} {what}"));
        let what = format!("{space} checks, {CONNECTIONS} connections");
        let rate = Figure::more(&format!("monolith.{space}_rate"), "1/s", &what, of("own", "rate"));
        section.figures.push(rate.peer(PEER, of("peer", "rate")));
        let slowest = format!("p99 of {what}");
        let p99 =
            Figure::less(&format!("monolith.{space}_p99_ms"), "ms", &slowest, of("own", "p99"));
        section.figures.push(p99.peer(PEER, of("peer", "p99")));
    }
    section.curves = vec![
        curve("Audit rows written against rows stored", "rows/s", ours, theirs, |level| {
            level.rows_per_second
        }),
        curve("First page, p50, against rows stored", "ms", ours, theirs, |level| {
            level.pages.p50_ms
        }),
        curve("First page, p99, against rows stored", "ms", ours, theirs, |level| {
            level.pages.p99_ms
        }),
    ];
    Ok(section)
}

fn curve(
    title: &str,
    unit: &str,
    ours: &[Level],
    theirs: &[Level],
    of: impl Fn(&Level) -> f64,
) -> Curve {
    let line = |name: &str, levels: &[Level]| {
        let points = levels.iter().map(|level| (level.stored as f64 / 1e6, of(level)));
        (name.to_owned(), points.collect())
    };
    Curve {
        title: title.to_owned(),
        unit: unit.to_owned(),
        across: "M rows".to_owned(),
        lines: vec![line("Triad", ours), line(PEER, theirs)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_has_its_figures_and_a_point_of_each_curve() {
        let level = |rows, rows_per_second, p99_ms| Level {
            rows,
            stored: rows + 1_000_000,
            rows_per_second,
            pages: Latency { p50_ms: 1.0, p99_ms, ..Latency::default() },
        };
        let ours = [level(0, 50_000.0, 8.0), level(5_000_000, 48_000.0, 10.0)];
        let theirs = [level(0, 20_000.0, 4.0), level(5_000_000, 6000.0, 20.0)];
        let args = CompareArgs::example(&["--levels", "0,5000000"]);
        let section = section(&args, &Rounds::default(), &ours, &theirs).unwrap();
        let better: Vec<_> = section.figures.iter().flat_map(Figure::better).collect();
        assert_eq!(better, [(PEER, 2.0)], "pages of an empty table");
        assert_eq!(section.figures[2].ratios()[0].1, 8.0);
        assert_eq!(section.curves[0].lines[1].1, [(1.0, 20_000.0), (6.0, 6000.0)]);
    }
}
