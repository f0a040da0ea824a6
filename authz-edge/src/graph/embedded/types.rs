//! Predicates, as the text of a schema declares them. Only what this crate's schema uses is understood.

use std::collections::HashMap;

use super::super::store::GraphError;
use super::refused;

/// What a predicate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Flag,
    /// One node.
    Edge,
    /// Any number of nodes.
    Edges,
}

impl Kind {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "string" => Self::Text,
            "int" => Self::Int,
            "bool" => Self::Flag,
            "uid" => Self::Edge,
            "[uid]" => Self::Edges,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Int => "int",
            Self::Flag => "bool",
            Self::Edge => "uid",
            Self::Edges => "[uid]",
        }
    }

    pub(super) fn is_edge(self) -> bool {
        matches!(self, Self::Edge | Self::Edges)
    }
}

/// How nodes are found by a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Index {
    None,
    /// By equality.
    Hash,
    /// By equality and order.
    Exact,
}

/// One predicate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Predicate {
    pub(super) name: Box<str>,
    pub(super) kind: Kind,
    pub(super) index: Index,
    pub(super) reverse: bool,
    /// Whether writers of one value conflict.
    pub(super) upsert: bool,
}

impl Predicate {
    /// Reads `name: type @directive … .`.
    pub(super) fn parse(line: &str) -> Result<Self, GraphError> {
        let unknown = |what: &str| refused(format!("schema: {what} in {line:?}"));
        let (name, rest) = line.split_once(':').ok_or_else(|| unknown("no type"))?;
        let mut words = rest.split_whitespace();
        let kind = words.next().unwrap_or_default();
        let kind = Kind::parse(kind).ok_or_else(|| unknown(&format!("type {kind:?}")))?;
        let name = name.trim().into();
        let mut found = Self { name, kind, index: Index::None, reverse: false, upsert: false };
        loop {
            match words.next() {
                Some("@index(hash)") if kind == Kind::Text => found.index = Index::Hash,
                Some("@index(exact)") if kind == Kind::Text => found.index = Index::Exact,
                Some("@reverse") if kind.is_edge() => found.reverse = true,
                Some("@upsert") if found.index != Index::None => found.upsert = true,
                Some(".") if words.next().is_none() => return Ok(found),
                other => return Err(unknown(&format!("{:?}", other.unwrap_or_default()))),
            }
        }
    }

    /// As it is parsed.
    pub(super) fn line(&self) -> String {
        let index = match self.index {
            Index::None => "",
            Index::Hash => " @index(hash)",
            Index::Exact => " @index(exact)",
        };
        let reverse = if self.reverse { " @reverse" } else { "" };
        let upsert = if self.upsert { " @upsert" } else { "" };
        format!("{}: {}{index}{reverse}{upsert} .", self.name, self.kind.as_str())
    }
}

/// A predicate's number: its place in [`Types`]. It never changes.
pub(super) type Number = u16;

/// A predicate, forwards or backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(u16);

impl Slot {
    pub(super) fn forward(number: Number) -> Self {
        Self(number << 1)
    }

    pub(super) fn backward(number: Number) -> Self {
        Self(number << 1 | 1)
    }

    /// Which predicate it is, unless backwards.
    pub(super) fn number(self) -> Option<Number> {
        (self.0 & 1 == 0).then_some(self.0 >> 1)
    }
}

/// The most predicates: a slot has a bit for the direction.
const MOST: usize = 1 << 15;

/// Every predicate that there is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Types {
    list: Vec<Predicate>,
    by_name: HashMap<Box<str>, Number>,
}

impl Types {
    /// These, with what a schema declares: new ones behind the others, and known ones as it says.
    pub(super) fn with(&self, schema: &str) -> Result<Self, GraphError> {
        let (list, by_name) = (self.list.clone(), self.by_name.clone());
        let mut types = Self { list, by_name };
        let lines = schema.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            types.declare(Predicate::parse(line)?)?;
        }
        Ok(types)
    }

    fn declare(&mut self, predicate: Predicate) -> Result<(), GraphError> {
        if let Some(known) = self.by_name.get(&predicate.name) {
            self.list[usize::from(*known)] = predicate;
            return Ok(());
        }
        let number = Number::try_from(self.list.len()).ok().filter(|_| self.list.len() < MOST);
        let number = number.ok_or_else(|| refused("schema: too many predicates".to_owned()))?;
        self.by_name.insert(predicate.name.clone(), number);
        self.list.push(predicate);
        Ok(())
    }

    pub(super) fn find(&self, name: &str) -> Option<(Number, &Predicate)> {
        let number = *self.by_name.get(name)?;
        Some((number, &self.list[usize::from(number)]))
    }

    /// By number; of one that was never given, `None`.
    pub(super) fn get(&self, number: Number) -> Option<&Predicate> {
        self.list.get(usize::from(number))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (Number, &Predicate)> {
        (0..).zip(&self.list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::schema::SCHEMA;

    #[test]
    fn the_schema_is_read_and_written_as_it_is() {
        let types = Types::default().with(SCHEMA).unwrap();
        let lines: String = types.all().map(|(_, of)| of.line() + "\n").collect();
        assert_eq!(lines, SCHEMA);
        assert_eq!(types.with(SCHEMA).unwrap(), types);
        let more = types.with("more: int .\nxid: string @index(exact) .").unwrap();
        assert_eq!(more.find("more").unwrap().0, 32);
        assert_eq!(more.find("xid").map(|(at, of)| (at, of.index)), Some((0, Index::Exact)));
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (line, what) in [
            ("name: string @index(term) .", "@index(term)"),
            ("name: datetime .", "datetime"),
            ("name: int @index(hash) .", "@index(hash)"),
            ("name: [uid] @count .", "@count"),
            ("name: string", "\"\""),
            ("name", "no type"),
        ] {
            let error = Types::default().with(line).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
