//! Which day is which run, and which layouts there are before the first row: as though tenants had been
//! promoted long before, since events of days that are over promote nobody.

use anyhow::{Context, ensure};
use ingest::event::Ticks;
use ingest::layout::promotion::fitting;
use ingest::layout::{EVERYONE, Granularity, Layout, Layouts};
use ingest::sink::session::Cassandra;
use scylla::value::CqlTimestamp;

use crate::cli::AuditScaleArgs;
use crate::generate::{Generator, Tenants, tenant_name};
use crate::progress::say;
use crate::run::{Names, Run, TICKS_PER_SECOND};
use crate::scale::sizes::Sizes;
use crate::scenario::Stage;

/// Milliseconds, and ticks, in a day.
const DAY: i64 = 86_400_000;
const DAY_TICKS: u64 = 86_400 * TICKS_PER_SECOND;

/// See the module.
pub(super) struct Plan {
    /// Days that are stored, one in each step.
    pub(super) steps: u64,
    /// What `ingest` takes for too many rows of a partition.
    partition_rows: u64,
    /// A day, which all others are made like.
    like: Run,
    /// When the first day begins, milliseconds since the epoch.
    begin: i64,
}

impl Plan {
    pub(super) fn new(args: &AuditScaleArgs, stage: &Stage) -> anyhow::Result<Self> {
        let (rows, step) = (args.rows.max(1), args.step.max(1));
        let id = format!("s{}", std::process::id());
        let names = Names::of(&id);
        let config = stage.engines.config(&names)?;
        let steps = rows.div_ceil(step);
        // The last day is yesterday, and of the pairs.
        let past = u64::from(config.limits.past_days).saturating_sub(2);
        ensure!(steps < past, "{steps} steps are more days than ingest takes: a larger --step");
        let today = Granularity::Day.floor(chrono::Utc::now().timestamp_millis());
        let begin = today - (steps.cast_signed() + 1) * DAY;
        let like = Run {
            id,
            seed: args.seed,
            events: step,
            tenants: args.tenants,
            exponent: args.exponent,
            hot: 0.0,
            base: 0,
            step: 1,
            poison_every: 0,
            oversized_every: 0,
            oversized_bytes: 0,
            oversized_decodes: false,
            random_keys: false,
            names,
        };
        Ok(Self { steps, partition_rows: config.layout.partition_rows, like, begin })
    }

    /// The keyspace that is filled.
    fn keyspace_name(&self) -> &str {
        &self.like.names.keyspace
    }

    /// That keyspace with its tables.
    pub(super) async fn keyspace(&self, stage: &Stage) -> anyhow::Result<Cassandra> {
        stage.engines.apply_schema(&self.like.names).await
    }

    /// The day of a step, or, behind the last one, that of the pairs.
    fn day(&self, name: &str, day: u64, events: u64) -> Run {
        let id = format!("{}-{name}", self.like.id);
        let begin = Ticks::from_millis(self.begin + day.cast_signed() * DAY);
        let keyspace = self.keyspace_name().to_owned();
        Run {
            events,
            base: begin.raw().cast_unsigned(),
            // All of it lies within the day.
            step: (DAY_TICKS / events.max(1)).max(1),
            names: Names { keyspace, ..Names::of(&id) },
            id,
            ..self.like.clone()
        }
    }

    /// The events of step `number`, on a topic of their own, for the keyspace that is filled.
    pub(super) fn step(&self, number: u64) -> Run {
        self.day(&number.to_string(), number, self.like.events)
    }

    /// The events of pair `number`: all pairs are of the day after the last step.
    pub(super) fn pair(&self, number: u64, events: u64) -> Run {
        self.day(&format!("p{number}"), self.steps, events)
    }

    /// Such events for a keyspace of their own.
    pub(super) fn elsewhere(&self, name: &str, events: u64) -> Run {
        let mut run = self.day(name, self.steps, events);
        run.names = Names::of(&run.id);
        run
    }

    /// The layouts of tenants that have too many rows for a partition a day, as a promotion would choose them,
    /// from the first day on. They are for as many rows a day as a step has.
    fn layouts(&self) -> Vec<(String, Layout)> {
        let mut rows = vec![(EVERYONE.to_owned(), Layout::DEFAULT)];
        for (rank, share) in (0_u32..).zip(Tenants::shares(&self.like)) {
            let daily = whole(share * self.like.events as f64);
            if daily > self.partition_rows {
                let layout = fitting(Layout::DEFAULT, daily, self.partition_rows);
                rows.push((name(rank), Layout { effective_from: self.begin, ..layout }));
            }
        }
        rows
    }

