//! Commits: validated and applied one after the other, written to disk many at once, seen in their order.
//!
//! The head is the graph with every commit that was accepted; what is visible is the graph with every one
//! that is durable. At most one batch is on its way to the disk. What is accepted meanwhile is the next one,
//! so that a batch that the disk refuses takes only what was built on it along.

mod apply;
mod batch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use contracts::Revision;
use service_kit::embedded::{Disk, Room, Space};
use tokio::sync::{Mutex as Turns, MutexGuard, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::super::client::CommitError;
use super::super::store::GraphError;
use super::conflicts::Conflicts;
use super::edit::{Editor, Mark};
use super::log::{self, Counters, Records};
use super::state::{Cell, State};
use super::types::Types;
use super::{refused, unavailable};
use batch::Batch;

/// The part of a disk that has the graph.
const SPACE: &str = "graph";

/// How far time goes on at a start. More commits than that are never under way, so that no time is given
/// twice, even of what a crash left without an answer.
const LEAP: u64 = 1 << 20;

/// N-Quads that are applied where they were sent, in bytes; more are applied on a thread of their own.
const AT_ONCE: usize = 64 << 10;

/// The graph at one time.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) time: u64,
    pub(super) state: Arc<State>,
}

/// Where commits go.
struct Storage {
    disk: Disk,
    space: Space,
}

/// The graph with every commit that was accepted.
struct Head {
    state: Arc<State>,
    counters: Counters,
    conflicts: Conflicts,
    /// Whether there is a disk.
    durable: bool,
    /// When the schema was changed last.
    altered: u64,
    /// What waits for the disk.
    next: Option<Batch>,
    /// Whether something is on its way there.
    busy: bool,
    /// Why nothing is written any more.
    failed: Option<String>,
}

/// What who lost against another commit waits for.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Of what is visible.
    time: u64,
    /// How often what was accepted was given up.
    failures: u64,
}

/// A graph.
pub(super) struct Core {
    visible: RwLock<Moment>,
    /// When open transactions began, and how many at each time.
    open: Mutex<BTreeMap<u64, usize>>,
    /// Who waits for it waits aside: a large commit takes a while.
    head: Turns<Head>,
    storage: Option<Storage>,
    timeout: Duration,
    seen: watch::Sender<Seen>,
    #[cfg(test)]
    pub(super) recorder: Arc<super::tests::recorder::Recorder>,
}

impl Core {
    pub(super) fn in_memory(timeout: Duration) -> Self {
        let state = State::new(Arc::new(Types::default()));
        Self::new(state, Counters { time: 1, next: 1 }, None, timeout)
    }

    pub(super) fn open(disk: Disk, timeout: Duration) -> Result<Self, GraphError> {
        let space = disk.space(SPACE).map_err(unavailable)?;
        let (state, counters) = log::read(&space)?;
        let counters = Counters { time: counters.time + LEAP, ..counters };
        Ok(Self::new(state, counters, Some(Storage { disk, space }), timeout))
    }

    fn new(state: State, counters: Counters, storage: Option<Storage>, timeout: Duration) -> Self {
        let state = Arc::new(state);
        let head = Head {
            state: Arc::clone(&state),
            counters,
            conflicts: Conflicts::default(),
            durable: storage.is_some(),
            altered: 0,
            next: None,
            busy: false,
            failed: None,
        };
        Self {
            visible: RwLock::new(Moment { time: counters.time, state }),
            open: Mutex::default(),
            head: Turns::new(head),
            storage,
            timeout,
            seen: watch::Sender::new(Seen { time: counters.time, failures: 0 }),
            #[cfg(test)]
            recorder: Arc::default(),
        }
    }

