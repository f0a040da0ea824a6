//! What has to agree in the end: queues drain after faults, so it is looked at until it does, or the time is up.

mod changes;
mod said;
mod trail;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) use changes::Told;

use anyhow::ensure;
use futures::StreamExt as _;

use super::checks::{Right, Shown, check_at};
use super::gateway::Service;
use super::scene::vault;
use super::{Known, Rates, posts};
use crate::scrape;
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
/// Events of the producer that are read back in a second, at least.
const READ_A_SECOND: u64 = 20_000;
/// Last checks at once.
const AT_ONCE: usize = 8;
/// For all last checks to be answered; each is asked once, however late.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// Something that does not agree yet: the invariant, and what it is.
type Problem = (&'static str, String);

/// Looks at everything, and writes down what is wrong as soon as it is known: what cannot be read after it hides nothing.
/// Returns how much was looked at.
pub(super) async fn verify(
    known: &Known,
    within: Duration,
) -> anyhow::Result<BTreeMap<&'static str, u64>> {
    let deadline = Instant::now() + within;
    let published = known.sent.places().len() as u64;
    let reading = READING + Duration::from_secs(published / READ_A_SECOND);
    let stop = Stop::after(within + reading);
    let _guard = stop.guard();
    let left = || deadline.max(Instant::now() + LEAST);
    let book = &known.scene.book;
    let wrong = |problems: Vec<Problem>| {
        for (invariant, detail) in problems {
            book.violation(invariant, || detail);
        }
    };
    wrong(until(left(), async || agree(known, &stop).await).await?);
    // What may come twice may come late: all that Kafka has is stored before it is looked at for good.
    until(left(), async || trails(known).await).await?;
    last_checks(known).await;
    let settle = left().saturating_duration_since(Instant::now());
    wrong(account(known, settle, &stop).await?);
    wrong(until(Instant::now() + LEAST, async || trails(known).await).await?);
    let (posts, rights) = (known.posts.all(), known.grants.all());
    let written = |right: &Arc<Right>| {
        let history = lock(&right.history);
        history.acknowledged(true) + history.acknowledged(false)
    };
    let told = [
        ("mutations acknowledged", known.scene.mutations().len() as u64),
        ("requests posted", posts.len() as u64),
        ("requests acknowledged", posts.iter().filter(|post| post.acknowledged).count() as u64),
        ("rights", rights.len() as u64),
        ("writes of rights acknowledged", rights.iter().map(written).sum()),
    ];
    told.into_iter()
        .filter(|(_, count)| *count > 0)
        .for_each(|(what, count)| book.tell(what, count));
    let told = book.told();
    let unseen = expected(known.rates).find(|what| !told.contains_key(what));
    ensure!(unseen.is_none(), "nothing was verified by {unseen:?}: {told:?}");
    Ok(told)
}

/// What there is to be something of, with work at these rates: no verdict is of nothing.
fn expected(rates: Rates) -> impl Iterator<Item = &'static str> {
    [
        (rates.events, "events acknowledged"),
        (rates.posts, "requests acknowledged"),
        (rates.checks, "checks with a token"),
        (rates.checks, "checks without a token"),
        (rates.grants, "writes of rights acknowledged"),
        (rates.identities, "mutations acknowledged"),
    ]
    .into_iter()
    .filter_map(|(rate, what)| (rate > 0).then_some(what))
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
        let (rows, last) = match Said::by_snapshot(&rows.body) {
            Ok(said) => said,
            Err(error) => {
                problems.push(("agreement", format!("the snapshot of {}: {error:#}", tenant.id)));
                continue;
            }
        };
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
    problems.extend(waiting(known).await?.map(|text| ("agreement", text)));
    let wrong = lock(&known.told).problems().to_vec();
    problems.extend(wrong.into_iter().map(|text| ("no_gap", text)));
    if problems.is_empty() {
        known.scene.book.tell("changes of identities", changes);
    }
    Ok(problems)
}

/// What waits to be told, or never will be, as `identity-admin` says of itself.
async fn waiting(known: &Known) -> anyhow::Result<Option<String>> {
    let client = scrape::client(LOOK)?;
    for replica in known.scene.site.identity {
        let Ok(text) = scrape::text(&client, replica.admin).await else {
            return Ok(Some(format!("nobody tells the metrics at {}", replica.admin)));
        };
        for name in ["triad_identity_outbox_depth", "triad_identity_outbox_parked"] {
            match scrape::total(&text, name) {
                Some(0.0) => {}
                Some(rows) => return Ok(Some(format!("{name} is {rows} at {}", replica.admin))),
                None => return Ok(Some(format!("nobody tells {name} at {}", replica.admin))),
            }
        }
    }
    Ok(None)
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
            let vaults = tenant.crews.iter().map(|crew| (vault(crew), trail::Tally::made()));
            trail::Expected {
                work: known.scene.id.clone(),
                seed: known.scene.seed,
                tenant: tenant.id.to_string(),
                place: (place, known.scene.tenants.len()),
                posts: posts.clone(),
                changes: changes.collect::<BTreeMap<_, _>>(),
                bindings: bindings.chain(vaults).collect(),
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

/// Asks each replica about every right once more, in each way; the history judges. What was written last is older than the
/// bound then. Nobody may leave it unanswered for long.
async fn last_checks(known: &Known) {
    let scene = &known.scene;
    tokio::time::sleep(scene.site.bounds.all()).await;
    let all = known.board.all();
    let each = all.iter().flat_map(|right| {
        let ways = Shown::ALL.into_iter().flat_map(|shown| [(shown, 0), (shown, 1)]);
        ways.map(move |way| (right, way))
    });
    let until = Instant::now() + ANSWERED_WITHIN;
    let ask = async |(right, way): (&Arc<Right>, (Shown, usize))| {
        while check_at(scene, right, way).await.is_none() {
            if Instant::now() >= until {
                scene.book.violation("answers", || {
                    let (edge, subject) = (way.1 + 1, &right.subject);
                    let tenant = &scene.tenants[right.tenant].id;
                    format!("edge {edge} never says whether {subject} may read in {tenant}")
                });
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    futures::stream::iter(each).for_each_concurrent(AT_ONCE, ask).await;
}

/// The accounting identity of the producer's events.
async fn account(known: &Known, settle: Duration, stop: &Stop) -> anyhow::Result<Vec<Problem>> {
    let acknowledged = known.sent.places();
    let mut run = known.run.clone();
    run.events = acknowledged.len() as u64;
    let places = acknowledged.iter().flatten().count() as u64;
    let among = Among {
        acknowledged,
        letters_from: known.letters_from.clone(),
        stored: Some(posts::prefix(&known.scene.id)),
    };
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
