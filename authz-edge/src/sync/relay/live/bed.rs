//! A relay, its outbox and its bus.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use contracts::TenantId;
use contracts::audit::{ActorType, AuditEvent};
use contracts::authz::ChangeRecord;
use service_kit::bus::{Ack, BusError, PublishError, Publisher, Record};
use service_kit::health::Health;
use tokio::sync::{mpsc, watch};

use crate::check::freshness::Freshness;
use crate::clock::Clock;
use crate::graph::outbox::{self, Outcome, Stage};
use crate::graph::write::{Author, Entity, EntityForm, Ownership, Writer};
use crate::graph::{GraphDb, schema};
use crate::model::{Key, ResourceRef};
use crate::sync::changes::Listener;
use crate::sync::relay::audit::Events;
use crate::sync::relay::{CLEAR, Options, Relay};

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Said {
    Clear,
    /// By the id of the resource that changed.
    Event(String),
    Fence(String),
    Watermark(i32),
}

/// What becomes of it.
pub(super) enum Verdict {
    Ack,
    /// No answer until the bus opens.
    Hold,
    Fail(PublishError),
}

type Rule = Box<dyn Fn(&Said) -> Verdict + Send + Sync>;

/// Answers as it is told.
pub(super) struct Bus {
    rule: Mutex<Rule>,
    offered: watch::Sender<Vec<Said>>,
    acknowledged: Mutex<Vec<(Said, Record)>>,
    open: watch::Sender<bool>,
}

impl Bus {
    pub(super) fn offered(&self) -> Vec<Said> {
        self.offered.borrow().clone()
    }

    pub(super) async fn was_offered(&self, records: usize) {
        self.offered.subscribe().wait_for(|said| said.len() >= records).await.unwrap();
    }

    pub(super) fn acknowledged(&self) -> Vec<Said> {
        self.acknowledged.lock().unwrap().iter().map(|(said, _)| said.clone()).collect()
    }

    pub(super) fn changes(&self) -> Vec<ChangeRecord> {
        let all = self.acknowledged.lock().unwrap();
        let changes = all.iter().filter(|(said, _)| !matches!(said, Said::Event(_)));
        changes.map(|(_, record)| serde_json::from_slice(&record.payload).unwrap()).collect()
    }

    pub(super) fn open(&self) {
        self.open.send_replace(true);
    }
}

fn read(topic: &str, record: &Record) -> Said {
    if topic == "audit" {
        let event: AuditEvent = serde_json::from_slice(&record.payload).unwrap();
        return Said::Event(event.resource_id.unwrap());
    }
    if record.payload == CLEAR {
        return Said::Clear;
    }
    match serde_json::from_slice(&record.payload).unwrap() {
        ChangeRecord::Watermark { .. } => Said::Watermark(record.partition.unwrap()),
        ChangeRecord::Fence { tenant, keys, .. } => {
            let key = Key::from_text(keys.concat());
            Said::Fence(key.parts(&tenant).unwrap().2.to_owned())
        }
        ChangeRecord::Unknown => panic!("{record:?}"),
    }
}

impl Publisher for Bus {
    async fn publish(&self, topic: &str, record: Record) -> Result<Ack, PublishError> {
        let said = read(topic, &record);
        let verdict = (self.rule.lock().unwrap())(&said);
        self.offered.send_modify(|offered| offered.push(said.clone()));
        match verdict {
            Verdict::Ack => {}
            Verdict::Hold => {
                self.open.subscribe().wait_for(|open| *open).await.unwrap();
            }
            Verdict::Fail(error) => return Err(error),
        }
        self.acknowledged.lock().unwrap().push((said, record));
        Ok(Ack { partition: 0, offset: 0 })
    }

    async fn partitions(&self, _: &str) -> Result<i32, BusError> {
        Ok(1)
    }
}

/// A relay that does its rounds when it is told, and a tenant of its own.
pub(super) struct Bed {
    pub(super) graph: Arc<GraphDb>,
    pub(super) bus: Arc<Bus>,
    pub(super) relay: Relay<Bus>,
    pub(super) events: Events<Bus>,
    pub(super) freshness: Arc<Freshness>,
    pub(super) tenant: TenantId,
}

