//! What is seen of the replicas and of the engines, every few seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::report::{Chart, Points, SECONDS};
use crate::scrape;
use crate::system;
use crate::trio::member::{Member, Service};
use crate::trio::stage::Stage;

/// What is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Measure {
    /// Resident, MiB.
    Memory,
    /// Open descriptors.
    Handles,
    Threads,
    /// Of one CPU, percent.
    Cpu,
    /// Records that `ingest` is behind.
    Lag,
    /// How old the watermark of an edge is, seconds.
    Watermark,
    /// How far an edge is behind in identities, seconds.
    Sync,
    /// Rows that wait in the outbox of `identity-admin`.
    Outbox,
    /// Weight of what an edge has cached, MiB.
    Cache,
    /// Of an engine, as of a replica: it says why work waits, and is not judged.
    EngineMemory,
    EngineCpu,
}

impl Measure {
    pub(super) const ALL: [Self; 11] = [
        Self::Memory,
        Self::Handles,
        Self::Threads,
        Self::Cpu,
        Self::Lag,
        Self::Watermark,
        Self::Sync,
        Self::Outbox,
        Self::Cache,
        Self::EngineMemory,
        Self::EngineCpu,
    ];

    /// What it is, and its unit.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Memory => ("resident memory", "MiB"),
            Self::Handles => ("open handles", "handles"),
            Self::Threads => ("threads", "threads"),
            Self::Cpu => ("CPU", "% of one"),
            Self::Lag => ("lag of ingest", "records"),
            Self::Watermark => ("age of watermarks", "s"),
            Self::Sync => ("lag of identity sync", "s"),
            Self::Outbox => ("outbox of identities", "rows"),
            Self::Cache => ("weight of caches", "MiB"),
            Self::EngineMemory => ("resident memory of engines", "MiB"),
            Self::EngineCpu => ("CPU of engines", "% of one"),
        }
    }
}

/// Metrics of a service that are looked at, and by what they are divided.
fn metrics(service: Service) -> &'static [(Measure, &'static str, f64)] {
    const MIB: f64 = 1_048_576.0;
    match service {
        Service::Ingest => &[(Measure::Lag, "triad_ingest_consumer_lag_records", 1.0)],
        Service::Edge => &[
            (Measure::Watermark, "triad_authz_watermark_age_seconds", 1.0),
            (Measure::Sync, "triad_authz_sync_lag_seconds", 1.0),
            (Measure::Cache, "triad_authz_cache_weight_bytes", MIB),
        ],
        Service::Identity => &[(Measure::Outbox, "triad_identity_outbox_depth", 1.0)],
    }
}

/// Everything that was seen, by measure and replica.
#[derive(Default)]
pub(super) struct Series {
    points: BTreeMap<(Measure, &'static str), Points>,
    /// CPU time of each replica when it was last looked at, and when that was.
    before: BTreeMap<Member, (u32, f64, Duration)>,
}

impl Series {
    /// Looks at each replica and engine that runs, `at` seconds after the work began. Who does not answer leaves a gap, and
    /// so does what a replica does not say.
    pub(super) async fn look(&mut self, stage: &Stage, client: &reqwest::Client, at: f64) {
        let site = stage.site();
        for (member, pid) in stage.pids().await {
            let (Some(service), Some(replica)) = (member.service(), site.replica(member)) else {
                continue;
            };
            self.process(member, pid, at);
            self.counts(member, pid, at);
            let Ok(text) = scrape::text(client, replica.admin).await else { continue };
            for (measure, name, divisor) in metrics(service) {
                if let Some(value) = scrape::total(&text, name) {
                    self.add(*measure, member, at, value / divisor);
                }
            }
        }
        for (engine, pid) in stage.engine_pids() {
            self.process(engine, pid, at);
        }
    }

    /// What a process holds open; nothing, when it has just ended.
    fn counts(&mut self, member: Member, pid: u32, at: f64) {
        let counts =
            [(Measure::Handles, system::handles(pid)), (Measure::Threads, system::threads(pid))];
        for (measure, count) in counts {
            if let Ok(count) = count {
                self.add(measure, member, at, count as f64);
            }
        }
    }

    /// What a process takes; nothing, when it has just ended.
    fn process(&mut self, member: Member, pid: u32, at: f64) {
        let (memory_of, cpu_of) = match member.engine() {
            Some(_) => (Measure::EngineMemory, Measure::EngineCpu),
            None => (Measure::Memory, Measure::Cpu),
        };
        if let Ok(memory) = system::memory(pid) {
            self.add(memory_of, member, at, memory.rss_kib as f64 / 1024.0);
        }
        let Ok(cpu) = system::cpu_time(pid) else { return };
        if let Some((same, then, used)) = self.before.insert(member, (pid, at, cpu))
            && same == pid
            && at > then
        {
            let share = cpu.saturating_sub(used).as_secs_f64() / (at - then);
            self.add(cpu_of, member, at, 100.0 * share);
        }
    }

    pub(super) fn add(&mut self, measure: Measure, member: Member, at: f64, value: f64) {
        self.points.entry((measure, member.name())).or_default().push((at, value));
    }

    /// One measure, by replica.
    pub(super) fn of(&self, measure: Measure) -> impl Iterator<Item = (&'static str, &Points)> {
        let all = self.points.iter().filter(move |((found, _), _)| *found == measure);
        all.map(|((_, name), points)| (*name, points))
    }

    /// One measure of one replica.
    pub(super) fn one(&self, measure: Measure, member: Member) -> &[(f64, f64)] {
        self.points.get(&(measure, member.name())).map(Vec::as_slice).unwrap_or_default()
    }

    /// A drawing of each measure.
    pub(super) fn charts(&self) -> Vec<Chart> {
        let chart = |measure: Measure| {
            let (title, unit) = measure.words();
            let lines = self.of(measure).map(|(name, points)| (name, points.clone())).collect();
            Chart::over(SECONDS, title, unit, lines)
        };
        Measure::ALL.map(chart).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_by_measure_and_replica() {
        let mut series = Series::default();
        for at in [5.0, 10.0] {
            series.add(Measure::Memory, Member::Edge1, at, 10.0 * at);
            series.add(Measure::Memory, Member::Ingest2, at, 1.0);
            series.add(Measure::Lag, Member::Ingest2, at, 7.0);
        }
        let memory: Vec<_> = series.of(Measure::Memory).collect();
        assert_eq!(memory[0], ("edge-1", &vec![(5.0, 50.0), (10.0, 100.0)]));
        assert_eq!(memory[1].0, "ingest-2");
        series.process(Member::Mysql, std::process::id(), 5.0);
        assert_eq!(series.of(Measure::Memory).count(), 2, "what an engine takes is its own");
        assert_eq!(series.of(Measure::EngineMemory).next().unwrap().0, "mysql");
        let charts = series.charts();
        assert_eq!((charts[0].lines.len(), charts[4].lines.len()), (2, 1));
    }

    #[test]
    fn cpu_is_what_was_used_between_two_looks() {
        let mut series = Series::default();
        let own = std::process::id();
        series.process(Member::Edge1, own, 5.0);
        assert_eq!(series.of(Measure::Cpu).count(), 0);
        series.process(Member::Edge1, own, 10.0);
        assert_eq!(series.of(Measure::Cpu).count(), 1);
        assert_eq!(series.of(Measure::EngineCpu).count(), 0);
        // Another process: what it used before is not known.
        series.before.insert(Member::Edge1, (0, 10.0, Duration::ZERO));
        series.process(Member::Edge1, own, 15.0);
        assert_eq!(series.of(Measure::Cpu).next().unwrap().1.len(), 1);
    }
}
