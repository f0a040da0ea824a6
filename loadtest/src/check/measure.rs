//! One measurement: warm up, check for a while, write beside it if asked, and count.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use bytes::BytesMut;
use serde::Serialize;

use super::change::{Change, Changes};
use super::drive::{Driven, Tally, Work, drive};
use super::link::{Answer, Ask};
use super::pace::Pace;
use super::space::{Question, Space};
use super::target::{Kind, Target};
use crate::latency::Latency;
use crate::report::{Chart, Points, SECONDS};
use crate::stop::Stop;
use crate::system::{self, Memory};

/// Of a thousand checks so many may have no answer, for a rate to mean anything.
const UNANSWERED: u64 = 1;
/// Connections that write: enough for hundreds of writes a second beside checks that fill all CPUs.
const WRITERS: usize = 32;

/// How a measurement is made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is asked.
    pub kind: Kind,
    /// Checks at once.
    pub connections: usize,
    /// How they follow each other.
    pub pace: Pace,
    /// Before anything counts, at most.
    pub warm_up: Duration,
    /// How long is measured.
    pub span: Duration,
    /// Changes a second, and which; none without.
    pub writes: Option<(f64, Changes)>,
    /// The target's process, to know what it costs.
    pub server: Option<u32>,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Questions before anything counted.
    pub warm_up_checks: u64,
    /// The share that the warm-up showed of what was to be seen before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown_share: Option<f64>,
    /// How long was measured.
    pub seconds: f64,
    /// Answers.
    pub checks: u64,
    /// A second.
    pub checks_per_second: f64,
    /// At a rate from the intended start, otherwise from the actual one.
    pub latency: Latency,
    /// At a rate: from the actual start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Latency>,
    /// At a rate: from the intended start to the actual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_delay: Option<Latency>,
    /// At a rate: due and never sent, because all connections were waiting. They count in the latency.
    pub unsent: u64,
    /// The questions ended before the time did.
    pub ended: bool,
    /// Answers by what they say.
    pub allowed: u64,
    /// See `allowed`.
    pub denied: u64,
    /// Whether answers were compared with the right ones.
    pub verified: bool,
    /// Answers that were not the right ones, the warm-up's among them.
    pub wrong: u64,
    /// What was no answer.
    pub failures: BTreeMap<String, u64>,
    /// CPU of this process for each check, its writers among it, in µs.
    pub client_cpu_us: f64,
    /// The target's process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Server>,
    /// What was written beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writes: Option<Written>,
    /// Some of what was wrong, for people.
    pub remarks: Vec<String>,
    /// Percentiles of each second.
    #[serde(skip)]
    pub timeline: Vec<(f64, Latency)>,
}

/// Whether nearly all had an answer; whoever is asked, since a server that refuses is quick, and one that waits is slow.
///
/// # Errors
/// When more than one in a thousand had none.
pub(crate) fn answered(checks: u64, failures: &BTreeMap<String, u64>) -> anyhow::Result<()> {
    let failed: u64 = failures.values().sum();
    ensure!(
        failed * 1000 <= checks * UNANSWERED,
        "{failed} had no answer beside {checks} that had: {failures:?}"
    );
    Ok(())
}

/// What the target's process used.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Server {
    /// CPU for each check, what writes cost among it, in µs.
    pub cpu_us: f64,
    /// Its memory afterwards.
    pub memory: Memory,
}

/// Writes beside the checks.
#[derive(Debug, Clone, Serialize)]
pub struct Written {
    /// A second that were asked for.
    pub rate: f64,
    /// Accepted.
    pub writes: u64,
    /// A second.
    pub writes_per_second: f64,
    /// From the intended start.
    pub latency: Latency,
    /// Due and never sent.
    pub unsent: u64,
    /// What was not accepted.
    pub failures: BTreeMap<String, u64>,
}

/// Questions, of the warm-up or those that count.
struct Checks {
    target: Arc<Target>,
    space: Arc<Space>,
    warm_up: bool,
    knows: bool,
}

impl Work for Checks {
    type Item = Question;

    fn request(&self, index: u64, buffer: &mut BytesMut) -> Option<(Question, Ask)> {
        let question =
            if self.warm_up { self.space.warm_up(index) } else { self.space.question(index) }?;
        Some((question, self.target.check(&question, buffer)))
    }

    fn judge(&self, item: &Question, answer: &Answer, tally: &mut Tally) -> Result<(), String> {
        let decision = self.target.decision(answer).inspect_err(|_| {
            tally.remark(|| super::target::refusal(answer));
        })?;
        *(if decision { &mut tally.allowed } else { &mut tally.denied }) += 1;
        if self.knows && decision != item.expected {
            tally.wrong += 1;
            tally.remark(|| format!("answered {decision}: {item:?}"));
        }
        Ok(())
    }
}

/// Changes.
struct Writes {
    target: Arc<Target>,
    changes: Changes,
}

impl Work for Writes {
    type Item = (u32, Change);

    fn request(&self, index: u64, _: &mut BytesMut) -> Option<(Self::Item, Ask)> {
        let (tenant, change) = self.changes.change(index);
        Some(((tenant, change), self.target.change(tenant, change)))
    }

