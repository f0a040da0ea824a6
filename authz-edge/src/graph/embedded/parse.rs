//! Reading queries: the part of DQL that this crate sends, see <https://dgraph.io/docs/query-language/>.
//! Everything else is refused by its name.

mod fields;
mod functions;

use std::borrow::Cow;
use std::sync::Arc;

use super::super::store::GraphError;
use super::lex::{Token, tokens};
use super::plan::{Block, Page, Plan, Root, Var};
use super::refused;
use super::types::Types;

/// How deep fields and filters may be nested.
const DEPTH: usize = 16;

type Parsed<T> = Result<T, GraphError>;

/// What a variable holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Nodes,
    Counts,
}

/// A variable, as far as it was met.
struct Known<'a> {
    name: &'a str,
    defined: Option<Holds>,
    used: Option<Holds>,
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    types: &'a Types,
    params: Vec<&'a str>,
    vars: Vec<Known<'a>>,
    /// Of the block that is being read.
    uses: Vec<Var>,
    defines: Vec<Var>,
    depth: usize,
}

/// Reads a query.
///
/// # Errors
/// `Refused`, with what is not understood.
pub(super) fn parse(text: &str, types: &Arc<Types>) -> Parsed<Plan> {
    let tokens = tokens(text).map_err(|rest| {
        let rest: String = rest.chars().take(20).collect();
        refused(format!("query: not understood: {rest}"))
    })?;
    let mut parser = Parser {
        tokens,
        at: 0,
        types,
        params: Vec::new(),
        vars: Vec::new(),
        uses: Vec::new(),
        defines: Vec::new(),
        depth: 0,
    };
    let blocks = parser.document()?;
    let blocks = parser.in_order(blocks)?;
    let params = parser.params.iter().map(|name| format!("${name}").into()).collect();
    Ok(Plan { types: Arc::clone(types), params, vars: parser.vars.len(), blocks })
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Parsed<Token<'a>> {
        let token = self.tokens.get_mut(self.at);
        let token = token.ok_or_else(|| refused("query: it ends too early"))?;
        self.at += 1;
        Ok(match token {
            // Each is taken once; a text may be long.
            Token::Text(text) => Token::Text(std::mem::take(text)),
            other => other.clone(),
        })
    }

    /// Takes a mark if it is next.
    fn takes(&mut self, mark: char) -> bool {
        let is_next = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes a word if it is next.
    fn takes_word(&mut self, word: &str) -> bool {
        let is_next =
            matches!(self.peek(), Some(Token::Word(next)) if next.eq_ignore_ascii_case(word));
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, mark: char) -> Parsed<()> {
        match self.next()? {
            Token::Mark(next) if next == mark => Ok(()),
            other => Err(refused(format!("query: {other} where {mark} should be"))),
        }
    }

    fn word(&mut self) -> Parsed<&'a str> {
        match self.next()? {
            Token::Word(word) => Ok(word),
            other => Err(refused(format!("query: {other} where a name should be"))),
        }
    }

    fn text(&mut self) -> Parsed<Cow<'a, str>> {
        match self.next()? {
            Token::Text(text) => Ok(text),
            other => Err(refused(format!("query: {other} where a text should be"))),
        }
    }

    fn number(&mut self) -> Parsed<usize> {
        let word = self.word()?;
        word.parse().map_err(|_| refused(format!("query: {word} where a number should be")))
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEPTH {
            return Err(refused("query: it is nested too deeply"));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn var(&mut self, name: &'a str) -> Var {
        let known = self.vars.iter().position(|var| var.name == name);
        known.unwrap_or_else(|| {
            self.vars.push(Known { name, defined: None, used: None });
            self.vars.len() - 1
        })
    }

    fn define(&mut self, name: &'a str, holds: Holds) -> Parsed<Var> {
        let var = self.var(name);
        if self.vars[var].defined.replace(holds).is_some() {
            return Err(refused(format!("query: variable {name} is defined twice")));
        }
        self.defines.push(var);
        Ok(var)
    }

    fn used(&mut self, name: &'a str, holds: Holds) -> Parsed<Var> {
        let var = self.var(name);
        if self.vars[var].used.replace(holds).is_some_and(|before| before != holds) {
            return Err(refused(format!("query: variable {name} is used in two ways")));
        }
        self.uses.push(var);
        Ok(var)
    }

    fn document(&mut self) -> Parsed<Vec<Block>> {
        if self.takes_word("query") {
            if matches!(self.peek(), Some(Token::Word(_))) {
                self.at += 1;
            }
            if self.takes('(') {
                self.declarations()?;
            }
        }
        self.expect('{')?;
        let mut blocks = Vec::new();
        while !self.takes('}') {
            blocks.push(self.block()?);
        }
        match self.peek() {
            None if !blocks.is_empty() => Ok(blocks),
            None => Err(refused("query: it asks nothing")),
            Some(more) => Err(refused(format!("query: {more} behind its end"))),
        }
    }

    fn declarations(&mut self) -> Parsed<()> {
        while !self.takes(')') {
            match self.next()? {
                Token::Param(name) => self.params.push(name),
                other => return Err(refused(format!("query: {other} where a variable should be"))),
            }
            self.expect(':')?;
            let of = self.word()?;
            if of != "string" {
                return Err(refused(format!("query: variables of type {of}")));
            }
            self.takes(',');
        }
        Ok(())
    }

    fn block(&mut self) -> Parsed<Block> {
        let mut name = self.word()?;
        let mut var = None;
        if self.takes_word("as") {
            var = Some(self.define(name, Holds::Nodes)?);
            name = self.word()?;
        }
        self.expect('(')?;
        let (mut root, mut page) = (None, Page::ALL);
        while !self.takes(')') {
            match self.word()? {
                "func" if root.is_none() => {
                    self.expect(':')?;
                    root = Some(self.root()?);
                }
                other => self.page_part(other, &mut page)?,
            }
            self.takes(',');
        }
        let (mut filter, mut recurse) = (None, false);
        while self.takes('@') {
            match self.word()? {
                "filter" if filter.is_none() => filter = Some(self.filter()?),
                "recurse" => {
                    self.loopless()?;
                    recurse = true;
                }
                other => return Err(refused(format!("query: @{other}"))),
            }
        }
        let is_var = name == "var";
        let root = root.unwrap_or(Root::Nothing);
        let fields = if self.takes('{') { self.fields()? } else { Vec::new() };
        self.check_block(is_var, recurse, &root, &fields)?;
        let label = (!is_var).then(|| fields::label(name));
        let (uses, defines) = (std::mem::take(&mut self.uses), std::mem::take(&mut self.defines));
        Ok(Block { label, var, root, page, filter, recurse, fields, uses, defines })
    }

    fn page_part(&mut self, part: &str, page: &mut Page) -> Parsed<()> {
        self.expect(':')?;
        match part {
            "first" => page.first = self.number()?,
            "after" => page.after = self.uid()?,
            other => return Err(refused(format!("query: {other}"))),
        }
        Ok(())
    }

    fn uid(&mut self) -> Parsed<u64> {
        let word = self.word()?;
        functions::uid(word).ok_or_else(|| refused(format!("query: {word} is no node")))
    }

    fn loopless(&mut self) -> Parsed<()> {
        self.expect('(')?;
        let (what, _) = (self.word()?, self.expect(':')?);
        match (what, self.word()?) {
            ("loop", "false") => self.expect(')'),
            (what, of) => Err(refused(format!("query: @recurse({what}: {of})"))),
        }
    }

    /// Every variable must be defined and used, as Dgraph has it.
    fn in_order(&self, mut blocks: Vec<Block>) -> Parsed<Vec<Block>> {
        for Known { name, defined, used } in &self.vars {
            let wrong = match (defined, used) {
                (None, _) => "is not defined",
                (_, None) => "is defined and not used",
                (defined, used) if defined != used => "is used as what it is not",
                _ => continue,
            };
            return Err(refused(format!("query: variable {name} {wrong}")));
        }
        let (mut known, mut ordered) = (vec![false; self.vars.len()], Vec::new());
        while !blocks.is_empty() {
            let ready = blocks.iter().position(|block| block.uses.iter().all(|var| known[*var]));
            let at = ready.ok_or_else(|| refused("query: its blocks need each other"))?;
            let block = blocks.remove(at);
            block.defines.iter().for_each(|var| known[*var] = true);
            ordered.push(block);
        }
        Ok(ordered)
    }
}
