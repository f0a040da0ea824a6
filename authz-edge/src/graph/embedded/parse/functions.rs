//! Functions: at the root of a block, and in filters.

use super::super::super::dql::parse_uid;
use super::super::lex::Token;
use super::super::plan::{Filter, Nodes, Root, Text};
use super::super::refused;
use super::super::types::{Index, Kind, Number, Slot};
use super::{Holds, Parsed, Parser};

/// A node's id, as it is named in a query.
pub(super) fn uid(word: &str) -> Option<u64> {
    parse_uid(word).or_else(|| word.parse().ok())
}

impl<'a> Parser<'a> {
    /// A function that a block begins with.
    pub(super) fn root(&mut self) -> Parsed<Root> {
        let (name, _) = (self.word()?, self.expect('(')?);
        let root = match name {
            "uid" => return Ok(Root::Uid(self.nodes()?)),
            "has" => {
                let predicate = self.word()?;
                Root::Has(self.types.find(predicate).map(|(number, _)| number))
            }
            "eq" => {
                let place = self.indexed(&[Index::Hash, Index::Exact])?;
                self.expect(',')?;
                Root::Eq(place, self.texts()?)
            }
            "between" => {
                let place = self.indexed(&[Index::Exact])?;
                self.expect(',')?;
                let low = self.one_text()?;
                self.expect(',')?;
                Root::Between(place, low, self.one_text()?)
            }
            other => return Err(refused(format!("query: {other} at a root"))),
        };
        self.expect(')')?;
        Ok(root)
    }

    fn indexed(&mut self, by: &[Index]) -> Parsed<Number> {
        let name = self.word()?;
        let found = self.types.find(name).filter(|(_, of)| by.contains(&of.index));
        let found = found.map(|(number, _)| number);
        found.ok_or_else(|| refused(format!("query: predicate {name} is not indexed for this")))
    }

    /// `uid(…)`, behind its bracket.
    fn nodes(&mut self) -> Parsed<Nodes> {
        let mut nodes = Nodes::default();
        while !self.takes(')') {
            let word = self.word()?;
            match uid(word) {
                Some(uid) => nodes.named.push(uid),
                None => nodes.vars.push(self.used(word, Holds::Nodes)?),
            }
            self.takes(',');
        }
        if nodes.named.is_empty() && nodes.vars.is_empty() {
            return Err(refused("query: uid() of nothing"));
        }
        nodes.named.sort_unstable();
        Ok(nodes)
    }

    fn one_text(&mut self) -> Parsed<Text> {
        if let Some(Token::Param(name)) = self.peek() {
            let known = self.params.iter().position(|param| param == name);
            let param = known.ok_or_else(|| refused(format!("query: ${name} is not declared")))?;
            self.at += 1;
            return Ok(Text::Param(param));
        }
        Ok(Text::Literal(self.text()?.into()))
    }

    /// One text, or a list of them.
    fn texts(&mut self) -> Parsed<Vec<Text>> {
        if !self.takes('[') {
            return Ok(vec![self.one_text()?]);
        }
        let mut texts = Vec::new();
        while !self.takes(']') {
            texts.push(self.one_text()?);
            self.takes(',');
        }
        Ok(texts)
    }

    /// `(…)` behind `@filter`.
    pub(super) fn filter(&mut self) -> Parsed<Filter> {
        self.expect('(')?;
        let filter = self.any()?;
        self.expect(')')?;
        Ok(filter)
    }

    fn any(&mut self) -> Parsed<Filter> {
        self.deeper(|this| this.joined("or", Self::all, Filter::Any))
    }

    fn all(&mut self) -> Parsed<Filter> {
        self.joined("and", Self::single, Filter::All)
    }

    fn joined(
        &mut self,
        word: &str,
        part: impl Fn(&mut Self) -> Parsed<Filter>,
        join: impl Fn(Vec<Filter>) -> Filter,
    ) -> Parsed<Filter> {
        let first = part(self)?;
        let mut parts = Vec::new();
        while self.takes_word(word) {
            parts.push(part(self)?);
        }
        if parts.is_empty() {
            return Ok(first);
        }
        parts.insert(0, first);
        Ok(join(parts))
    }

    fn single(&mut self) -> Parsed<Filter> {
        if self.takes('(') {
            let filter = self.any()?;
            self.expect(')')?;
            return Ok(filter);
        }
        let (name, is_not) = match self.word()? {
            not if not.eq_ignore_ascii_case("not") => ("", true),
            name => (name, false),
        };
        if is_not {
            return Ok(Filter::Not(Box::new(self.deeper(Self::single)?)));
        }
        self.expect('(')?;
        let filter = match name {
            "uid" => return Ok(Filter::Uid(self.nodes()?)),
            "has" => {
                let predicate = self.word()?;
                Filter::Has(self.slot(predicate)?.map(|(slot, _)| slot))
            }
            "eq" => {
                let slot = self.of_kind(|kind| kind == Kind::Text)?;
                self.expect(',')?;
                Filter::Eq(slot, self.texts()?)
            }
            "uid_in" => {
                let slot = self.of_kind(Kind::is_edge)?;
                self.expect(',')?;
                if self.word()? != "uid" {
                    return Err(refused("query: uid_in without uid"));
                }
                self.expect('(')?;
                Filter::UidIn(slot, self.nodes()?)
            }
            other => return Err(refused(format!("query: {other} in a filter"))),
        };
        self.expect(')')?;
        Ok(filter)
    }

    fn of_kind(&mut self, is: impl Fn(Kind) -> bool) -> Parsed<Option<Slot>> {
        let name = self.word()?;
        match self.slot(name)? {
            Some((_, kind)) if !is(kind) => {
                Err(refused(format!("query: a filter of this kind on {name}")))
            }
            found => Ok(found.map(|(slot, _)| slot)),
        }
    }

    /// What a name stands for; nothing when the schema does not have it.
    pub(super) fn slot(&self, name: &'a str) -> Parsed<Option<(Slot, Kind)>> {
        let Some(backwards) = name.strip_prefix('~') else {
            let found = self.types.find(name);
            return Ok(found.map(|(number, of)| (Slot::forward(number), of.kind)));
        };
        let found = self.types.find(backwards).filter(|(_, of)| of.reverse);
        let found = found.map(|(number, _)| (Slot::backward(number), Kind::Edges));
        let none = || refused(format!("query: predicate {backwards} has no reverse edges"));
        found.ok_or_else(none).map(Some)
    }
}