    /// What is visible now.
    pub(super) fn moment(&self) -> Moment {
        self.visible.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The next node that is made has this id.
    #[cfg(test)]
    pub(super) async fn next_is(&self, uid: u64) {
        self.head.lock().await.counters.next = uid;
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everybody sees it from here on.
    fn publish(&self, moment: Moment) {
        let time = moment.time;
        *self.visible.write().unwrap_or_else(PoisonError::into_inner) = moment;
        self.seen.send_modify(|seen| seen.time = time);
    }

    /// When the oldest open transaction began.
    fn oldest(&self) -> u64 {
        let open = self.opened();
        open.keys().next().copied().unwrap_or_else(|| self.moment().time)
    }
}

/// That a transaction is open.
pub(super) struct Open {
    core: Arc<Core>,
    start: u64,
}

impl Open {
    pub(super) fn begin(core: &Arc<Core>) -> (Self, Moment) {
        // Looked at while nobody can forget what it does not know.
        let mut open = core.opened();
        let moment = core.moment();
        *open.entry(moment.time).or_default() += 1;
        drop(open);
        (Self { core: Arc::clone(core), start: moment.time }, moment)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = self.core.opened();
        if let Some(count) = open.get_mut(&self.start) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.start);
            }
        }
    }
}

/// How a commit goes on once it is accepted.
enum Accepted {
    /// It is visible.
    Done(u64),
    /// It is on its way to the disk.
    Waits(oneshot::Receiver<Result<u64, GraphError>>),
    /// Another one came first, at this time, after so many failures.
    Lost(u64, u64),
}

type Answered = Result<Revision, CommitError>;

/// See [`super::Transaction::commit`].
pub(super) async fn commit(open: Open, claims: Vec<Mark>, set: String, delete: String) -> Answered {
    let bytes = set.len() + delete.len();
    let (core, start) = (Arc::clone(&open.core), open.start);
    let end = Instant::now() + core.timeout;
    let room = core.room(3 * bytes + 512, end).await?;
    #[cfg(test)]
    let (texts, next) = ((set.clone(), delete.clone()), core.head.lock().await.counters.next);
    let accepted = if bytes <= AT_ONCE {
        let quads = apply::read(&set, &delete)?;
        let busy = |_| CommitError::Graph(unavailable("too many commits wait"));
        let head = timeout_at(end, core.head.lock()).await.map_err(busy)?;
        core.accept(head, room, |head| head.transact(start, claims, &quads))
    } else {
        let core = Arc::clone(&core);
        beside(move || {
            let quads = apply::read(&set, &delete)?;
            core.accept(core.head.blocking_lock(), room, |head| {
                head.transact(start, claims, &quads)
            })
        })
        .await
    }?;
    #[cfg(test)]
    if !matches!(accepted, Accepted::Lost(..)) {
        core.recorder.commit(&texts.0, &texts.1, next);
    }
    settle(&core, accepted, end).await
}

/// See [`super::Embedded::alter`].
pub(super) async fn alter(core: &Arc<Core>, schema: String) -> Answered {
    let end = Instant::now() + core.timeout.max(Duration::from_secs(60));
    let room = core.room(64 << 10, end).await?;
    let at = Arc::clone(core);
    let change = move || at.accept(at.head.blocking_lock(), room, |head| head.alter(&schema));
    let accepted = beside(change).await?;
    settle(core, accepted, end).await
}

async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CommitError> + Send + 'static,
) -> Result<T, CommitError> {
    let died = |_| CommitError::Graph(GraphError::Unknown("a commit died".to_owned()));
    tokio::task::spawn_blocking(work).await.map_err(died)?
}

async fn settle(core: &Core, accepted: Accepted, end: Instant) -> Answered {
    match accepted {
        Accepted::Done(time) => Ok(Revision(time)),
        Accepted::Waits(done) => {
            let unknown = |reason: &str| CommitError::Graph(GraphError::Unknown(reason.to_owned()));
            let done = timeout_at(end, done).await.map_err(|_| unknown("no answer in time"))?;
            let done = done.map_err(|_| unknown("the writer ended"))?;
            done.map(Revision).map_err(CommitError::Graph)
        }
        Accepted::Lost(time, failures) => {
            // Tried again before the other one is visible, it would only lose again.
            let is_over = |seen: &Seen| seen.time >= time || seen.failures != failures;
            let _ = timeout_at(end, core.seen.subscribe().wait_for(is_over)).await;
            Err(CommitError::Aborted)
        }
    }
}

/// What became of the head.
enum Next {
    /// It has one commit more.
    Changed(Editor),
    /// It is as it was.
    Same,
    Lost(u64),
}

