//! Hearing revocations: every replica reads all of `identity.changes`, from one token life ago.

use super::{MAX_TOKEN_LIFE, Revocations, Verifier};
use crate::{
    bus::{Bus, FollowError, Follower},
    health::Component,
    shutdown::Shutdown,
};
use chrono::Utc;
use contracts::identity::Change;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between tries to begin.
const RETRY: Duration = Duration::from_secs(1);
/// Between looks at whether the topic has other partitions, and at what may be forgotten.
const LOOK: Duration = Duration::from_secs(15);

/// Has a verifier refuse what is revoked, for as long as the process runs. `component` is ready once everything
/// that was told within one token life is known; with `auth.mode` off, or without a topic, at once.
///
/// While Kafka is away nothing new is heard, and tokens hold to their ends, minutes later: the component stays
/// ready, as refusing everybody would be worse.
pub fn follow_revocations(verifier: &Verifier, bus: Bus, component: Component, shutdown: Shutdown) {
    let Some((topic, revocations)) = verifier.revocations() else {
        component.ready();
        return;
    };
    tokio::spawn(async move {
        tokio::select! {
            () = follow(&bus, &topic, &revocations, &component) => {}
            () = shutdown.draining() => {}
        }
    });
}

async fn follow(bus: &Bus, topic: &str, revocations: &Revocations, component: &Component) {
    let mut heard = false;
    loop {
        let since = Utc::now() - MAX_TOKEN_LIFE;
        match bus.follow_since(topic, since).await {
            Ok(follower) => {
                let why = hear(&follower, revocations, component, &mut heard).await;
                tracing::warn!(why, "revocations are read again");
            }
            Err(error) if heard => tracing::debug!(%error, "revocations are not heard"),
            Err(error) => component.not_ready(format!("{topic}: {error}")),
        }
        sleep(RETRY).await;
    }
}

/// Until it must begin anew; says why.
async fn hear(
    follower: &Follower,
    revocations: &Revocations,
    component: &Component,
    heard: &mut bool,
) -> String {
    let mut look = Instant::now() + LOOK;
    loop {
        match follower.next(Duration::from_millis(200)).await {
            Ok(Some(message)) => {
                // What cannot be read may be a revocation that a newer build knows; identity sync parks it, and
                // here the token ends by itself.
                if let Ok(change) = Change::parse(message.payload.as_deref().unwrap_or_default()) {
                    revocations.hear(&change);
                }
            }
            Ok(None) => {}
            Err(FollowError::Lost(reason) | FollowError::Failed(reason)) => return reason,
        }
        if !*heard && follower.is_caught_up() {
            *heard = true;
            component.ready();
        }
        if Instant::now() >= look {
            look = Instant::now() + LOOK;
            let known = revocations.forget(Utc::now());
            tracing::debug!(known, "revocations");
            if follower.has_other_partitions().await.unwrap_or(false) {
                return "the topic has other partitions".to_owned();
            }
        }
    }
}
