//! The messages of SpiceDB's API, `authzed.api.v1`, as far as they are used here: names are ours, field
//! numbers and types are what goes over the wire.

use prost::Message;

/// An object: `ObjectReference`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Object {
    #[prost(string, tag = "1")]
    pub(super) kind: String,
    #[prost(string, tag = "2")]
    pub(super) id: String,
}

/// An object, or those who have a relation to it: `SubjectReference`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Subject {
    #[prost(message, optional, tag = "1")]
    pub(super) object: Option<Object>,
    #[prost(string, tag = "2")]
    pub(super) relation: String,
}

/// `Relationship`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Relationship {
    #[prost(message, optional, tag = "1")]
    pub(super) resource: Option<Object>,
    #[prost(string, tag = "2")]
    pub(super) relation: String,
    #[prost(message, optional, tag = "3")]
    pub(super) subject: Option<Subject>,
}

/// `RelationshipUpdate`; the operation is one of the two below.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Update {
    #[prost(int32, tag = "1")]
    pub(super) operation: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) relationship: Option<Relationship>,
}

pub(super) const TOUCH: i32 = 2;
pub(super) const DELETE: i32 = 3;

/// `WriteRelationshipsRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Write {
    #[prost(message, repeated, tag = "1")]
    pub(super) updates: Vec<Update>,
}

/// `ImportBulkRelationshipsRequest`, one message of a stream.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Import {
    #[prost(message, repeated, tag = "1")]
    pub(super) relationships: Vec<Relationship>,
}

/// `WriteSchemaRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Schema {
    #[prost(string, tag = "1")]
    pub(super) schema: String,
}

/// `Consistency`, of which only the first choice is made here.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Consistency {
    #[prost(bool, optional, tag = "1")]
    pub(super) minimize_latency: Option<bool>,
}

/// `CheckPermissionRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Check {
    #[prost(message, optional, tag = "1")]
    pub(super) consistency: Option<Consistency>,
    #[prost(message, optional, tag = "2")]
    pub(super) resource: Option<Object>,
    #[prost(string, tag = "3")]
    pub(super) permission: String,
    #[prost(message, optional, tag = "4")]
    pub(super) subject: Option<Subject>,
}

/// `CheckPermissionResponse`; the permissionship is one of the two below, or depends on a caveat.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Checked {
    #[prost(int32, tag = "2")]
    pub(super) permissionship: i32,
}

pub(super) const NO_PERMISSION: i32 = 1;
pub(super) const HAS_PERMISSION: i32 = 2;
