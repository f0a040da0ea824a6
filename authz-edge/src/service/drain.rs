//! The end of a service: who still answers, what they wrote and decided, and what is buffered.

use service_kit::bus::KafkaPublisher;
use service_kit::shutdown::ShutdownTrigger;
use tokio::task::JoinHandle;
use tracing::warn;

use crate::Config;

/// What is to end, in this order.
pub(super) struct Running {
    pub(super) served: JoinHandle<std::io::Result<()>>,
    pub(super) grpc: Option<JoinHandle<Result<(), tonic::transport::Error>>>,
    /// Triggered when no listener answers any more.
    pub(super) last_answered: ShutdownTrigger,
    pub(super) relay: JoinHandle<()>,
    pub(super) events: JoinHandle<()>,
    pub(super) decisions: Option<JoinHandle<()>>,
}

impl Running {
    /// Within the drain deadline. Fences of the last writes go first: audit events may wait for their
    /// topic until the deadline, and are in the graph.
    pub(super) async fn drain(mut self, config: &Config, publishers: [&KafkaPublisher; 2]) {
        if tokio::time::timeout(config.drain_deadline(), self.end(config, publishers))
            .await
            .is_err()
        {
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
    }

    async fn end(&mut self, config: &Config, publishers: [&KafkaPublisher; 2]) {
        if let Ok(Err(error)) = (&mut self.served).await {
            warn!(%error, "public listener");
        }
        if let Some(grpc) = &mut self.grpc
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
        for publisher in publishers {
            if let Err(error) = publisher.flush(config.drain_deadline()).await {
                warn!(%error, "flush");
            }
        }
    }
}
