//! What requests are made of. Unknown members are ignored, so that later versions can be sent.

use std::borrow::Cow;

use contracts::TenantId;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::audit::Attempt;
use crate::check::{Given, Words};
use crate::model::SubjectType;
use crate::model::{Invalid, Properties};

/// A string that borrows from the body where it has no escapes, also when it is optional.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A subject or a resource. What is required depends on the request.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Entity<'a> {
    #[serde(rename = "type", borrow, default)]
    pub(super) type_: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    #[serde(default)]
    pub(super) properties: Option<Properties>,
}

/// An action.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Action<'a> {
    #[serde(borrow, default)]
    pub(super) name: Option<Text<'a>>,
    #[serde(default)]
    pub(super) properties: Option<Properties>,
}

/// The four entities of a request or of one of its evaluations.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Tuple<'a> {
    #[serde(borrow, default)]
    pub(super) subject: Option<Entity<'a>>,
    #[serde(borrow, default)]
    pub(super) action: Option<Action<'a>>,
    #[serde(borrow, default)]
    pub(super) resource: Option<Entity<'a>>,
    #[serde(default)]
    pub(super) context: Option<Properties>,
}

/// Several evaluations at once.
#[derive(Debug, Deserialize)]
pub(super) struct Batch<'a> {
    #[serde(borrow, default)]
    subject: Option<Entity<'a>>,
    #[serde(borrow, default)]
    action: Option<Action<'a>>,
    #[serde(borrow, default)]
    resource: Option<Entity<'a>>,
    #[serde(default)]
    context: Option<Properties>,
    /// Read one by one, so that a broken one is answered in its place.
    #[serde(borrow, default)]
    pub(super) evaluations: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    pub(super) options: Option<Options>,
}

impl<'a> Batch<'a> {
    /// The defaults, which are the question itself when there are no evaluations.
    pub(super) fn take_defaults(&mut self) -> Tuple<'a> {
        Tuple {
            subject: self.subject.take(),
            action: self.action.take(),
            resource: self.resource.take(),
            context: self.context.take(),
        }
    }
}

/// How a batch is worked on.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Options {
    #[serde(default)]
    pub(super) evaluations_semantic: Option<Semantic>,
}

/// When a batch ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Semantic {
    /// When all is answered.
    #[default]
    ExecuteAll,
    /// With the first denial or failure.
    DenyOnFirstDeny,
    /// With the first permission.
    PermitOnFirstPermit,
}

impl Semantic {
    /// Whether a batch ends with this decision.
    pub(super) fn ends_with(self, decision: bool) -> bool {
        match self {
            Self::ExecuteAll => false,
            Self::DenyOnFirstDeny => !decision,
            Self::PermitOnFirstPermit => decision,
        }
    }
}

impl<'a> Tuple<'a> {
    /// This one with what it lacks from `defaults`: entities as wholes, properties included; but one
    /// without its type, id or name takes that alone.
    pub(super) fn or(self, defaults: &Self) -> Self {
        Self {
            subject: entity_or(self.subject, defaults.subject.as_ref()),
            action: match (self.action, &defaults.action) {
                (None, default) => default.clone(),
                (Some(own), Some(default)) if own.name.is_none() => {
                    Some(Action { name: default.name.clone(), ..own })
                }
                (own, _) => own,
            },
            resource: entity_or(self.resource, defaults.resource.as_ref()),
            context: self.context.or_else(|| defaults.context.clone()),
        }
    }

    /// The properties and the context.
    pub(super) fn take_given(&mut self) -> Given {
        Given {
            subject: self.subject.as_mut().and_then(|subject| subject.properties.take()),
            action: self.action.as_mut().and_then(|action| action.properties.take()),
            resource: self.resource.as_mut().and_then(|resource| resource.properties.take()),
            context: self.context.take(),
        }
    }

    /// With everything that an evaluation needs.
    pub(super) fn complete(mut self) -> Result<Asked<'a>, Invalid> {
        let given = self.take_given();
        let subject = self.subject.ok_or_else(|| required("subject"))?;
        let action = self.action.ok_or_else(|| required("action"))?;
        let resource = self.resource.ok_or_else(|| required("resource"))?;
        Ok(Asked {
            subject_type: text("subject.type", subject.type_)?,
            subject: text("subject.id", subject.id)?,
            action: text("action.name", action.name)?,
            resource_type: text("resource.type", resource.type_)?,
            resource: text("resource.id", resource.id)?,
            given,
        })
    }
}

fn entity_or<'a>(own: Option<Entity<'a>>, default: Option<&Entity<'a>>) -> Option<Entity<'a>> {
    let (Some(own), Some(default)) = (&own, default) else {
        return own.or_else(|| default.cloned());
    };
    Some(Entity {
        type_: own.type_.clone().or_else(|| default.type_.clone()),
        id: own.id.clone().or_else(|| default.id.clone()),
        properties: own.properties.clone(),
    })
}

pub(super) fn required(member: &str) -> Invalid {
    Invalid::new(member, "is required")
}

/// A text that must be there.
pub(super) fn text<'a>(member: &str, text: Option<Text<'a>>) -> Result<Cow<'a, str>, Invalid> {
    text.map(|text| text.0).ok_or_else(|| required(member))
}

