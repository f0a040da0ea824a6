//! Subjects and resources themselves: attributes, whether a subject is active, deletion.

use std::collections::BTreeSet;

use contracts::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::client::Mode;
use super::draft::Draft;
use super::load::{self, Nodes};
use super::{Author, Ownership, WriteError, Writer, Written};
use crate::model::{Key, Properties, ResourceRef, SubjectRef, check_properties};

/// What is put or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entity {
    /// A subject.
    Subject(SubjectRef),
    /// A resource.
    Resource(ResourceRef),
}

/// A subject or a resource as it is put and got.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityForm {
    /// For conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Properties>,
    /// Whether a subject may act; not of resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

impl Entity {
    /// Its key.
    #[must_use]
    pub fn key(&self, tenant: &TenantId) -> Key {
        match self {
            Self::Subject(subject) => Key::subject(tenant, subject.type_, &subject.id),
            Self::Resource(resource) => Key::resource(tenant, &resource.type_, &resource.id),
        }
    }

    pub(super) fn check(&self) -> Result<(), WriteError> {
        match self {
            Self::Subject(subject) => subject.check()?,
            Self::Resource(resource) => resource.check()?,
        }
        Ok(())
    }

    fn names(&self) -> (&'static str, &str, &str) {
        match self {
            Self::Subject(subject) => ("subject", subject.type_.as_str(), &subject.id),
            Self::Resource(resource) => ("resource", &resource.type_, &resource.id),
        }
    }

    fn query(&self, tenant: &TenantId) -> String {
        load::values(&BTreeSet::from([self.key(tenant)]))
    }

    /// Drafts what makes it so; whether it was not.
    pub(super) fn put(
        &self,
        draft: &mut Draft,
        tenant: &TenantId,
        nodes: &Nodes,
        form: &EntityForm,
    ) -> bool {
        let (key, wanted) = (self.key(tenant), form.attributes.clone().unwrap_or_default());
        let (found, inactive) = (nodes.get(&key), form.active == Some(false));
        let stored = found.and_then(|f| f.attributes.as_deref()).unwrap_or("{}");
        let same = serde_json::from_str::<Properties>(stored).is_ok_and(|known| known == wanted);
        if same && found.is_some_and(|found| found.inactive == inactive) {
            return false;
        }
        let id = nodes.id(&key).unwrap_or_else(|| draft.keyed(tenant, &key));
        draft.int(id, "version", found.map_or(1, |found| found.version + 1));
        draft.text(id, "attributes", &serde_json::to_string(&wanted).unwrap_or_default());
        draft.flag(id, "Subject.inactive", inactive);
        draft.change(key);
        true
    }
}

impl Writer<'_> {
    pub(super) fn refuse_managed(&self, entity: &Entity) -> Result<(), WriteError> {
        match entity {
            Entity::Subject(subject) if self.ownership == Ownership::Sync => {
                Err(WriteError::Managed { what: subject.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// Makes or changes one.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn put_entity(
        &self,
        tenant: &TenantId,
        entity: &Entity,
        form: &EntityForm,
        author: &Author,
    ) -> Result<Written, WriteError> {
        entity.check()?;
        check_properties("attributes", form.attributes.as_ref())?;
        self.refuse_managed(entity)?;
        let plan = |answer: &_| {
            let nodes = Nodes::read(answer)?;
            let mut draft = Draft::default();
            if entity.put(&mut draft, tenant, &nodes, form) {
                let (kind, type_, name) = entity.names();
                // A deactivation must be seen in the trail; attributes may be anything, and are not told.
                let active = Value::Bool(form.active != Some(false));
                let details = matches!(entity, Entity::Subject(_)).then_some(("active", active));
                draft.event(tenant, author, &format!("authz.{kind}.put"), (type_, name), details);
            }
            Ok((draft, ()))
        };
        Ok(self.transact(tenant, &entity.query(tenant), plan).await?.0)
    }

    /// Deletes one. What bound it is void at once and swept later; one of that name that is made anew
    /// inherits nothing.
    ///
    /// # Errors
    /// `Missing` when there is none.
    pub async fn delete_entity(
        &self,
        tenant: &TenantId,
        entity: &Entity,
        author: &Author,
    ) -> Result<Written, WriteError> {
        self.refuse_managed(entity)?;
        let key = entity.key(tenant);
        let (kind, type_, name) = entity.names();
        let plan = |answer: &_| {
            let nodes = Nodes::read(answer)?;
            let (Some(found), Some(id)) = (nodes.get(&key), nodes.id(&key)) else {
                return Err(WriteError::Missing { what: format!("{type_} {name}") });
            };
            let mut draft = Draft::default();
            draft.int(id, "version", found.version + 1);
            draft.bury(id, &key, author.at.timestamp_micros());
            draft.event(tenant, author, &format!("authz.{kind}.deleted"), (type_, name), []);
            Ok((draft, ()))
        };
        Ok(self.transact(tenant, &entity.query(tenant), plan).await?.0)
    }

    /// One as it is stored.
    ///
    /// # Errors
    /// As [`super::super::GraphDb::query`].
    pub async fn get_entity(
        &self,
        tenant: &TenantId,
        entity: &Entity,
    ) -> Result<Option<EntityForm>, WriteError> {
        let answer = self.graph.query(Mode::Strict, &entity.query(tenant), &[]).await?;
        let nodes = Nodes::read(&answer)?;
        let is_subject = matches!(entity, Entity::Subject(_));
        Ok(nodes.get(&entity.key(tenant)).map(|found| EntityForm {
            attributes: found.attributes.as_deref().and_then(|a| serde_json::from_str(a).ok()),
            active: is_subject.then_some(!found.inactive),
        }))
    }
}
