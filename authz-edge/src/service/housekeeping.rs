//! What a replica does beside answering: gauges, the graph's epoch, pruning what counts no more, and sweeping what was
//! deleted.

use std::sync::Arc;
use std::time::Duration;

use tracing::error;

use crate::check::Checker;
use crate::graph::read::Reader;
use crate::graph::schema;
use crate::graph::write::{Ownership, Writer};
use crate::graph::{GraphDb, GraphError};

/// Between looks at what is cached, for gauges, and at the graph's epoch.
const LOOK: Duration = Duration::from_secs(5);
/// Between looks for what is cached and counts no more.
const PRUNE: Duration = Duration::from_secs(60);
/// Between sweeps.
const SWEEP: Duration = Duration::from_secs(30);
/// How long a transaction may be under way, and so how long a deleted node's mark is kept.
const SETTLED: chrono::Duration = chrono::Duration::minutes(10);

/// For as long as it is polled.
pub(super) async fn keep_house(checker: Arc<Checker<Reader>>, graph: Arc<GraphDb>) {
    tokio::join!(look(&checker, &graph), prune(&checker), sweep(&graph));
}

async fn look(checker: &Checker<Reader>, graph: &GraphDb) {
    loop {
        tokio::time::sleep(LOOK).await;
        checker.observe();
        match schema::meta(graph).await {
            Ok(Some(meta)) => checker.shared().freshness.set_epoch(meta.epoch),
            Ok(None) => checker.shared().freshness.clear("schema"),
            // Who does not answer has not changed, as far as we know; entries die by themselves.
            Err(_) => {}
        }
    }
}

async fn prune(checker: &Arc<Checker<Reader>>) {
    loop {
        tokio::time::sleep(PRUNE).await;
        let checker = Arc::clone(checker);
        let pruned = tokio::task::spawn_blocking(move || checker.prune()).await;
        if let Err(error) = pruned {
            error!(%error, "pruning");
        }
    }
}

async fn sweep(graph: &GraphDb) {
    let writer = Writer { graph, ownership: Ownership::Anyone };
    loop {
        tokio::time::sleep(SWEEP).await;
        let settled = (chrono::Utc::now() - SETTLED).timestamp_micros();
        // Who does not answer is asked again the next time.
        if let Err(error @ GraphError::Refused(_)) = writer.sweep(settled).await {
            error!(%error, "sweeping");
        }
    }
}