/// A whole question.
#[derive(Debug, PartialEq)]
pub(super) struct Asked<'a> {
    pub(super) subject_type: Cow<'a, str>,
    pub(super) subject: Cow<'a, str>,
    pub(super) action: Cow<'a, str>,
    pub(super) resource_type: Cow<'a, str>,
    pub(super) resource: Cow<'a, str>,
    pub(super) given: Given,
}

impl Asked<'_> {
    /// What is asked; `None` for a type of subject that nobody here has, who may nothing.
    pub(super) fn words<'w>(&'w self, tenant: &'w TenantId) -> Option<Words<'w>> {
        Some(Words {
            tenant,
            subject_type: SubjectType::parse(&self.subject_type)?,
            subject: &self.subject,
            action: &self.action,
            resource_type: &self.resource_type,
            resource: &self.resource,
        })
    }

    /// What is attempted, whatever the subject is.
    pub(super) fn attempt<'w>(&'w self, tenant: &'w TenantId) -> Attempt<'w> {
        Attempt {
            tenant,
            subject_type: &self.subject_type,
            subject: &self.subject,
            action: &self.action,
            resource_type: &self.resource_type,
            resource: &self.resource,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(json: &str) -> Tuple<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn texts_without_escapes_are_borrowed_and_unknown_members_ignored() {
        let asked = tuple(
            r#"{"subject":{"type":"user","id":"a\u0062","x":1},"action":{"name":"read"},
                "resource":{"type":"t","id":"1"},"future":{"nested":true},"context":null}"#,
        )
        .complete()
        .unwrap();
        assert!(matches!(&asked.action, Cow::Borrowed("read")));
        assert_eq!(&*asked.subject, "ab");
        assert_eq!(asked.given, Given::default());
    }

    #[test]
    fn every_required_member_is_named_when_it_is_missing() {
        let whole = r#"{"subject":{"type":"user","id":"a"},"action":{"name":"read"},
            "resource":{"type":"t","id":"1"}}"#;
        assert!(tuple(whole).complete().is_ok());
        for (cut, member) in [
            (r#""subject":{"type":"user","id":"a"},"#, "subject"),
            (r#""action":{"name":"read"},"#, "action"),
            (r#""type":"user","#, "subject.type"),
            (r#","id":"a""#, "subject.id"),
            (r#""name":"read""#, "action.name"),
            (r#""type":"t","#, "resource.type"),
            (r#","id":"1""#, "resource.id"),
        ] {
            let missing = whole.replacen(cut, "", 1);
            assert_eq!(tuple(&missing).complete().unwrap_err().member, member);
        }
    }

    #[test]
    fn an_entity_replaces_its_default_as_a_whole() {
        let defaults = tuple(
            r#"{"subject":{"type":"user","id":"a","properties":{"role":"admin"}},
                "action":{"name":"read","properties":{"soft":true}},"context":{"time":1}}"#,
        );
        let own = r#"{"subject":{"type":"team","id":"b"},"resource":{"type":"t","id":"1"},
            "context":{"source":2}}"#;
        let asked = tuple(own).or(&defaults).complete().unwrap();
        assert_eq!((&*asked.subject_type, &*asked.subject, &*asked.action), ("team", "b", "read"));
        assert_eq!(asked.given.subject, None);
        assert_eq!(asked.given.action.unwrap()["soft"], true);
        assert_eq!(serde_json::to_string(&asked.given.context).unwrap(), r#"{"source":2}"#);
    }

    #[test]
    fn a_type_or_id_or_name_that_is_missing_comes_from_the_default_alone() {
        let defaults = tuple(
            r#"{"subject":{"type":"user","id":"a"},"action":{"name":"w","properties":{"n":1}},
                "resource":{"type":"t","properties":{"status":"archived"}}}"#,
        );
        let own = r#"{"resource":{"id":"1"},"action":{"properties":{"n":2}}}"#;
        let asked = tuple(own).or(&defaults).complete().unwrap();
        assert_eq!((&*asked.resource_type, &*asked.resource, &*asked.action), ("t", "1", "w"));
        assert_eq!(asked.given.resource, None);
        assert_eq!(asked.given.action.unwrap()["n"], 2);
    }

    #[test]
    fn a_batch_ends_where_its_semantic_says() {
        use Semantic::{DenyOnFirstDeny, ExecuteAll, PermitOnFirstPermit};
        for (semantic, deny, permit) in [
            (ExecuteAll, false, false),
            (DenyOnFirstDeny, true, false),
            (PermitOnFirstPermit, false, true),
        ] {
            assert_eq!((semantic.ends_with(false), semantic.ends_with(true)), (deny, permit));
        }
        let read = |text: &str| serde_json::from_str::<Batch<'_>>(text).map(|batch| batch.options);
        let known = read(r#"{"options":{"evaluations_semantic":"deny_on_first_deny","x":1}}"#);
        assert_eq!(known.unwrap().unwrap().evaluations_semantic, Some(DenyOnFirstDeny));
        assert!(read(r#"{"options":{"evaluations_semantic":"sometimes"}}"#).is_err());
    }
}
