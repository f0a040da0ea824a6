//! Answered checks as audit events, beside the answer and never before it: a full queue drops an event
//! and counts it, and no check waits.
//!
//! | module | what it holds |
//! |---|---|
//! | [`event`] | a decision as it waits, and the event that it becomes |
//! | [`publishing`] | the task that publishes what was queued |
//!
//! A check without an answer is no decision and has no event: its caller got an error, and
//! `triad_authz_checks_total` counts it. Neither have requests of Envoy that no route maps or whose token
//! does not hold, as nothing was asked then; nor searches, which are no checks.

pub mod event;
pub mod publishing;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::HeaderMap;
use contracts::{Revision, TenantId};
use metrics::Counter;
use serde::Deserialize;
use service_kit::bus::Publisher;
use service_kit::config::ConfigError;
use tokio::sync::mpsc;

use self::event::Decided;
use self::publishing::Publishing;
use crate::check::question::Words;
use crate::metrics::{Audited, audited};

/// The section `decision_audit`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct DecisionAuditConfig {
    pub mode: Mode,
    pub sample_one_in: u64,
    pub queue: usize,
}

impl DecisionAuditConfig {
    /// Checks what a type cannot.
    ///
    /// # Errors
    /// The key that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (key, value, high) in [
            ("decision_audit.sample_one_in", self.sample_one_in, 1_000_000),
            ("decision_audit.queue", self.queue as u64, 1_000_000),
        ] {
            if !(1..=high).contains(&value) {
                return Err(ConfigError::new(key, format!("{value} is not within 1 to {high}")));
            }
        }
        Ok(())
    }
}

/// Which answers are audited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// None.
    Off,
    /// Denials.
    Denied,
    /// One of so many, whatever it says.
    Sampled,
    /// Every one.
    All,
}

/// By which route something was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// `…/check`.
    Check,
    /// `…/check/batch`.
    Batch,
    /// `AuthZEN`'s evaluation and evaluations.
    AuthZen,
    /// Envoy, over gRPC or HTTP.
    ExtAuthz,
}

impl Route {
    /// Its name in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Batch => "batch",
            Self::AuthZen => "authzen",
            Self::ExtAuthz => "ext_authz",
        }
    }
}

/// What was attempted, by whom and on what.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// In which tenant.
    pub tenant: &'a TenantId,
    /// What kind of subject; with AuthZEN it may be one that nobody here has.
    pub subject_type: &'a str,
    /// Which one.
    pub subject: &'a str,
    /// Does what.
    pub action: &'a str,
    /// To what kind of resource.
    pub resource_type: &'a str,
    /// To which one.
    pub resource: &'a str,
}

impl<'a> From<&Words<'a>> for Attempt<'a> {
    fn from(words: &Words<'a>) -> Self {
        Self {
            tenant: words.tenant,
            subject_type: words.subject_type.as_str(),
            subject: words.subject,
            action: words.action,
            resource_type: words.resource_type,
            resource: words.resource,
        }
    }
}

/// Who asked, and how.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The verified caller; Envoy has no name of its own.
    pub caller: Option<&'a str>,
    /// The headers of the request, for its id.
    pub headers: &'a HeaderMap,
    /// By which route.
    pub route: Route,
}

/// Takes answers to be audited. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DecisionAudit(Option<Arc<Queue>>);

struct Queue {
    mode: Mode,
    one_in: u64,
    seen: AtomicU64,
    sender: mpsc::Sender<Decided>,
    queued: Counter,
    dropped: Counter,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl DecisionAudit {
    /// Audits nothing.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// As configured, and what publishes to `topic`, unless nothing is audited.
    #[must_use]
    pub fn new<P: Publisher>(
        config: &DecisionAuditConfig,
        publisher: Arc<P>,
        topic: &str,
    ) -> (Self, Option<Publishing<P>>) {
        if config.mode == Mode::Off {
            return (Self::off(), None);
        }
        let (sender, receiver) = mpsc::channel(config.queue);
        let queue = Queue {
            mode: config.mode,
            one_in: config.sample_one_in,
            seen: AtomicU64::new(0),
            sender,
            queued: audited(Audited::Queued),
            dropped: audited(Audited::Dropped),
        };
        (Self(Some(Arc::new(queue))), Some(Publishing::new(receiver, publisher, topic)))
    }

    /// An attempt was answered. Allocates only when the answer is audited, and never waits.
    #[inline]
    pub fn answered<'a>(
        &self,
        attempt: impl Into<Attempt<'a>>,
        (allowed, revision): (bool, Revision),
        asker: &Asker<'_>,
    ) {
        if let Some(queue) = &self.0 {
            queue.answered(&attempt.into(), allowed, revision, asker);
        }
    }
}

impl Queue {
    fn answered(
        &self,
        attempt: &Attempt<'_>,
        allowed: bool,
        revision: Revision,
        asker: &Asker<'_>,
    ) {
        if !self.wants(allowed) {
            return;
        }
        // Before anything is copied: with Kafka down, every audited check comes here.
        let Ok(permit) = self.sender.try_reserve() else { return self.dropped.increment(1) };
        let one_in = (self.mode == Mode::Sampled).then_some(self.one_in);
        permit.send(Decided::new(attempt, allowed, revision, asker, one_in));
        self.queued.increment(1);
    }

    fn wants(&self, allowed: bool) -> bool {
        match self.mode {
            Mode::Off => false,
            Mode::Denied => !allowed,
            Mode::Sampled => self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.one_in),
            Mode::All => true,
        }
    }
}
