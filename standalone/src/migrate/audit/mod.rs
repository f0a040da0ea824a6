//! Events: every row through Kafka and `ingest` into Cassandra, and then both sides read back and compared.
//!
//! | module | what it holds |
//! |---|---|
//! | `publish` | rows as records, and how far it came |
//! | `store` | an `ingest` of our own that stores them, and the wait until it has |
//! | `verify` | pages of both sides, event by event |

mod publish;
mod store;
mod verify;

use std::time::Duration;

use ingest::layout::registry::Registry;
use ingest::query::cassandra::{CassandraStore, Filters};
use ingest::sink::schema;
use ingest::sink::session::Cassandra;
use service_kit::bus::{BusError, KafkaConfig, TopicSpec, apply_topics};

use super::here::Here;
use super::progress::Saved;
use super::tell::{Counted, tell};
use super::{MigrateError, There};

/// Copies what is not there yet, and compares all of it.
pub(super) async fn carry(
    here: &Here,
    there: &There,
    saved: &mut Saved,
) -> Result<Counted, MigrateError> {
    let config = &there.targets.ingest;
    let db = Cassandra::connect(&config.cassandra).await?;
    if there.is_applied {
        schema::apply(&db, &config.cassandra).await.map_err(ingest::Error::from)?;
    }
    let version = schema::version(&db, &db.keyspace).await.map_err(ingest::Error::from)?;
    if version != Some(schema::VERSION) {
        let keyspace = &db.keyspace;
        let why = format!("{keyspace} has not the schema of this version: ingest schema apply");
        return Err(MigrateError::Refused(why));
    }
    if saved.state.events.verified.is_none() {
        let storing = store::Storing::start(config).await?;
        publish::all(&here.audit, config, saved).await?;
        let stored = storing.caught_up(config).await;
        storing.stop().await;
        stored?;
        let registry = Registry::open(&db, &config.layout, &config.limits).await?;
        let store = CassandraStore::new(db, Filters::Ranges);
        let verified = verify::all(&here.audit, store, registry, config).await?;
        saved.state.events.verified = Some(verified.same);
        saved.save()?;
        let expired = saved.state.events.expired + verified.over;
        tell(&format!("events: {} verified, {expired} whose life was over", verified.same));
    }
    let (copied, verified) =
        (saved.state.events.published, saved.state.events.verified.unwrap_or(0));
    Ok(Counted { what: "events", copied, verified })
}

/// Has the topics of all three services be there.
pub(super) async fn topics(there: &There) -> Result<(), MigrateError> {
    if !there.is_applied {
        return Ok(());
    }
    let targets = &there.targets;
    apply(&targets.ingest.kafka.cluster(), &ingest::topics::specs(&targets.ingest)).await?;
    apply(&targets.authz.kafka.cluster(), &authz_edge::topics::specs(&targets.authz)).await?;
    let specs = identity_admin::topics::specs(&targets.identity);
    apply(&targets.identity.kafka.cluster(), &specs).await?;
    Ok(())
}

/// Tries of what brokers that have just started do not do at once.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// Makes topics, and makes them again where a broker was not ready for it: that changes nothing.
async fn apply(cluster: &KafkaConfig, specs: &[TopicSpec]) -> Result<(), MigrateError> {
    for _ in 1..TRIES {
        match apply_topics(cluster, specs).await {
            Err(BusError::Kafka(reason)) => tracing::debug!(reason, "topics"),
            applied => return Ok(applied.map(drop)?),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(apply_topics(cluster, specs).await.map(drop)?)
}
