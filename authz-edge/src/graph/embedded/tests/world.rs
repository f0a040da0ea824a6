//! A small graph that this crate's own code writes at random and reads from every side.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use contracts::TenantId;
use contracts::identity::Change;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use crate::graph::list::relationships::{Edges, Filter, Listing, Position, Roots, page};
use crate::graph::outbox::{self, Outcome, Stage};
use crate::graph::pages::{Kind, Pages, tenants};
use crate::graph::read::{Reader, Strangers};
use crate::graph::write::{Author, Entity, EntityForm, Ownership, Writer};
use crate::graph::{Graph as _, GraphDb, Mode, list, schema, search};
use crate::model::relationship::{Must, Precondition};
use crate::model::role::Permission;
use crate::model::view::Node;
use crate::model::{
    Key, Op, Properties, Relationship, ResourceRef, Role, Scope, SubjectRef, SubjectType, Write,
    WriteList,
};

const TEAMS: [&str; 4] = ["a", "b", "c", "d"];
const ROLES: [&str; 3] = ["reader", "writer", "öwner \"x\""];
const ACTIONS: [&str; 3] = ["read", "write", "print"];

/// A tenant whose identities anybody writes, and one that sync brings.
pub(super) struct World {
    pub(super) graph: std::sync::Arc<GraphDb>,
    pub(super) tenant: TenantId,
    synced: TenantId,
    changes: u64,
    rng: StdRng,
}

impl World {
    pub(super) fn new(graph: GraphDb, name: &str, seed: u64) -> Self {
        let tenant = |which| TenantId::parse(&format!("{name}{which}")).unwrap();
        let (tenant, synced) = (tenant("a"), tenant("b"));
        let (graph, rng) = (graph.into(), StdRng::seed_from_u64(seed));
        Self { graph, tenant, synced, changes: 0, rng }
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of.choose(&mut self.rng).unwrap().clone()
    }

    fn subject(&mut self) -> SubjectRef {
        let id = self.one(&["anna", "bob", "*", "eve"]);
        match self.rng.random_range(0..4) {
            0 => SubjectRef::new(SubjectType::ServiceAccount, id),
            1 => SubjectRef::new(SubjectType::Team, self.one(&TEAMS)),
            _ => SubjectRef::new(SubjectType::User, id),
        }
    }

    fn resource(&mut self) -> ResourceRef {
        ResourceRef::new(self.one(&["doc", "folder"]), self.one(&["1", "2", "3", "4"]))
    }

    fn scope(&mut self) -> Scope {
        match self.rng.random_range(0..3) {
            0 => Scope::All,
            1 => Scope::Type(self.one(&["doc", "folder"]).to_owned()),
            _ => Scope::Resource(self.resource()),
        }
    }

    fn relationship(&mut self) -> Relationship {
        match self.rng.random_range(0..4) {
            0 => Relationship::MemberOf {
                subject: self.subject(),
                team: self.one(&TEAMS).to_owned(),
            },
            1 => Relationship::Parent { resource: self.resource(), parent: self.resource() },
            _ => {
                let until = self.rng.random_bool(0.3);
                let expires_at = until.then(|| DateTime::from_timestamp(4_000_000_000, 0).unwrap());
                let (subject, role) = (self.subject(), self.one(&ROLES).to_owned());
                Relationship::HasRole { subject, role, on: self.scope(), expires_at }
            }
        }
    }

    fn list(&mut self) -> WriteList {
        let mut writes = Vec::new();
        for _ in 0..self.rng.random_range(1..5) {
            let op = self.one(&[Op::Touch, Op::Touch, Op::Touch, Op::Delete, Op::Create]);
            writes.push(Write { op, relationship: self.relationship() });
        }
        let mut preconditions = Vec::new();
        if self.rng.random_bool(0.3) {
            let must = self.one(&[Must::Exist, Must::NotExist, Must::NotExist]);
            preconditions.push(Precondition { must, relationship: self.relationship() });
        }
        WriteList { writes, preconditions }
    }

