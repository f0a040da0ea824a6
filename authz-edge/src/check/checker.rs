//! From a question to an answer: a cached decision, else cached views, else the graph.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::{ConsistencyToken, Revision, TenantId};
use metrics::counter;

use super::applied::Applied;
use super::counters::Counters;
use super::decisions::{Decision, Decisions, Looked, Said, Says, Stored, decisions};
use super::doorkeeper::Doorkeeper;
use super::fences::Fences;
use super::freshness::Freshness;
use super::key::DecisionKey;
use super::narrowed::Narrowed;
use super::question::{Answer, AtLeast, CheckError, Given, Question, Source, Words};
use super::stamp::{Millis, Present, millis};
use super::views::{self, Need, Shared, Subject, Views, prune};
use crate::clock::Clock;
use crate::graph::{Graph, GraphError};
use crate::model::condition::Precedence;
use crate::model::view::{Verdict, evaluate};

/// How often both views are looked at for one question, so that one does not change while the other is
/// read.
const LOOKS: u32 = 3;

/// Whoever got an answer from conditions that took more steps than this lets others go on: half a
/// millisecond. A batch asks for a thousand.
const LONG: u64 = 25_000;

/// Bounds and ways of the checker.
#[derive(Debug, Clone)]
pub struct Options {
    /// Of the views.
    pub views: views::Options,
    /// Weight of decisions, bytes.
    pub decision_bytes: u64,
    /// Questions that are remembered as asked once, at most; 0 caches every decision at once.
    pub doorkeeper: usize,
    /// How long a denial counts after the reads that it was made from, or after the last watermark; at
    /// most the life of views.
    pub deny_life: Duration,
    /// Whether the request's properties or the stored ones win.
    pub precedence: Precedence,
    /// How long a check waits for what its token names.
    pub wait: Duration,
    /// With a watermark or an identity sync that is further behind than this, nothing is answered; `None`
    /// answers as long as entries live.
    pub fail_closed_after: Option<Duration>,
}

/// The one evaluator. All routes ask it.
pub struct Checker<G> {
    views: Views<G>,
    decisions: Decisions,
    doorkeeper: Doorkeeper,
    narrowed: Narrowed,
    applied: Applied,
    options: Options,
    counters: Counters,
}

/// Why no cached decision answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Miss {
    /// There is none.
    Absent,
    /// It does not hold, or not for what is asked.
    Void,
    /// It holds, and its conditions take too many steps: no read changes that.
    Limit,
}

impl<G: Graph> Checker<G> {
    /// With nothing cached.
    #[must_use]
    pub fn new(
        graph: G,
        fences: Arc<Fences>,
        freshness: Arc<Freshness>,
        clock: Clock,
        options: Options,
    ) -> Self {
        let views = Views::new(graph, fences, freshness, clock, options.views.clone());
        let decisions = decisions(options.decision_bytes);
        let doorkeeper = Doorkeeper::new(options.doorkeeper);
        let (narrowed, applied) = (Narrowed::default(), Applied::default());
        let counters = Counters::new();
        Self { views, decisions, doorkeeper, narrowed, applied, options, counters }
    }

