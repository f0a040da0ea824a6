//! Pages against a model: whatever the layouts, bounds and order, all pages together are the sorted,
//! filtered list.

use std::time::Duration;

use contracts::TenantId;
use proptest::prelude::*;
use tokio::time::Instant;

use super::model::{Model, event, id_at};
use super::page::{Budget, read};
use super::*;
use crate::layout::{ClassId, Granularity, Layout, Layouts};

/// 1971-02-04, so that no class's life reaches back to the epoch.
const BASE: i64 = 400 * 86_400_000;
/// What the tests' events span: a bit more than two days, in milliseconds.
const SPAN: i64 = 200_000_000;
const NOW: i64 = BASE + SPAN;

#[derive(Debug, Clone)]
struct Case {
    layouts: Layouts,
    events: Vec<StoredEvent>,
    filter: Filter,
    order: Order,
    pushes: bool,
    range: TimeRange,
    limit: usize,
    partitions: usize,
    rows: usize,
}

fn layouts() -> impl Strategy<Value = Layouts> {
    let granularity = proptest::sample::select(Granularity::ALL.to_vec());
    let class = proptest::sample::select(ClassId::all().collect::<Vec<_>>());
    let row = (0..SPAN, granularity, 1_u8..=5, class, any::<bool>());
    proptest::collection::vec(row, 0..4).prop_map(|rows| {
        let rows = rows.into_iter().map(|(at, granularity, shards, class, own)| {
            let layout = Layout { effective_from: BASE + at, granularity, shards, class };
            ((if own { "t" } else { "*" }).to_owned(), layout)
        });
        Layouts::from_rows(rows.chain([("*".to_owned(), Layout::DEFAULT)])).unwrap()
    })
}

/// Times that collide, that sit on the edges of buckets, and that spread.
fn time() -> impl Strategy<Value = Ticks> {
    let edges = (0_i64..48, -1_i64..=1).prop_map(|(hour, by)| hour * 3_600_000 + by);
    let ms = prop_oneof![3 => 1000_i64..1004, 2 => edges, 3 => 0..SPAN];
    (ms, 0_u64..3).prop_map(|(ms, ticks)| tick(BASE + ms.clamp(0, SPAN - 1), ticks))
}

fn tick(ms: i64, ticks: u64) -> Ticks {
    Ticks::from_gregorian(Ticks::from_millis(ms).gregorian() + ticks)
}

fn events() -> impl Strategy<Value = Vec<StoredEvent>> {
    let word = || proptest::option::of("[ab]");
    let one = (time(), any::<u64>(), word(), word(), "[ab]");
    let one = one.prop_map(|(time, content, actor_id, resource_id, action)| StoredEvent {
        actor_id,
        resource_id,
        action,
        ..event(Position { time: time.millis(), id: id_at(time, content) })
    });
    proptest::collection::vec(one, 0..120)
}

fn filter() -> impl Strategy<Value = Filter> {
    let field = || proptest::option::weighted(0.3, "[ab]");
    (field(), field(), field()).prop_map(|(actor_id, resource_id, action)| Filter {
        actor_id,
        resource_id,
        action,
        ..Filter::default()
    })
}

fn range() -> impl Strategy<Value = TimeRange> {
    let all = Just(TimeRange { from: Ticks::EPOCH, to: Ticks::MAX });
    let some = (time(), time()).prop_map(|(a, b)| TimeRange { from: a.min(b), to: a.max(b) });
    prop_oneof![all, some]
}

prop_compose! {
    fn case()(
        layouts in layouts(), events in events(), filter in filter(), range in range(),
        newest: bool, pushes: bool,
        limit in 1_usize..12, partitions in 1_usize..400, rows in 1_usize..20,
    ) -> Case {
        let order = if newest { Order::Newest } else { Order::Oldest };
        Case { layouts, events, filter, order, pushes, range, limit, partitions, rows }
    }
}

impl Case {
    fn query(&self) -> RangeQuery {
        let tenant = TenantId::parse("t").unwrap();
        let (range, filter) = (self.range, self.filter.clone());
        RangeQuery { tenant, range, filter, order: self.order }
    }

    fn store(&self) -> Model {
        let mut model = Model { pushes: self.pushes, ..Model::default() };
        for event in &self.events {
            model.insert(&self.layouts, "t", event.clone());
            model.insert(&self.layouts, "other", event.clone());
        }
        model
    }

    fn budget(&self) -> Budget {
        let until = Instant::now() + Duration::from_secs(600);
        Budget { partitions: self.partitions, rows: self.rows, until }
    }

    /// What all pages together must be.
    fn expected(&self) -> Vec<StoredEvent> {
        let mut events = self.events.clone();
        events.sort_by_key(|event| event.position);
        events.dedup_by_key(|event| event.position);
        if self.order == Order::Newest {
            events.reverse();
        }
        let range = self.range.from..self.range.to;
        events.retain(|event| range.contains(&event.time()) && self.filter.admits(event));
        events
    }

