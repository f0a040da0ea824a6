//! The end of a service: who still answers, what they wrote and decided, and what is buffered.

use tokio::task::JoinHandle;
use tracing::warn;

use super::Running;
use crate::Config;

/// Listeners, which end by themselves once a drain has begun.
pub struct Listening {
    /// The public one.
    pub served: JoinHandle<std::io::Result<()>>,
    /// Envoy's, if it is served.
    pub grpc: Option<JoinHandle<Result<(), tonic::transport::Error>>>,
}

impl Running {
    /// Within the drain deadline. Fences of the last writes go first: audit events may wait for their
    /// topic until the deadline, and are in the graph.
    pub async fn drain(mut self, config: &Config, listening: Listening) {
        let deadline = config.drain_deadline();
        if tokio::time::timeout(deadline, self.end(config, listening)).await.is_err() {
            warn!("the drain deadline passed");
        }
        self.relay.abort();
        self.events.abort();
        if let Some(decisions) = self.decisions {
            // What is left is counted as failed.
            decisions.abort();
            // An aborted task is an error; it is gone then, which is what is waited for.
            let _ = decisions.await;
        }
        self.keeping.iter().for_each(JoinHandle::abort);
    }

    async fn end(&mut self, config: &Config, listening: Listening) {
        if let Ok(Err(error)) = listening.served.await {
            warn!(%error, "public listener");
        }
        if let Some(grpc) = listening.grpc
            && let Ok(Err(error)) = grpc.await
        {
            warn!(%error, "ext_authz listener");
        }
        self.last_answered.trigger();
        // What it has not published another replica, or the next start, does.
        if (&mut self.relay).await.is_err() {
            warn!("the relay ended early");
        }
        let decisions = async {
            if let Some(decisions) = &mut self.decisions
                && decisions.await.is_err()
            {
                warn!("the decision audit ended early");
            }
            self.decisions = None;
        };
        let (events, ()) = tokio::join!(&mut self.events, decisions);
        if events.is_err() {
            warn!("the relay of audit events ended early");
        }
        for publisher in &self.publishers {
            if let Err(error) = publisher.flush(config.drain_deadline()).await {
                warn!(%error, "flush");
            }
        }
    }
}