impl Bed {
    /// The outbox is emptied: other tests leave much in it.
    pub(super) async fn new(graph: GraphDb, batch: usize) -> Self {
        let graph = Arc::new(graph);
        let epoch = schema::apply(&graph).await.unwrap().epoch;
        empty(&graph).await;
        let freshness = Arc::<Freshness>::default();
        freshness.set_epoch(epoch);
        let bus = Arc::new(Bus {
            rule: Mutex::new(Box::new(|_| Verdict::Ack)),
            offered: watch::Sender::default(),
            acknowledged: Mutex::default(),
            open: watch::Sender::default(),
        });
        let (fenced, to_audit) = mpsc::channel(8);
        let relay = Relay {
            graph: Arc::clone(&graph),
            publisher: Arc::clone(&bus),
            freshness: Arc::clone(&freshness),
            clock: Clock::system(),
            options: Options {
                changes_topic: "changes".to_owned(),
                interval: Duration::from_millis(100),
                batch,
            },
            wake: Arc::default(),
            fenced,
            health: Health::new().component("relay"),
        };
        let events = Events {
            graph: Arc::clone(&graph),
            publisher: Arc::clone(&bus),
            topic: "audit".to_owned(),
            batch,
            // Far from the writer's, so that every change is old.
            clock: Clock::manual(),
            fenced: to_audit,
        };
        let name = format!("r{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        let tenant = TenantId::parse(&name).unwrap();
        Self { graph, bus, relay, events, freshness, tenant }
    }

    pub(super) fn rule(&self, rule: impl Fn(&Said) -> Verdict + Send + Sync + 'static) {
        *self.bus.rule.lock().unwrap() = Box::new(rule);
    }

    /// A change with one key and one event.
    pub(super) async fn write(&self, id: &str) {
        write(&self.graph, &self.tenant, id).await;
    }

    pub(super) async fn insert(&self, quads: &str) {
        let (transaction, _) = self.graph.begin("{ q(func: uid(0x1)) { uid } }").await.unwrap();
        transaction.commit(quads.to_owned(), String::new()).await.unwrap();
    }

    pub(super) async fn left(&self) -> [usize; 3] {
        left(&self.graph).await
    }

    /// Everything that was acknowledged, as an edge hears it.
    pub(super) fn hear(&self, listener: &mut Listener) {
        for (said, record) in self.bus.acknowledged.lock().unwrap().iter() {
            if !matches!(said, Said::Event(_)) {
                listener.hear(0, &record.payload);
            }
        }
    }
}

pub(super) async fn write(graph: &GraphDb, tenant: &TenantId, id: &str) {
    let writer = Writer { graph, ownership: Ownership::Anyone };
    let author =
        Author { actor: None, actor_type: ActorType::User, at: Utc::now(), request_id: None };
    let entity = Entity::Resource(ResourceRef::new("doc", id));
    writer.put_entity(tenant, &entity, &EntityForm::default(), &author).await.unwrap();
}

/// Changes in each stage.
pub(super) async fn left(graph: &GraphDb) -> [usize; 3] {
    let mut left = [0; 3];
    for (stage, left) in Stage::ALL.into_iter().zip(&mut left) {
        let found = outbox::pending(graph, stage, 0, 1000).await.unwrap();
        *left = found.changes.len() + found.unreadable.len();
    }
    left
}

async fn empty(graph: &GraphDb) {
    for stage in Stage::ALL {
        loop {
            let found = outbox::pending(graph, stage, 0, 1000).await.unwrap();
            let readable = found.changes.iter().map(|(node, _)| *node);
            let done: Vec<_> =
                readable.chain(found.unreadable.iter().map(|(node, _)| *node)).collect();
            if done.is_empty() {
                break;
            }
            outbox::settle(graph, &Outcome { done, ..Outcome::default() }).await.unwrap();
        }
    }
}
