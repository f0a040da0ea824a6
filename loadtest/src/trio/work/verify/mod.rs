//! What has to agree in the end: queues drain after faults, so it is looked at until it does, or the time is up.

mod changes;
mod said;
mod trail;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) use changes::Told;

use super::checks::check;
use super::gateway::Service;
use super::{Known, Verdict};
use crate::stop::Stop;
use crate::trio::work::book::lock;
use crate::verify::{Among, Options, verify_among};
use said::Said;

/// Between looks.
const LOOK: Duration = Duration::from_secs(1);
/// Each part may be looked at for so long, even when the time was up before it.
const LEAST: Duration = Duration::from_secs(20);
/// For reading what there is: a scan of all tables, say.
const READING: Duration = Duration::from_secs(300);
/// Attempts at the last check of a right.
const ATTEMPTS: usize = 10;

/// Something that does not agree yet: the invariant, and what it is.
type Problem = (&'static str, String);

/// Looks at everything.
pub(super) async fn verify(known: &Known, within: Duration) -> anyhow::Result<Verdict> {
    let deadline = Instant::now() + within;
    let stop = Stop::after(within + READING);
    let _guard = stop.guard();
    let left = || deadline.max(Instant::now() + LEAST);
    let mut problems = until(left(), async || agree(known, &stop).await).await?;
    problems.extend(until(left(), async || trails(known).await).await?);
    last_checks(known).await;
    let settle = left().saturating_duration_since(Instant::now());
    problems.extend(account(known, settle, &stop).await?);
    let book = &known.scene.book;
    for (invariant, detail) in problems {
        book.violation(invariant, || detail);
    }
    let told = [
        ("mutations acknowledged", known.scene.mutations().len()),
        ("requests posted", known.posts.all().len()),
        ("rights", known.grants.all().len()),
    ];
    told.into_iter().for_each(|(what, count)| book.tell(what, count as u64));
    Ok(Verdict { violations: book.violations(), told: book.told() })
}

/// Looks until nothing is wrong or the deadline is there; what is wrong then. An answer that nobody gives is asked for
/// until then, too.
async fn until(
    deadline: Instant,
    mut look: impl AsyncFnMut() -> anyhow::Result<Vec<Problem>>,
) -> anyhow::Result<Vec<Problem>> {
    loop {
        let found = look().await;
        let agrees = found.as_ref().is_ok_and(Vec::is_empty);
        if agrees || Instant::now() >= deadline {
            return found;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What rows, Kafka, the graph and the acknowledged writes say of each tenant's people.
async fn agree(known: &Known, stop: &Stop) -> anyhow::Result<Vec<Problem>> {
    let ours: BTreeSet<_> = known.scene.tenants.iter().map(|tenant| tenant.id.clone()).collect();
    let (told, stop) = (Arc::clone(&known.told), stop.clone());
    tokio::task::spawn_blocking(move || lock(&told).read(&ours, &stop)).await??;
    let mut problems = Vec::new();
    let mut changes = 0;
    for (place, tenant) in known.scene.tenants.iter().enumerate() {
        let gateway = &known.scene.gateway;
        let Some(rows) = gateway.read(Service::Identity, tenant.path("snapshot")).await else {
            problems.push(("agreement", format!("nobody tells the snapshot of {}", tenant.id)));
            continue;
        };
        let (rows, last) = Said::by_snapshot(&rows.body)?;
        let (by_kafka, numbered, mutated) = {
            let told = lock(&known.told);
            let by_kafka = Said::by_changes(told.of(&tenant.id));
            let mutated = told.unlike(&tenant.id, &known.scene.mutations());
            (by_kafka, told.numbered(&tenant.id, last), mutated)
        };
        changes += last;
        problems.extend(numbered.map(|text| ("no_gap", format!("{}: {text}", tenant.id))));
        let mut disagree = |text: Option<String>| {
            problems.extend(text.map(|text| ("agreement", format!("{}: {text}", tenant.id))));
        };
        mutated.into_iter().for_each(|text| disagree(Some(text)));
        disagree(said::differ(("rows", &rows.facts()), ("Kafka", &by_kafka.facts())));
        known.identities.held(place).iter().for_each(|held| disagree(rows.unlike(held)));
        match said::seen_in_graph(&known.scene, tenant).await {
            Some(seen) => disagree(said::differ(("rows", &rows.seen()), ("the graph", &seen))),
            None => disagree(Some("nobody tells what is in the graph".to_owned())),
        }
    }
    let wrong = lock(&known.told).problems().to_vec();
    problems.extend(wrong.into_iter().map(|text| ("no_gap", text)));
    if problems.is_empty() {
        known.scene.book.tell("changes of identities", changes);
    }
    Ok(problems)
}

/// What the audit trail of each tenant says.
async fn trails(known: &Known) -> anyhow::Result<Vec<Problem>> {
    let (mut problems, mut events) = (Vec::new(), 0);
    let posts = known.posts.all();
    for (place, tenant) in known.scene.tenants.iter().enumerate() {
        let expected = {
            let told = lock(&known.told);
            let changes = told.of(&tenant.id).map(|change| (change.seq, change.kind.name()));
            let rights = known.grants.all();
            let bindings = rights.iter().filter(|right| right.tenant == place).map(|right| {
                let tally = trail::Tally::of(&lock(&right.history));
                (right.resource.clone(), tally)
            });
            trail::Expected {
                work: known.scene.id.clone(),
                seed: known.scene.seed,
                tenant: tenant.id.to_string(),
                place: (place, known.scene.tenants.len()),
                posts: posts.clone(),
                changes: changes.collect::<BTreeMap<_, _>>(),
                bindings: bindings.collect(),
            }
        };
        match trail::read(&known.scene, tenant, &expected).await {
            Some(trail) => {
                events += trail.events();
                problems.extend(trail.judge(&expected));
            }
            None => problems.push(("audited", format!("nobody tells the trail of {}", tenant.id))),
        }
    }
    if problems.is_empty() {
        known.scene.book.tell("events in trails", events);
    }
    Ok(problems)
}

/// Asks about every right once more; the history judges. Nobody may leave it unanswered for long.
async fn last_checks(known: &Known) {
    for right in known.board.all() {
        for with_token in [true, false] {
            let mut answered = false;
            for _ in 0..ATTEMPTS {
                answered = check(&known.scene, &right, with_token).await.is_some();
                if answered {
                    break;
                }
                tokio::time::sleep(LOOK).await;
            }
            if !answered {
                known.scene.book.violation("answers", || {
                    let tenant = &known.scene.tenants[right.tenant].id;
                    format!("nobody answers whether {} may read in {tenant}", right.subject)
                });
            }
        }
    }
}

/// The accounting identity of the producer's events.
async fn account(known: &Known, settle: Duration, stop: &Stop) -> anyhow::Result<Vec<Problem>> {
    let acknowledged = known.sent.places();
    let mut run = known.run.clone();
    run.events = acknowledged.len() as u64;
    let places = acknowledged.iter().flatten().count() as u64;
    let among = Among { acknowledged, letters_from: known.letters_from.clone() };
    let options = Options { settle, ..Options::default() };
    let engines = &known.scene.site.engines;
    let found = Box::pin(verify_among(engines, &run, options, among, stop)).await?;
    let book = &known.scene.book;
    book.tell("events published", found.events);
    book.tell("events acknowledged", places);
    book.tell("events stored", found.stored);
    book.tell("events dead-lettered", found.dead_lettered.values().sum());
    let mut problems = found.first.clone();
    let all: u64 = found.problems.values().sum();
    if all > problems.len() as u64 {
        problems.push(format!("in all {:?}", found.problems));
    }
    if found.uncommitted > 0 {
        let group = &run.names.group;
        problems.push(format!("the group {group} has not committed {} records", found.uncommitted));
    }
    Ok(problems.into_iter().map(|text| ("accounting", text)).collect())
}