    /// Writes the layouts into a keyspace in which nothing is stored yet. The registry itself lets none begin
    /// in the past, and rightly: here nobody has read it before.
    pub(super) async fn prepare(&self, stage: &Stage, db: &Cassandra) -> anyhow::Result<()> {
        let insert = format!(
            "INSERT INTO {}.audit_layouts (scope, effective_from, granularity, shards, class, \
             created_at, created_by) VALUES (?, ?, ?, ?, ?, ?, ?)",
            db.keyspace
        );
        let insert = db.session.prepare(insert).await?;
        let now = CqlTimestamp(chrono::Utc::now().timestamp_millis());
        let layouts = self.layouts();
        for (scope, layout) in &layouts[1..] {
            stage.stop.check()?;
            let row = (
                scope.as_str(),
                CqlTimestamp(layout.effective_from),
                layout.granularity.as_str(),
                i32::from(layout.shards),
                layout.class.class().name,
                now,
                "loadtest",
            );
            db.session.execute_unpaged(&insert, row).await?;
        }
        say(&format!("{} of {} tenants are pre-sized", layouts.len() - 1, self.like.tenants));
        Ok(())
    }

    /// How the rows of a run are spread over partitions: by their tenants and times, as the layouts say, and
    /// evenly over the shards of a bucket. Some 100 ns a row.
    pub(super) fn partitions(&self, run: &Run, bytes_a_row: f64) -> anyhow::Result<Sizes> {
        let layouts = Layouts::from_rows(self.layouts()).context("no default layout")?;
        let (generator, mut rows) =
            (Generator::new(run), std::collections::HashMap::<_, u64>::new());
        let names: Vec<String> = (0..run.tenants).map(name).collect();
        for index in 0..run.events {
            let (tenant, time) = (generator.tenant(index), millis(run.time(index)));
            let layout = layouts.governing(&names[tenant as usize], time);
            let bucket = (tenant, layout.granularity.floor(time), layout.shards.max(1));
            *rows.entry(bucket).or_default() += 1_u64;
        }
        let shards = rows.iter().flat_map(|((.., shards), rows)| {
            let each = rows.div_ceil(u64::from(*shards));
            std::iter::repeat_n((each, each as f64 * bytes_a_row), usize::from(*shards))
        });
        Ok(Sizes::of(shards, self.partition_rows))
    }
}

fn name(rank: u32) -> String {
    let mut name = Vec::new();
    tenant_name(rank, &mut name);
    String::from_utf8_lossy(&name).into_owned()
}

fn millis(ticks: u64) -> i64 {
    (ticks / 10_000).cast_signed()
}

#[allow(clippy::cast_sign_loss, reason = "shares are not negative")]
fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(step: u64) -> Plan {
        let names = Names::of("s1");
        let like = Run { id: "s1".to_owned(), events: step, names, ..Run::example(step) };
        Plan { steps: 3, partition_rows: 1000, like, begin: 1_793_491_200_000 }
    }

    #[test]
    fn steps_follow_each_other_by_days_in_one_keyspace() {
        let plan = plan(5000);
        let (one, two, pair) = (plan.step(0), plan.step(1), plan.pair(1, 700));
        assert_eq!(two.base - one.base, DAY_TICKS);
        assert_eq!(pair.base - one.base, 3 * DAY_TICKS);
        assert!(one.time(4999) < two.base, "all of a step lies within its day");
        assert_eq!(one.names.keyspace, pair.names.keyspace);
        assert_ne!(one.names.topic, two.names.topic);
        assert_ne!(plan.elsewhere("x", 1).names.keyspace, one.names.keyspace);
        assert_eq!(millis(one.base), plan.begin);
    }

    #[test]
    fn large_tenants_have_layouts_that_keep_their_partitions_small() {
        let plan = plan(50_000);
        let layouts = plan.layouts();
        assert!((2..200).contains(&layouts.len()), "{}", layouts.len());
        assert_eq!(layouts[0], (EVERYONE.to_owned(), Layout::DEFAULT));
        let run = plan.step(0);
        let sizes = plan.partitions(&run, 400.0).unwrap();
        // Whoever has nearly 1 000 rows on average has some more on some days.
        assert!(sizes.max_rows <= 1200, "{sizes:?}");
        assert!(sizes.rows >= run.events, "shards are rounded up");
    }
}