    fn role(&mut self) -> Role {
        let permission = |world: &mut Self| Permission {
            action: world.one(&ACTIONS).to_owned(),
            on: world.scope(),
            condition: world.rng.random_bool(0.3).then(|| "context.n == 1\n".to_owned()),
        };
        let permissions = (0..self.rng.random_range(0..4)).map(|_| permission(self)).collect();
        let name = self.rng.random_bool(0.5).then(|| self.one(&["", "Reader"]).to_owned());
        Role { name, permissions }
    }

    fn form(&mut self) -> EntityForm {
        let n = self.rng.random_range(0..3);
        let attributes = Properties::from_iter([("<n>".to_owned(), json!([n, "é\u{1}\""]))]);
        let attributes = self.rng.random_bool(0.7).then_some(attributes);
        EntityForm { attributes, active: self.rng.random_bool(0.5).then_some(n > 0) }
    }

    fn entity(&mut self) -> Entity {
        if self.rng.random() {
            Entity::Subject(self.subject())
        } else {
            Entity::Resource(self.resource())
        }
    }

    /// A write of any kind; what it is refused for does not matter here.
    pub(super) async fn write(&mut self) {
        let (graph, tenant) = (std::sync::Arc::clone(&self.graph), self.tenant.clone());
        let writer = Writer { graph: &graph, ownership: Ownership::Anyone };
        let author = Author::system(Utc::now());
        let id = self.one(&ROLES);
        match self.rng.random_range(0..16) {
            0 | 1 => {
                let _ = writer.put_role(&tenant, id, &self.role(), &author).await;
            }
            2 => {
                let _ = writer.delete_role(&tenant, id, &author).await;
            }
            3 | 4 => {
                let (entity, form) = (self.entity(), self.form());
                let _ = writer.put_entity(&tenant, &entity, &form, &author).await;
            }
            5 => {
                let _ = writer.delete_entity(&tenant, &self.entity(), &author).await;
            }
            6 => {
                let settled = self.one(&[0, Utc::now().timestamp_micros()]);
                writer.sweep(settled).await.unwrap();
            }
            7 => self.settle().await,
            8 => self.bulk(&writer, &author).await,
            9 | 10 => self.sync().await,
            _ => {
                let _ = writer.write_relationships(&tenant, &self.list(), &author).await;
            }
        }
    }

    async fn settle(&mut self) {
        let stage = self.one(&Stage::ALL);
        let found = outbox::pending(&self.graph, stage, 0, 100).await.unwrap();
        let mut outcome = Outcome::default();
        for (node, _) in found.changes {
            match self.rng.random_range(0..4) {
                0 => outcome.done.push(node),
                1 => outcome.audit.push(node),
                2 => outcome.aside.push(node),
                _ => {}
            }
        }
        outbox::settle(&self.graph, &outcome).await.unwrap();
    }

    async fn bulk(&mut self, writer: &Writer<'_>, author: &Author) {
        let tenant = self.tenant.clone();
        let batch: Vec<_> = (0..5).map(|_| self.relationship()).collect();
        let mut keys = BTreeSet::new();
        for relationship in &batch {
            crate::graph::write::shared_nodes(&tenant, relationship, &mut keys);
        }
        writer.make_nodes(&tenant, &keys, author).await.unwrap();
        let _ = writer.touch_all(&tenant, &batch, author).await;
        let mut entities = vec![(self.entity(), self.form())];
        entities.push((Entity::Resource(self.resource()), self.form()));
        entities.dedup_by(|one, other| one.0 == other.0);
        let _ = writer.put_entities(&tenant, &entities).await;
        writer.record(&tenant, author, "authz.imported", &[("n", 1.into())]).await.unwrap();
    }

