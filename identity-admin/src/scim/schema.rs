//! What resources are made of: attributes as RFC 7643 section 2 describes them. Everything here is driven by these
//! tables: what is accepted, compared, patched and shown, and what `/Schemas` tells.

use serde_json::{Map, Value, json};

/// Values of a list that is kept in one document.
const MOST_VALUES: usize = 256;

/// What an attribute holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Boolean,
    /// A time of RFC 3339.
    Time,
    /// Base64 (RFC 4648 section 4).
    Binary,
    /// A URI, or the id behind one; of what.
    Reference(&'static [&'static str]),
    /// Others.
    Complex(&'static [Attribute]),
}

/// Who may write an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutability {
    ReadOnly,
    ReadWrite,
    Immutable,
    WriteOnly,
}

/// When an attribute is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Returned {
    Always,
    Never,
    /// When the request names it.
    Request,
    /// Unless the request says otherwise.
    Default,
}

/// One attribute.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) kind: Kind,
    /// Whether it holds a list.
    pub(super) multi: bool,
    pub(super) required: bool,
    /// Whether there is a value when the client says none.
    pub(super) defaulted: bool,
    /// Whether texts are compared letter by letter.
    pub(super) exact: bool,
    pub(super) mutability: Mutability,
    pub(super) returned: Returned,
    /// Whether no two resources of a tenant have one value.
    pub(super) unique: bool,
    /// Values of a list, at most.
    pub(super) most: usize,
    /// Values that are usual.
    pub(super) canonical: &'static [&'static str],
}

impl Attribute {
    /// Text of any case, read and written.
    pub(super) const fn text(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            kind: Kind::Text,
            multi: false,
            required: false,
            defaulted: false,
            exact: false,
            mutability: Mutability::ReadWrite,
            returned: Returned::Default,
            unique: false,
            most: MOST_VALUES,
            canonical: &[],
        }
    }

    pub(super) const fn of(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    pub(super) const fn many(self) -> Self {
        Self { multi: true, ..self }
    }

    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// There always is one: clients cannot remove it, and need not send it.
    pub(super) const fn defaulted(self) -> Self {
        Self { required: true, defaulted: true, ..self }
    }

    pub(super) const fn exact(self) -> Self {
        Self { exact: true, ..self }
    }

    pub(super) const fn unique(self) -> Self {
        Self { unique: true, ..self }
    }

    pub(super) const fn written(self, mutability: Mutability) -> Self {
        Self { mutability, ..self }
    }

    pub(super) const fn read_only(self) -> Self {
        self.written(Mutability::ReadOnly)
    }

    pub(super) const fn shown(self, returned: Returned) -> Self {
        Self { returned, ..self }
    }

    /// Of which there may be thousands, each a row.
    pub(super) const fn unbounded(self) -> Self {
        Self { most: usize::MAX, ..self }
    }

    pub(super) const fn usually(self, canonical: &'static [&'static str]) -> Self {
        Self { canonical, ..self }
    }

    /// What it is made of, if it is complex.
    pub(super) fn parts(&self) -> &'static [Attribute] {
        match self.kind {
            Kind::Complex(parts) => parts,
            _ => &[],
        }
    }

    pub(super) fn part(&self, name: &str) -> Option<&'static Attribute> {
        named(self.parts(), name)
    }

    /// As `/Schemas` shows it (RFC 7643 section 7).
    fn described(&self) -> Value {
        let kind = match self.kind {
            Kind::Text => "string",
            Kind::Boolean => "boolean",
            Kind::Time => "dateTime",
            Kind::Binary => "binary",
            Kind::Reference(_) => "reference",
            Kind::Complex(_) => "complex",
        };
        let mutability = match self.mutability {
            Mutability::ReadOnly => "readOnly",
            Mutability::ReadWrite => "readWrite",
            Mutability::Immutable => "immutable",
            Mutability::WriteOnly => "writeOnly",
        };
        let returned = match self.returned {
            Returned::Always => "always",
            Returned::Never => "never",
            Returned::Request => "request",
            Returned::Default => "default",
        };
        let mut told = json!({
            "name": self.name, "type": kind, "multiValued": self.multi, "description": self.about,
            "required": self.required, "caseExact": self.exact, "mutability": mutability,
            "returned": returned, "uniqueness": if self.unique { "server" } else { "none" },
        });
        match self.kind {
            Kind::Complex(parts) => told["subAttributes"] = described(parts),
            Kind::Reference(types) => told["referenceTypes"] = types.into(),
            _ => {}
        }
        if !self.canonical.is_empty() {
            told["canonicalValues"] = self.canonical.into();
        }
        told
    }
}

fn described(attributes: &[Attribute]) -> Value {
    attributes.iter().map(Attribute::described).collect()
}