    /// The store, fences, watermark and clock.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared<G>> {
        self.views.shared()
    }

    /// Raises the fences of a write of this process: its own edge need not wait for the relay.
    pub fn wrote(&self, tenant: &TenantId, written: &crate::graph::write::Written) {
        if !written.changed.is_empty() {
            self.shared().fences.raise(tenant, &written.changed, written.revision);
        }
    }

    /// The token of an answer or a write.
    #[must_use]
    pub fn token(&self, revision: Revision) -> ConsistencyToken {
        ConsistencyToken::Graph { epoch: self.shared().freshness.epoch(), revision }
    }

    /// What a token asks for.
    ///
    /// # Errors
    /// `Invalid` for one that is malformed, of another tenant, or of another graph.
    pub fn at_least(&self, token: &str, tenant: &TenantId) -> Result<AtLeast, CheckError> {
        let refuse =
            |rule: String| CheckError::Invalid(crate::model::Invalid::new("at_least", rule));
        match ConsistencyToken::decode(token, tenant).map_err(|error| refuse(error.to_string()))? {
            ConsistencyToken::Graph { epoch, .. } if epoch != self.shared().freshness.epoch() => {
                Err(refuse("the token is of another graph".to_owned()))
            }
            ConsistencyToken::Graph { revision, .. } => Ok(AtLeast::Revision(revision)),
            ConsistencyToken::Identity { seq } => Ok(AtLeast::Identity(seq)),
        }
    }

    /// The answer to a question.
    ///
    /// # Errors
    /// As [`Checker::ask`].
    pub async fn check(
        &self,
        question: &Question,
        given: &Given,
        at_least: AtLeast,
    ) -> Result<Answer, CheckError> {
        self.ask(&question.words(), given, at_least).await
    }

    /// The answer. A cached decision gives it without a lock of ours, and allocates nothing unless a
    /// condition does.
    ///
    /// # Errors
    /// [`CheckError`]; never to be taken for a denial.
    pub async fn ask(
        &self,
        words: &Words<'_>,
        given: &Given,
        at_least: AtLeast,
    ) -> Result<Answer, CheckError> {
        given.check()?;
        let need = self.need(words.tenant, at_least).await?;
        let (answer, steps) = match self.cached(words, given, need) {
            Ok((answer, steps)) => {
                self.counters.count(&answer);
                (answer, steps)
            }
            Err(miss) => self.missed(words, given, need, miss).await?,
        };
        if steps > LONG {
            tokio::task::yield_now().await;
        }
        Ok(answer)
    }

    /// The answer of a cached decision, and the steps that its conditions took.
    fn cached(
        &self,
        words: &Words<'_>,
        given: &Given,
        need: Revision,
    ) -> Result<(Answer, u64), Miss> {
        let key = DecisionKey::new(words).ok_or(Miss::Absent)?;
        if self.lags() {
            return Err(Miss::Void);
        }
        // Before the look: what is found then holds at this watermark at least.
        let watermark = self.shared().freshness.watermark();
        let decision = self.decisions.get(key.as_bytes()).ok_or(Miss::Absent)?;
        self.still(&decision, words, given, need, watermark)
    }

    /// What a cached decision answers now, if it holds.
    fn still(
        &self,
        decision: &Decision,
        words: &Words<'_>,
        given: &Given,
        need: Revision,
        watermark: Revision,
    ) -> Result<(Answer, u64), Miss> {
        let shared = self.shared();
        let present = shared.present();
        if decision.denies() && self.is_old(decision.begun(), present)
            || !shared.held(&decision.subject, present)
            || !shared.held(&decision.resource, present)
        {
            return Err(Miss::Void);
        }
        let revision = decision.revision().max(watermark);
        if revision < need {
            return Err(Miss::Void);
        }
        let now = shared.clock.micros();
        let Said { says, steps } = decision.answer(words, given, self.options.precedence, now);
        let allowed = match says {
            Says::Allow => true,
            Says::Deny => false,
            Says::Expired => return Err(Miss::Void),
            Says::Limit => return Err(Miss::Limit),
        };
        Ok((Answer { allowed, revision, source: Source::Decision }, steps))
    }

    async fn missed(
        &self,
        words: &Words<'_>,
        given: &Given,
        need: Revision,
        miss: Miss,
    ) -> Result<(Answer, u64), CheckError> {
        let begun = Instant::now();
        let answer = match miss {
            Miss::Limit => Err(limit().await),
            Miss::Absent | Miss::Void => self.decide(words, given, need, miss).await,
        };
        self.counters.missed.record(begun.elapsed());
        match &answer {
            Ok((answer, _)) => self.counters.count(answer),
            Err(_) => {
                counter!("triad_authz_checks_total", "result" => "error", "source" => "graph")
                    .increment(1);
            }
        }
        answer
    }

    async fn decide(
        &self,
        words: &Words<'_>,
        given: &Given,
        need: Revision,
        miss: Miss,
    ) -> Result<(Answer, u64), CheckError> {
        words.check()?;
        self.refuse_lag()?;
        let watermark = self.shared().freshness.watermark();
        let looked = self.look(words, need).await?;
        let Looked { verdict, now, stored, stamps, cached, narrowed } = looked;
        let decision = Decision::new(verdict, stored, stamps);
        // The verdict was made at `now`: nothing that it rests on has expired.
        let Said { says, steps } = decision.answer(words, given, self.options.precedence, now);
        // Each view is this new itself, or was found to hold after the watermark was.
        let revision = decision.revision().max(watermark).max(need);
        if let Some(key) = DecisionKey::new(words)
            && (miss == Miss::Void || narrowed || self.doorkeeper.admits(key.as_bytes()))
        {
            self.decisions.insert(key.as_bytes().into(), Arc::new(decision));
        }
        if says == Says::Limit {
            return Err(limit().await);
        }
        let source = if cached { Source::Views } else { Source::Graph };
        Ok((Answer { allowed: says == Says::Allow, revision, source }, steps))
    }

    /// What follows from two views that hold at once. One of them is cached, or read sooner than the
    /// other: what was revoked meanwhile, and what was granted only then, must not meet in an answer.
    /// After [`LOOKS`], both are at least of after the question.
    async fn look(&self, words: &Words<'_>, revision: Revision) -> Result<Looked, CheckError> {
        let shared = self.shared();
        let (mut need, asked) = (Need::from(revision), shared.clock.millis());
        for _ in 1..LOOKS {
            let looked = self.look_once(words, need).await?;
            let (subject, resource) = &looked.stamps;
            let (begun, present) = (subject.begun().min(resource.begun()), shared.present());
            let is_denial = matches!(looked.verdict, Verdict::Deny);
            // Else the views would make the same denial again for as long as they live.
            if is_denial && begun < asked && self.is_old(begun, present) {
                let youth = millis(self.options.deny_life).saturating_sub(1);
                need.since = present.now.saturating_sub(youth);
            } else if shared.holds(&looked.stamps.0) && shared.holds(&looked.stamps.1) {
                return Ok(looked);
            }
        }
        self.look_once(words, need).await
    }

    /// Whether what was read then is too old for a denial.
    fn is_old(&self, begun: Millis, present: Present) -> bool {
        present.now >= begun.max(present.confirmed) + millis(self.options.deny_life)
    }

    async fn look_once(&self, words: &Words<'_>, need: Need) -> Result<Looked, CheckError> {
        let ((subject, subject_cached), (resource, resource_cached)) = tokio::try_join!(
            self.views.subject(words.tenant, (words.subject_type, words.subject), need),
            self.views.resource(words.tenant, (words.resource_type, words.resource), need)
        )?;
        let read;
        let (view, stamp, narrowed) = match &subject.view {
            Some(view) => (view, &subject.stamp, false),
            None => {
                read = Box::pin(self.narrowed(words, need, &resource)).await?;
                (&read.view, &read.stamp, true)
            }
        };
        let now = self.shared().clock.micros();
        let (subject, resource_attributes) =
            (view.attributes.clone(), resource.view.attributes.clone());
        Ok(Looked {
            verdict: evaluate(view, &resource.view, words.action, now),
            now,
            stored: Stored { subject, resource: resource_attributes },
            stamps: (Arc::clone(stamp), Arc::clone(&resource.stamp)),
            cached: subject_cached && resource_cached && !narrowed,
            narrowed,
        })
    }

    /// The views that a question is decided from, as they are cached or read: for searches, which ask
    /// many questions about one subject.
    ///
    /// # Errors
    /// [`CheckError`].
    pub async fn subject(
        &self,
        tenant: &TenantId,
        subject: &crate::model::SubjectRef,
        need: Revision,
    ) -> Result<Subject, CheckError> {
        let named = (subject.type_, subject.id.as_str());
        Ok(self.views.subject(tenant, named, need.into()).await?.0)
    }

    /// The revision that must be in an answer. An identity token waits until sync has applied it.
    ///
    /// # Errors
    /// `Behind` when that takes too long.
    pub async fn need(&self, tenant: &TenantId, at_least: AtLeast) -> Result<Revision, CheckError> {
        match at_least {
            AtLeast::Bound => Ok(Revision(0)),
            AtLeast::Revision(revision) => Ok(revision),
            AtLeast::Identity(seq) => {
                // Boxed, as each check's future has room for it otherwise.
                let (applied, wait) = (&self.applied, self.options.wait);
                Box::pin(applied.revision(self.shared(), tenant, seq, wait)).await
            }
        }
    }

    /// The cached views.
    pub(super) fn views(&self) -> &Views<G> {
        &self.views
    }

    /// Takes out what is cached and counts no more, which moka would keep until something needs its room. Half a
    /// second for a million decisions, and five if all of them go: nothing for a thread that answers.
    pub fn prune(&self) {
        let present = self.shared().present();
        self.views().prune(present);
        prune(self.decisions(), |decision| decision.is_past(present));
    }

    /// All cached decisions.
    pub(super) fn decisions(&self) -> &Decisions {
        &self.decisions
    }

    /// The reads about subjects that are too large for a view.
    pub(super) fn narrowed_flights(&self) -> &Narrowed {
        &self.narrowed
    }

    /// Whether the request's properties or the stored ones win.
    pub(super) fn precedence(&self) -> Precedence {
        self.options.precedence
    }

    fn lags(&self) -> bool {
        let shared = self.shared();
        let lag = || shared.freshness.lag(shared.clock.millis());
        self.options.fail_closed_after.is_some_and(|limit| lag() > millis(limit))
    }

    fn refuse_lag(&self) -> Result<(), CheckError> {
        if self.lags() {
            return Err(CheckError::Lag("changes arrive too late".to_owned()));
        }
        Ok(())
    }
}

/// That took long: others go on.
async fn limit() -> CheckError {
    tokio::task::yield_now().await;
    too_many_steps()
}

/// Of conditions that could not all be evaluated, while none that was holds.
pub(super) fn too_many_steps() -> CheckError {
    let most = crate::model::condition::MAX_DECISION_STEPS;
    GraphError::Limit(format!("the conditions of this decision could take more than {most} steps"))
        .into()
}