    /// Changes of identities in their order, and now and then a rebuild.
    async fn sync(&mut self) {
        let (graph, tenant) = (std::sync::Arc::clone(&self.graph), self.synced.clone());
        let writer = Writer { graph: &graph, ownership: Ownership::Sync };
        let mut batch = Vec::new();
        for _ in 0..self.rng.random_range(1..6) {
            self.changes += 1;
            let (id, team) = (self.one(&["kim", "lea", "max"]), self.one(&TEAMS[..2]));
            let (active, n) = (self.rng.random::<bool>(), self.rng.random_range(0..2));
            let user = json!({"id": id, "active": active, "attributes": {"n": n}});
            let member = json!({"team_id": team, "member": {"type": "user", "id": id}});
            let (kind, data) = match self.rng.random_range(0..8) {
                0 | 1 => ("user.created", user),
                2 => ("user.updated", user),
                3 => ("user.deleted", json!({"id": id})),
                4 => ("team.created", json!({"id": team, "name": team})),
                5 => ("team.deleted", json!({"id": team})),
                6 => ("team.member_removed", member),
                _ => ("team.member_added", member),
            };
            let record = json!({
                "event_id": uuid::Uuid::new_v4(), "tenant_id": tenant, "seq": self.changes,
                "occurred_at": "2026-01-01T00:00:00Z", "type": kind, "data": data,
            });
            batch.push(Change::parse(&serde_json::to_vec(&record).unwrap()).unwrap());
        }
        writer.apply_identity(&tenant, &batch, Utc::now()).await.unwrap();
        if self.rng.random_bool(0.3) {
            self.changes += 1;
            let (seq, active) = (self.changes, self.rng.random::<bool>());
            let lines = [
                json!({"type": "header", "tenant_id": tenant, "seq": seq, "status": "active"}),
                json!({"type": "user", "id": "kim", "active": active, "created_seq": 1}),
                json!({"type": "user", "id": "ned", "active": true}),
                json!({"type": "team", "id": "a", "name": "A"}),
                json!({"type": "member", "team_id": "a", "member": {"type": "user", "id": "kim"}}),
                json!({"type": "end", "count": 4}),
            ]
            .map(|line| line.to_string());
            let text = lines.join("\n");
            crate::sync::rebuild::rebuild(&writer, &tenant, text.as_bytes()).await.unwrap();
        }
    }

    /// Reads everything that there may be, from every side that this crate reads it from.
    pub(super) async fn read(&self) {
        let reader = Reader::new(std::sync::Arc::clone(&self.graph), Strangers::Barred);
        let users = ["anna", "bob", "*", "eve", "kim"];
        let users = users.map(|id| SubjectRef::new(SubjectType::User, id)).into_iter();
        let teams = TEAMS.map(|id| SubjectRef::new(SubjectType::Team, id));
        let program = SubjectRef::new(SubjectType::ServiceAccount, "bob");
        let subjects: Vec<_> = users.chain(teams).chain([program]).collect();
        let on = ["1", "2"].map(|id| ["doc", "folder"].map(|type_| ResourceRef::new(type_, id)));
        let on = on.into_iter().flatten().collect::<Vec<_>>();
        for tenant in [&self.tenant, &self.synced] {
            for subject in &subjects {
                self.read_subject(&reader, tenant, subject, &on).await;
            }
            for resource in &on {
                reader.resource(tenant, resource, Mode::Strict).await.unwrap();
            }
            reader.applied(tenant).await.unwrap();
            self.read_lists(tenant, &subjects).await;
            self.read_pages(tenant).await;
        }
        tenants(&self.graph).await.unwrap();
        schema::meta(&self.graph).await.unwrap();
        outbox::depth(&self.graph).await.unwrap();
        for stage in Stage::ALL {
            outbox::pending(&self.graph, stage, 0, 3).await.unwrap();
            outbox::pending(&self.graph, stage, 0, 1000).await.unwrap();
        }
    }

