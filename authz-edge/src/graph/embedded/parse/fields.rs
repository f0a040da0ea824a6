//! What is asked of each node.

use super::super::lex::Token;
use super::super::plan::{Count, Edge, Field, Label, Page, Root};
use super::super::refused;
use super::super::types::Kind;
use super::{Holds, Parsed, Parser};

/// A name of an answer.
pub(super) fn label(name: &str) -> Label {
    format!("\"{name}\":").into()
}

impl<'a> Parser<'a> {
    /// Fields, behind their bracket.
    pub(super) fn fields(&mut self) -> Parsed<Vec<Field>> {
        self.deeper(|this| {
            let mut fields = Vec::new();
            while !this.takes('}') {
                fields.push(this.field()?);
            }
            if fields.is_empty() {
                return Err(refused("query: no fields"));
            }
            Ok(fields)
        })
    }

    fn field(&mut self) -> Parsed<Field> {
        let (mut name, mut var, mut alias) = (self.word()?, None, None);
        if self.takes_word("as") {
            var = Some(name);
            name = self.word()?;
        } else if self.takes(':') {
            alias = Some(name);
            name = self.word()?;
        }
        let shown = label(alias.unwrap_or(name));
        let is_call = self.peek() == Some(&Token::Mark('('));
        match (name, var) {
            ("uid", None) => Ok(Field::Uid(shown)),
            ("count", _) if is_call => self.count(alias.map(label), var),
            ("sum", None) if is_call => {
                self.at += 1;
                if self.word()? != "val" {
                    return Err(refused("query: sum without val"));
                }
                self.expect('(')?;
                let of = self.word()?;
                let of = self.used(of, Holds::Counts)?;
                self.expect(')')?;
                self.expect(')')?;
                Ok(Field::Sum(shown, of))
            }
            (name, _) if is_call && self.slot(name)?.is_none() => {
                Err(refused(format!("query: {name}(…)")))
            }
            (name, var) => self.predicate(name, shown, var),
        }
    }

    fn count(&mut self, alias: Option<Label>, var: Option<&'a str>) -> Parsed<Field> {
        self.expect('(')?;
        let name = self.word()?;
        self.expect(')')?;
        if name == "uid" && var.is_none() {
            return Ok(Field::CountNodes(alias.unwrap_or_else(|| label("count"))));
        }
        let slot = match self.slot(name)? {
            Some((_, kind)) if !kind.is_edge() => {
                return Err(refused(format!("query: count({name})")));
            }
            found => found.map(|(slot, _)| slot),
        };
        let var = var.map(|var| self.define(var, Holds::Counts)).transpose()?;
        let label = match var {
            Some(_) => None,
            None => Some(alias.unwrap_or_else(|| label(&format!("count({name})")))),
        };
        Ok(Field::Count(Count { label, slot, var }))
    }

    fn predicate(&mut self, name: &'a str, label: Label, var: Option<&'a str>) -> Parsed<Field> {
        let found = self.slot(name)?;
        let (mut page, mut filter, mut is_edge) = (Page::ALL, None, var.is_some());
        loop {
            if self.takes('(') {
                while !self.takes(')') {
                    let part = self.word()?;
                    self.page_part(part, &mut page)?;
                    self.takes(',');
                }
            } else if self.takes('@') {
                match self.word()? {
                    "filter" if filter.is_none() => filter = Some(self.filter()?),
                    other => return Err(refused(format!("query: @{other} at {name}"))),
                }
            } else {
                break;
            }
            is_edge = true;
        }
        let fields = if self.takes('{') { self.fields()? } else { Vec::new() };
        is_edge |= !fields.is_empty();
        let (slot, kind) = found.map_or((None, None), |(slot, kind)| (Some(slot), Some(kind)));
        if kind.is_some_and(|kind| kind.is_edge() != is_edge) {
            let what = if is_edge { "more than the value" } else { "nothing" };
            return Err(refused(format!("query: {what} of {name}")));
        }
        if !is_edge {
            return Ok(Field::Value(label, slot));
        }
        if fields.is_empty() && var.is_none() {
            return Err(refused(format!("query: nothing of {name}")));
        }
        if fields.iter().any(|field| matches!(field, Field::CountNodes(_) | Field::Sum(..))) {
            return Err(refused(format!("query: a count of nodes, or a sum, within {name}")));
        }
        let var = var.map(|var| self.define(var, Holds::Nodes)).transpose()?;
        let is_list = kind != Some(Kind::Edge);
        Ok(Field::Edge(Edge { label, slot, is_list, var, page, filter, fields }))
    }

    /// Whether a block is one of those that are sent.
    pub(super) fn check_block(
        &self,
        is_var: bool,
        recurse: bool,
        root: &Root,
        fields: &[Field],
    ) -> Parsed<()> {
        let is_of_nodes = |field: &Field| match field {
            Field::CountNodes(_) | Field::Sum(..) => false,
            Field::Count(count) => !is_var || count.var.is_some(),
            Field::Edge(edge) => !is_var || edge.fields.is_empty(),
            Field::Uid(_) | Field::Value(..) => !is_var,
        };
        let is_step = |field: &Field| matches!(field, Field::Edge(edge) if edge.fields.is_empty());
        let right = match (root, fields) {
            (Root::Nothing, [Field::Sum(..)]) => !is_var,
            (Root::Nothing, _) => false,
            (_, [Field::CountNodes(_)]) => !is_var && !recurse,
            (_, []) => is_var && !recurse && !self.defines.is_empty(),
            (_, fields) if recurse => is_var && fields.iter().all(is_step),
            (_, fields) => fields.iter().all(is_of_nodes),
        };
        right.then_some(()).ok_or_else(|| refused("query: a block of a kind that is not sent"))
    }
}