impl Core {
    async fn room(&self, bytes: usize, end: Instant) -> Result<Option<Room>, CommitError> {
        let Some(storage) = &self.storage else { return Ok(None) };
        let room = timeout_at(end, storage.disk.room(bytes)).await;
        let full = |_| CommitError::Graph(unavailable("too much waits for the disk"));
        room.map(Some).map_err(full)
    }

    fn accept(
        self: &Arc<Self>,
        mut head: MutexGuard<'_, Head>,
        room: Option<Room>,
        change: impl FnOnce(&mut Head) -> Result<Next, CommitError>,
    ) -> Result<Accepted, CommitError> {
        if let Some(reason) = &head.failed {
            return Err(CommitError::Graph(unavailable(reason)));
        }
        let Editor { state, records, marks } = match change(&mut head)? {
            Next::Changed(editor) => editor,
            Next::Same => return Ok(Accepted::Done(head.counters.time)),
            Next::Lost(time) => return Ok(Accepted::Lost(time, self.seen.borrow().failures)),
        };
        head.counters.time += 1;
        let (time, counters) = (head.counters.time, head.counters);
        head.conflicts.note(time, marks);
        head.state = Arc::new(state);
        let moment = Moment { time, state: Arc::clone(&head.state) };
        let accepted = match (&self.storage, records, room) {
            (Some(storage), Some(mut records), Some(room)) => {
                records.put_counters(counters);
                let batch = head.next.get_or_insert_with(|| Batch::new(&moment));
                let done = batch.add(moment, records, &storage.space, room);
                if !std::mem::replace(&mut head.busy, true) {
                    tokio::spawn(batch::write(Arc::clone(self)));
                }
                Accepted::Waits(done)
            }
            _ => {
                self.publish(moment);
                Accepted::Done(time)
            }
        };
        head.conflicts.forget(self.oldest());
        Ok(accepted)
    }
}

impl Head {
    fn records(&self) -> Option<Records> {
        self.durable.then(Records::default)
    }

    fn transact(
        &mut self,
        start: u64,
        claims: Vec<Mark>,
        quads: &apply::Quads<'_>,
    ) -> Result<Next, CommitError> {
        if start < self.altered {
            return Ok(Next::Lost(self.altered));
        }
        if !self.conflicts.knows_since(start) {
            return Ok(Next::Lost(0));
        }
        let mut editor = Editor::new(State::clone(&self.state), self.records());
        editor.marks = claims;
        let mut next = self.counters.next;
        apply::apply(&mut editor, quads, &mut next).map_err(CommitError::Graph)?;
        if let Some(time) = self.conflicts.since(start, &editor.marks) {
            return Ok(Next::Lost(time));
        }
        self.counters.next = next;
        Ok(Next::Changed(editor))
    }

    fn alter(&mut self, schema: &str) -> Result<Next, CommitError> {
        let types = self.state.types.with(schema).map_err(CommitError::Graph)?;
        if types == *self.state.types {
            return Ok(Next::Same);
        }
        let mut records = self.records();
        records.iter_mut().for_each(|records| records.put_types(&types));
        let state = rebuilt(&self.state, &Arc::new(types)).map_err(CommitError::Graph)?;
        self.altered = self.counters.time + 1;
        Ok(Next::Changed(Editor::new(state, records)))
    }
}

/// All that is stored, with other indexes.
fn rebuilt(old: &State, types: &Arc<Types>) -> Result<State, GraphError> {
    let mut editor = Editor::new(State::new(Arc::clone(types)), None);
    for (uid, node) in old.nodes() {
        for (number, cell) in node.forwards() {
            let known = old.types.get(number).zip(types.get(number));
            let Some((_, of)) = known.filter(|(before, of)| before.kind == of.kind) else {
                let name = types.get(number).map_or("?", |of| &of.name);
                return Err(refused(format!("schema: another type of {name}, which has values")));
            };
            match cell {
                Cell::Edge(to) => editor.set_edge(uid, number, of, *to),
                Cell::Edges(all) => {
                    all.after(0).for_each(|to| editor.add_edge(uid, number, of, to));
                }
                value => editor.set_value(uid, number, of, value.clone()),
            }
            editor.marks.clear();
        }
    }
    Ok(editor.state)
}