    async fn read_subject(
        &self,
        reader: &Reader,
        tenant: &TenantId,
        subject: &SubjectRef,
        on: &[ResourceRef],
    ) {
        let (mode, graph) = (Mode::Strict, &self.graph);
        let whole = reader.subject(tenant, subject, mode).await.unwrap().view.unwrap();
        reader.closure(tenant, subject, mode).await.unwrap();
        let holders: Vec<Node> = whole.closure.holders.clone().into_iter().collect();
        let roles: Vec<Node> = whole.parts.roles.iter().map(|role| role.node).collect();
        for (holders, roles) in [(&holders[..], &roles[..]), (&holders, &[]), (&[], &roles)] {
            if !holders.is_empty() || !roles.is_empty() {
                reader.parts(tenant, holders, roles, mode).await.unwrap();
            }
        }
        for (resource, action) in on.iter().zip(ACTIONS.iter().cycle()) {
            reader.narrowed(tenant, subject, action, resource, mode).await.unwrap();
            reader.trace(tenant, subject, action, resource, mode).await.unwrap();
            search::actions(graph, tenant, subject, resource).await.unwrap();
            let about = (subject, *action, &*resource.type_);
            search::named(graph, tenant, about, 0, 2).await.unwrap();
        }
        let writer = Writer { graph, ownership: Ownership::Anyone };
        writer.get_entity(tenant, &Entity::Subject(subject.clone())).await.unwrap();
    }

    async fn read_lists(&self, tenant: &TenantId, subjects: &[SubjectRef]) {
        use Edges as E;
        let graph = &self.graph;
        let docs = Key::resources(tenant, "doc");
        for text in
            [Key::subjects(tenant, SubjectType::User), docs, Key::role(tenant, "").list(tenant)]
        {
            let (_, found) = list::members(graph, &text, 0, 2).await.unwrap();
            let after = found.last().map_or(0, |last| last.node);
            search::listed(graph, &text, after, 100).await.unwrap();
        }
        let held = vec![E::Teams, E::Roles, E::Scoped, E::Wide];
        let listing = |roots, edges| Listing { roots, edges, filter: Filter::default() };
        let role = |id| listing(Roots::One(Key::role(tenant, id)), vec![E::Holders, E::Bound]);
        let mut listings = vec![
            listing(Roots::Subjects, held.clone()),
            listing(Roots::Resources("doc".to_owned()), vec![E::BoundOn, E::Parents, E::Children]),
        ];
        listings.extend(ROLES.map(role));
        for subject in subjects {
            let key = Key::subject(tenant, subject.type_, &subject.id);
            listings.push(listing(Roots::One(key.clone()), held.clone()));
            listings.push(listing(Roots::One(key), vec![E::Members]));
        }
        for listing in listings {
            let mut at = Some(Position::default());
            while let Some(after) = at {
                at = page(graph, tenant, &listing, after, 3).await.unwrap().next;
            }
        }
        let writer = Writer { graph, ownership: Ownership::Anyone };
        for id in ROLES {
            writer.get_role(tenant, id).await.unwrap();
        }
    }

    async fn read_pages(&self, tenant: &TenantId) {
        let mut pages = Pages::begin(&self.graph, tenant, 0).await.unwrap();
        for kind in [Kind::Roles, Kind::Subjects, Kind::Resources, Kind::Holdings, Kind::Parents] {
            let mut after = Some(0);
            while let Some(from) = after {
                after = pages.page(kind, from).await.unwrap().after;
            }
        }
        assert!(pages.is_whole(), "{} of {}", pages.found, pages.expected);
    }
}

/// Nothing of what is sent is refused, and everything that is counted is there.
#[tokio::test]
async fn all_that_this_crate_sends_is_understood() {
    let graph = GraphDb::in_memory();
    schema::apply(&graph).await.unwrap();
    let mut world = World::new(graph, "w", 1);
    for _ in 0..10 {
        for _ in 0..20 {
            world.write().await;
        }
        world.read().await;
    }
}