    async fn pages(&self) -> Vec<Page> {
        let (store, query) = (self.store(), self.query());
        let (mut pages, mut resume) = (Vec::<Page>::new(), None);
        loop {
            let exists = (NOW, 600_000);
            let page =
                read(&store, &self.layouts, &query, resume, self.limit, self.budget(), exists);
            let page = page.await.unwrap();
            resume = page.next;
            pages.push(page);
            if resume.is_none() {
                return pages;
            }
            assert!(pages.len() < 20_000, "it does not end");
        }
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// Rows of one content under one position are one row: the model keeps the last one inserted, so the
/// generator must not make two of them.
fn distinct(events: &[StoredEvent]) -> bool {
    let positions: std::collections::BTreeSet<_> = events.iter().map(|e| e.position).collect();
    positions.len() == events.len()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn all_pages_together_are_the_model_s_list(case in case()) {
        prop_assume!(distinct(&case.events));
        let pages = run(case.pages());
        for page in &pages {
            prop_assert!(page.events.len() <= case.limit);
            prop_assert!(page.partitions <= case.partitions.max(5));
            // One round of fetches asks for no more than is left, but for a row of every partition.
            prop_assert!(page.examined <= case.rows + page.partitions * 2 + 16, "{page:?}");
        }
        let all: Vec<_> = pages.into_iter().flat_map(|page| page.events).collect();
        prop_assert_eq!(all, case.expected());
    }
}

fn plain(events: Vec<StoredEvent>, limit: usize) -> Case {
    let row = ("*".to_owned(), Layout::DEFAULT);
    Case {
        layouts: Layouts::from_rows([row]).unwrap(),
        events,
        filter: Filter::default(),
        order: Order::Newest,
        pushes: false,
        range: TimeRange { from: Ticks::from_millis(BASE), to: Ticks::from_millis(NOW) },
        limit,
        partitions: 64,
        rows: 5000,
    }
}

fn at(ms: i64) -> StoredEvent {
    let time = Ticks::from_millis(BASE + ms);
    event(Position { time: time.millis(), id: id_at(time, ms.unsigned_abs() << 8) })
}

#[test]
fn the_first_page_of_a_full_bucket_costs_one_fetch() {
    let case = plain((0..300).map(|i| at(SPAN - 1 - i)).collect(), 100);
    let (store, query) = (case.store(), case.query());
    let page = read(&store, &case.layouts, &query, None, 100, case.budget(), (NOW, 0));
    let page = run(page).unwrap();
    assert_eq!((page.events.len(), page.partitions, page.examined), (100, 1, 101));
    assert_eq!(store.fetches.into_inner(), 1);
    assert_eq!(page.next, Some(Resume::After(page.events[99].position)));
}

#[test]
fn the_last_page_has_no_cursor_even_when_it_is_full() {
    let case = plain((0..10).map(at).collect(), 10);
    let pages = run(case.pages());
    assert_eq!(pages.len(), 1);
    assert_eq!((pages[0].events.len(), pages[0].next), (10, None));
}

#[test]
fn a_page_that_ran_out_of_partitions_goes_on_behind_the_last_bucket() {
    let mut case = plain(vec![at(0)], 10);
    let minutes = Layout { granularity: Granularity::Minute, ..Layout::DEFAULT };
    case.layouts = Layouts::from_rows([("*".to_owned(), minutes)]).unwrap();
    case.range.to = Ticks::from_millis(BASE + 100 * 60_000);
    let pages = run(case.pages());
    let sizes: Vec<_> = pages.iter().map(|page| (page.events.len(), page.partitions)).collect();
    assert_eq!(sizes, [(0, 64), (1, 36)]);
    assert_eq!(pages[0].next, Some(Resume::Boundary(BASE + 36 * 60_000)));
}

#[test]
fn a_page_of_large_events_ends_early() {
    let large = |ms| StoredEvent { details: vec![("k".into(), "v".repeat(600_000))], ..at(ms) };
    let pages = run(plain((0..20).map(large).collect(), 100).pages());
    let sizes: Vec<_> = pages.iter().map(|page| page.events.len()).collect();
    assert_eq!(sizes, [7, 7, 6], "4 MiB each");
}

#[test]
fn past_half_its_time_a_page_ends_where_it_is() {
    let case = plain((0..10).map(at).collect(), 10);
    let case = Case { filter: Filter { action: Some("none".into()), ..Filter::default() }, ..case };
    let (store, query) = (case.store(), case.query());
    let over = Budget { until: Instant::now(), ..case.budget() };
    let page = run(read(&store, &case.layouts, &query, None, 10, over, (NOW, 0))).unwrap();
    assert_eq!((page.events.len(), page.partitions), (0, 1));
    assert_eq!(page.next, Some(Resume::Boundary(BASE + 2 * 86_400_000)));
}

#[test]
fn an_error_is_no_half_page() {
    let case = plain((0..600).map(at).collect(), 600);
    let store = Model { fails_after: Some(1), ..case.store() };
    let query = case.query();
    let page = run(read(&store, &case.layouts, &query, None, 600, case.budget(), (NOW, 0)));
    assert!(matches!(page, Err(QueryError::Unavailable(_))), "{page:?}");
}