/// Names are the same in any case (RFC 7643 section 2.1).
fn named(attributes: &'static [Attribute], name: &str) -> Option<&'static Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

/// Attributes under one URI.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) attributes: &'static [Attribute],
}

impl Schema {
    pub(super) fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        named(self.attributes, name)
    }

    /// As `/Schemas` shows it.
    pub(super) fn described(&self, location: &str) -> Value {
        json!({
            "schemas": [SCHEMA], "id": self.id, "name": self.name, "description": self.about,
            "attributes": described(self.attributes),
            "meta": {"resourceType": "Schema", "location": location},
        })
    }
}

const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";

/// A kind of resource.
#[derive(Debug)]
pub(super) struct Type {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Behind `/scim/v2`.
    pub(super) endpoint: &'static str,
    pub(super) core: &'static Schema,
    pub(super) extension: Option<&'static Schema>,
}

/// Attributes that all resources have (RFC 7643 section 3.1).
static COMMON: &[Attribute] = &[
    Attribute::text("schemas", "What the resource is made of.")
        .many()
        .exact()
        .shown(Returned::Always),
    Attribute::text("id", "Given by the service.").exact().read_only().shown(Returned::Always),
    Attribute::text("externalId", "What the client calls the resource.").exact(),
    Attribute::text("meta", "About the resource itself.").read_only().of(Kind::Complex(&[
        Attribute::text("resourceType", "What it is.").exact().read_only(),
        Attribute::text("created", "When it was made.").of(Kind::Time).read_only(),
        Attribute::text("lastModified", "When it was last changed.").of(Kind::Time).read_only(),
        Attribute::text("location", "Where it is found.").exact().read_only(),
        Attribute::text("version", "Its ETag.").exact().read_only(),
    ])),
];

/// An attribute of a resource, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The URI of the extension whose it is.
    pub(super) extension: Option<&'static str>,
    pub(super) attribute: &'static Attribute,
    pub(super) part: Option<&'static Attribute>,
}

impl Place {
    /// What is compared there.
    pub(super) fn leaf(&self) -> &'static Attribute {
        self.part.unwrap_or(self.attribute)
    }

    /// The object that holds the attribute.
    pub(super) fn home<'a>(
        &self,
        resource: &'a Map<String, Value>,
    ) -> Option<&'a Map<String, Value>> {
        match self.extension {
            None => Some(resource),
            Some(urn) => resource.get(urn)?.as_object(),
        }
    }
}

impl Type {
    /// Where a path leads: `[urn:]attribute[.part]`.
    pub(super) fn place(&'static self, path: &str) -> Option<Place> {
        let (extension, path) = match self.under(path) {
            Some((schema, rest)) => {
                let of_extension = schema.id != self.core.id;
                (of_extension.then_some(schema), rest)
            }
            None => (None, path),
        };
        let (name, part) =
            path.split_once('.').map_or((path, None), |(name, part)| (name, Some(part)));
        let attribute = match extension {
            Some(schema) => schema.attribute(name),
            None => self.core.attribute(name).or_else(|| named(COMMON, name)),
        };
        let (extension, attribute) = match attribute {
            Some(attribute) => (extension, attribute),
            // Some say no URI where there is no doubt.
            None => (self.extension, self.extension?.attribute(name)?),
        };
        let part = match part {
            Some(part) => Some(attribute.part(part)?),
            None => None,
        };
        Some(Place { extension: extension.map(|schema| schema.id), attribute, part })
    }

    /// The schema whose URI a path begins with, and what is behind it.
    fn under<'a>(&self, path: &'a str) -> Option<(&'static Schema, &'a str)> {
        [Some(self.core), self.extension].into_iter().flatten().find_map(|schema| {
            let urn = path.get(..schema.id.len())?;
            let rest = path[schema.id.len()..].strip_prefix(':')?;
            urn.eq_ignore_ascii_case(schema.id).then_some((schema, rest))
        })
    }

    /// The extension of that URI.
    pub(super) fn extension(&self, urn: &str) -> Option<&'static Schema> {
        self.extension.filter(|schema| schema.id.eq_ignore_ascii_case(urn))
    }

    /// Every attribute that stands beside `id`.
    pub(super) fn top(&self, name: &str) -> Option<&'static Attribute> {
        self.core.attribute(name).or_else(|| named(COMMON, name))
    }

    /// As `/ResourceTypes` shows it (RFC 7643 section 6).
    pub(super) fn described(&self, location: &str) -> Value {
        let extensions: Vec<_> = self
            .extension
            .iter()
            .map(|schema| json!({"schema": schema.id, "required": false}))
            .collect();
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"], "id": self.name,
            "name": self.name, "description": self.about, "endpoint": self.endpoint,
            "schema": self.core.id, "schemaExtensions": extensions,
            "meta": {"resourceType": "ResourceType", "location": location},
        })
    }
}
