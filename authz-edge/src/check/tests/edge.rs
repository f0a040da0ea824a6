//! A checker on a store in memory, with everything that reaches it in the test's hands.

use std::sync::Arc;
use std::time::Duration;

use contracts::{Revision, TenantId};

use super::memory::Memory;
use super::world::{Change, Rule};
use crate::check::fences::Fences;
use crate::check::freshness::Freshness;
use crate::check::{Answer, AtLeast, CheckError, Checker, Given, Options, Question, views};
use crate::clock::Clock;
use crate::model::condition::Precedence;
use crate::model::{Key, ResourceRef, Scope, SubjectRef, SubjectType};

/// Of views and allows, in milliseconds.
pub(super) const LIFE: u64 = 30_000;
/// Of both, however often it is renewed.
pub(super) const MAX_LIFE: u64 = 3 * LIFE;
/// Of denials.
pub(super) const DENY_LIFE: u64 = 5_000;
/// Beyond this age of the watermark, reads are strict.
pub(super) const STRICT_AFTER: u64 = 2_000;

pub(super) fn options() -> Options {
    let views = views::Options {
        life: Duration::from_millis(LIFE),
        max_life: Duration::from_millis(MAX_LIFE),
        subject_bytes: 1 << 20,
        resource_bytes: 1 << 20,
        fills: 64,
        strict_after: Duration::from_millis(STRICT_AFTER),
        deadline: Duration::from_secs(60),
    };
    Options {
        views,
        decision_bytes: 1 << 20,
        doorkeeper: 0,
        deny_life: Duration::from_millis(DENY_LIFE),
        precedence: Precedence::Request,
        wait: Duration::from_secs(60),
        fail_closed_after: None,
    }
}

pub(super) struct Edge {
    pub(super) memory: Memory,
    pub(super) fences: Arc<Fences>,
    pub(super) freshness: Arc<Freshness>,
    pub(super) clock: Clock,
    pub(super) checker: Arc<Checker<Memory>>,
}

impl Edge {
    pub(super) fn with(options: Options) -> Self {
        // Few enough to be made a thousand times, many enough that keys rarely share one.
        Self::of(options, 1 << 13)
    }

    fn of(options: Options, places: usize) -> Self {
        let (memory, clock) = (Memory::new(), Clock::manual());
        let fences = Arc::new(Fences::with_places(places, 4));
        let freshness = Arc::new(Freshness::default());
        let checker = Checker::new(
            memory.clone(),
            Arc::clone(&fences),
            Arc::clone(&freshness),
            clock.clone(),
            options,
        );
        Self { memory, fences, freshness, clock, checker: Arc::new(checker) }
    }

    /// One where anna may read doc:1 in acme through team:a, and the edge knows of everything.
    pub(super) fn seeded(options: Options) -> Self {
        Self::with(options).seed()
    }

    /// The same for tests that count reads: keys that shared a fence would add some.
    pub(super) fn counted(options: Options) -> Self {
        Self::of(options, 1 << 20).seed()
    }

    fn seed(self) -> Self {
        let edge = self;
        let (_, tenant) = (edge.write(&Change::Add(anna())), acme());
        for change in [
            Change::Role("reader".to_owned(), vec![("read".to_owned(), Scope::All, Rule::Always)]),
            Change::Open(doc("1"), Some(true)),
            bind("a"),
            Change::Member(anna(), "a".to_owned(), true),
        ] {
            edge.memory.commit(&tenant, &change);
        }
        edge.advance();
        edge
    }

    /// Commits a change that no relay has seen yet.
    pub(super) fn write(&self, change: &Change) -> Written {
        let (keys, revision) = self.memory.commit(&acme(), change);
        Written { keys, revision }
    }

    /// What a relay does.
    pub(super) fn raise(&self, written: &Written) {
        self.fences.raise(&acme(), &written.keys, written.revision);
    }

    /// Writes and delivers.
    pub(super) fn change(&self, change: &Change) {
        self.raise(&self.write(change));
    }

    /// The watermark is now.
    pub(super) fn advance(&self) -> Revision {
        let now = Revision(self.memory.with(|history| history.now));
        self.freshness.advance(now, self.clock.millis());
        now
    }

    pub(super) async fn ask(&self, question: &Question) -> Result<Answer, CheckError> {
        self.checker.check(question, &Given::default(), AtLeast::Bound).await
    }

    /// Whether anna may read doc:1.
    pub(super) async fn may(&self) -> bool {
        self.ask(&reads()).await.unwrap().allowed
    }

    /// Asks in a task of its own.
    pub(super) fn begin(
        &self,
        question: &Question,
        at_least: AtLeast,
    ) -> tokio::task::JoinHandle<Result<Answer, CheckError>> {
        let (checker, question) = (Arc::clone(&self.checker), question.clone());
        tokio::spawn(async move { checker.check(&question, &Given::default(), at_least).await })
    }
}

/// A write that was committed.
pub(super) struct Written {
    pub(super) keys: Vec<Key>,
    pub(super) revision: Revision,
}

pub(super) fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

pub(super) fn anna() -> SubjectRef {
    SubjectRef::new(SubjectType::User, "anna")
}

pub(super) fn doc(id: &str) -> ResourceRef {
    ResourceRef::new("doc", id)
}

/// A team gets the role of readers, everywhere and for ever.
pub(super) fn bind(team: &str) -> Change {
    Change::Bind(
        super::world::team(team),
        "reader".to_owned(),
        Scope::All,
        Some(super::world::until(None)),
    )
}

/// And loses it.
pub(super) fn unbind(team: &str) -> Change {
    Change::Bind(super::world::team(team), "reader".to_owned(), Scope::All, None)
}

pub(super) fn question(subject: SubjectRef, resource: ResourceRef) -> Question {
    Question { tenant: acme(), subject, action: "read".to_owned(), resource }
}

/// May anna read doc:1?
pub(super) fn reads() -> Question {
    question(anna(), doc("1"))
}