    fn judge(&self, item: &Self::Item, answer: &Answer, tally: &mut Tally) -> Result<(), String> {
        self.target.accepted(answer).inspect_err(|_| {
            tally.remark(|| format!("{item:?}: {}", super::target::refusal(answer)));
        })
    }
}

/// Measures `target`, which holds the graphs of `space`.
///
/// # Errors
/// When nobody answers, or nothing that is an answer.
pub async fn measure(
    target: Target,
    space: Space,
    plan: &Plan,
    stop: &Stop,
) -> anyhow::Result<Measured> {
    let (target, space) = (Arc::new(target), Arc::new(space));
    let checks = |warm_up| {
        let (target, space) = (Arc::clone(&target), Arc::clone(&space));
        Arc::new(Checks { target, space, warm_up, knows: plan.kind.knows() })
    };
    let mut links = target.endpoint.links(plan.connections).await?;
    let pace = (Pace::Closed, plan.warm_up);
    let warm = drive(&checks(true), &target.endpoint, &mut links, pace, stop).await?;
    if links.is_empty() {
        links = target.endpoint.links(plan.connections).await?;
    }
    let before = Usage::now(plan.server)?;
    let (driven, writes) = tokio::try_join!(
        async {
            let pace = (plan.pace, plan.span);
            drive(&checks(false), &target.endpoint, &mut links, pace, stop).await
        },
        write(&target, plan, stop),
    )?;
    let used = Usage::now(plan.server)?.since(before);
    summary(&space, plan, warm, driven, writes, used)
}

async fn write(
    target: &Arc<Target>,
    plan: &Plan,
    stop: &Stop,
) -> anyhow::Result<Option<(Written, Vec<String>)>> {
    let Some((rate, changes)) = &plan.writes else { return Ok(None) };
    let work = Arc::new(Writes { target: Arc::clone(target), changes: changes.clone() });
    let mut links = target.endpoint.links(WRITERS).await?;
    let pace = (Pace::Open(*rate), plan.span);
    let driven = drive(&work, &target.endpoint, &mut links, pace, stop).await?;
    let writes = driven.tally.service.count();
    let written = Written {
        rate: *rate,
        writes,
        writes_per_second: writes as f64 / driven.seconds,
        latency: driven.tally.latency.summary(),
        unsent: driven.unsent,
        failures: driven.tally.failures,
    };
    Ok(Some((written, driven.tally.remarks)))
}

/// What both processes had used so far, or used in between.
#[derive(Clone, Copy)]
struct Usage {
    client: Duration,
    server: Option<(Duration, Memory)>,
}

impl Usage {
    fn now(server: Option<u32>) -> anyhow::Result<Self> {
        let server = server.map(|pid| anyhow::Ok((system::cpu_time(pid)?, system::memory(pid)?)));
        Ok(Self { client: system::cpu_time(std::process::id())?, server: server.transpose()? })
    }

    fn since(self, before: Self) -> Self {
        let server = self.server.zip(before.server);
        Self {
            client: self.client.saturating_sub(before.client),
            server: server.map(|((cpu, memory), (then, _))| (cpu.saturating_sub(then), memory)),
        }
    }
}

fn summary(
    space: &Space,
    plan: &Plan,
    warm: Driven,
    driven: Driven,
    writes: Option<(Written, Vec<String>)>,
    used: Usage,
) -> anyhow::Result<Measured> {
    let Driven { tally, seconds, unsent, ended, timeline } = driven;
    let checks = tally.allowed + tally.denied;
    let mut remarks = warm.tally.remarks;
    remarks.extend(tally.remarks);
    if checks == 0 {
        bail!("no answer in {seconds:.1} s: {:?} {}", tally.failures, remarks.join("; "));
    }
    ensure!(seconds > 0.0, "nothing was measured");
    let (writes, more) = writes.unzip();
    remarks.extend(more.into_iter().flatten());
    let warm_up_checks = warm.tally.allowed + warm.tally.denied;
    let open = plan.pace != Pace::Closed;
    let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / checks as f64;
    Ok(Measured {
        warm_up_checks,
        shown_share: space.to_show().map(|all| warm_up_checks as f64 / all as f64),
        seconds,
        checks,
        checks_per_second: checks as f64 / seconds,
        latency: tally.latency.summary(),
        service: open.then(|| tally.service.summary()),
        start_delay: open.then(|| tally.delay.summary()),
        unsent,
        ended,
        allowed: tally.allowed,
        denied: tally.denied,
        verified: plan.kind.knows(),
        wrong: tally.wrong + warm.tally.wrong,
        failures: tally.failures,
        client_cpu_us: each(used.client),
        server: used.server.map(|(cpu, memory)| Server { cpu_us: each(cpu), memory }),
        writes,
        remarks,
        timeline,
    })
}

/// The drawings of a measurement.
#[must_use]
pub fn charts(measured: &Measured) -> Vec<Chart> {
    let points = |of: fn(&Latency) -> f64| -> Points {
        measured.timeline.iter().map(|(at, second)| (*at, of(second))).collect()
    };
    let chart = |title, unit, lines| Chart::over(SECONDS, title, unit, lines);
    vec![
        chart("Checks", "1/s", vec![("answered", points(|second| second.count as f64))]),
        chart(
            "Latency",
            "ms",
            vec![("p50", points(|second| second.p50_ms)), ("p99", points(|second| second.p99_ms))],
        ),
    ]
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;
