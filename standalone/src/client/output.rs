//! What is written: tables for people, JSON for scripts.

use std::io::{self, ErrorKind, IsTerminal as _, Write};

use serde_json::{Value, json};

use super::api::Answer;
use super::error::ClientError;
use super::global::Format;
use super::settings::Env;
use super::shape::{Shape, Tables};
use super::terminal;
use super::text::{cell, plain, plain_json};

/// Where a command writes.
pub(crate) struct Output {
    pub(crate) format: Format,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// Columns, where stdout is a terminal.
    pub(crate) width: Option<u16>,
    has_colour: bool,
    /// Whether errors are JSON, too: only where JSON was asked for.
    has_json_errors: bool,
    /// Whether somebody watches stderr.
    pub(crate) is_watched: bool,
}

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Green.
    Good,
    /// Red.
    Bad,
    /// Yellow.
    Doubtful,
}

impl Output {
    /// The process's own. Without a format, a terminal gets tables.
    pub(crate) fn new(format: Option<Format>, env: &Env<'_>) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let own = if is_terminal { Format::Table } else { Format::Json };
        let is_plain = env("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env("TERM").is_some_and(|term| term == "dumb");
        Self {
            format: format.unwrap_or(own),
            has_json_errors: format.is_some_and(Format::is_json),
            out: Box::new(io::BufWriter::new(io::stdout())),
            err: Box::new(io::stderr()),
            width: terminal::width(env),
            has_colour: is_terminal && !is_plain,
            is_watched: io::stderr().is_terminal(),
        }
    }

    /// Writes to elsewhere, as to no terminal.
    #[cfg(test)]
    pub(crate) fn to(
        asked: Option<Format>,
        out: impl Write + Send + 'static,
        err: impl Write + Send + 'static,
    ) -> Self {
        Self {
            format: asked.unwrap_or(Format::Json),
            out: Box::new(out),
            err: Box::new(err),
            width: None,
            has_colour: false,
            has_json_errors: asked.is_some_and(Format::is_json),
            is_watched: false,
        }
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.out.write_all(bytes).map_err(fault)
    }

    /// A line.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), ClientError> {
        self.bytes(line.as_bytes())?;
        self.bytes(b"\n")
    }

    /// That all so far is to be seen now.
    pub(crate) fn flush(&mut self) -> Result<(), ClientError> {
        self.out.flush().map_err(fault)
    }

    /// A line beside the answer, on stderr.
    pub(crate) fn note(&mut self, line: &str) {
        // Nothing better can be done about a stderr that is closed.
        let _ = writeln!(self.err, "{}", plain(line));
    }

    /// A line on stderr that the next one of its kind writes over, for who watches.
    pub(crate) fn progress(&mut self, line: &str) {
        if self.is_watched {
            let _ = write!(self.err, "\r\u{1b}[K{}", plain(line));
            let _ = self.err.flush();
        }
    }

    /// An error.
    pub(crate) fn error(&mut self, error: &ClientError) {
        if self.has_json_errors {
            let _ = writeln!(self.err, "{}", plain_json(&error.json().to_string()));
            return;
        }
        let lines = error.lines().join("\n");
        let _ = writeln!(self.err, "error: {lines}");
    }

    /// JSON: with indentation on a terminal, as `Format::Json` has it; else in a line.
    pub(crate) fn json(&mut self, value: &Value) -> Result<(), ClientError> {
        let is_pretty = self.format == Format::Json && self.width.is_some();
        let text = if is_pretty { format!("{value:#}") } else { value.to_string() };
        self.line(&plain_json(&text))
    }

    /// One thing.
    pub(crate) fn show(&mut self, value: &Value, shape: &Shape) -> Result<(), ClientError> {
        match self.format {
            Format::Table => {
                let table = Tables { width: self.width }.details(value);
                self.line(&table)
            }
            Format::Json | Format::Jsonl => self.json(value),
            Format::Id => self.line(&shape.id.of(value)),
        }
    }

    /// That something was done, and what the API said about it.
    pub(crate) fn done(
        &mut self,
        sentence: &str,
        id: &str,
        answer: &Value,
    ) -> Result<(), ClientError> {
        match self.format {
            Format::Table => self.line(&plain(sentence)),
            Format::Json | Format::Jsonl if answer.is_null() => {
                self.json(&json!({"id": id, "done": sentence}))
            }
            Format::Json | Format::Jsonl => self.json(answer),
            Format::Id => self.line(&plain(id)),
        }
    }

    /// As [`Output::done`], with the token of the write for who asks next.
    pub(crate) fn wrote(
        &mut self,
        sentence: &str,
        id: &str,
        answer: &Answer,
    ) -> Result<(), ClientError> {
        let mut told = answer.body.clone();
        if told.is_null() {
            told = json!({"id": id, "done": sentence});
        }
        if let (Some(members), Some(token)) = (told.as_object_mut(), &answer.token) {
            members.insert("consistency_token".to_owned(), token.as_str().into());
        }
        self.done(sentence, id, &told)
    }

    /// A text in colour, where there is any.
    pub(crate) fn tint(&self, text: &str, mood: Mood) -> String {
        let code = match mood {
            Mood::Good => 32,
            Mood::Bad => 31,
            Mood::Doubtful => 33,
        };
        if self.has_colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// A list, whose entries come one by one.
    pub(crate) fn listing(&mut self, shape: &'static Shape) -> Listing<'_> {
        Listing { out: self, shape, rows: Vec::new(), count: 0 }
    }
}

fn fault(error: io::Error) -> ClientError {
    match error.kind() {
        ErrorKind::BrokenPipe => ClientError::Closed,
        _ => ClientError::Output(error),
    }
}

/// A list while it is written. A table needs all of its rows first; the other formats keep none.
pub(crate) struct Listing<'o> {
    out: &'o mut Output,
    shape: &'static Shape,
    rows: Vec<Vec<String>>,
    count: usize,
}

impl Listing<'_> {
    /// One more.
    pub(crate) fn push(&mut self, entry: &Value) -> Result<(), ClientError> {
        self.count += 1;
        match self.out.format {
            Format::Table => {
                self.rows.push(self.shape.row(entry));
                Ok(())
            }
            Format::Json => {
                self.out.bytes(if self.count == 1 { b"[" } else { b",\n" })?;
                let text =
                    if self.out.width.is_some() { format!("{entry:#}") } else { entry.to_string() };
                self.out.bytes(plain_json(&text).as_bytes())
            }
            Format::Jsonl => self.out.json(entry),
            Format::Id => self.out.line(&self.shape.id.of(entry)),
        }
    }

    /// The end; `more` says how to see what follows, if anything does.
    pub(crate) fn finish(self, more: Option<&str>) -> Result<(), ClientError> {
        match self.out.format {
            Format::Table if self.count == 0 => self.out.note("none"),
            Format::Table => {
                let table = Tables { width: self.out.width }.rows(self.shape, &self.rows);
                self.out.line(&table)?;
            }
            Format::Json if self.count == 0 => self.out.line("[]")?,
            Format::Json => self.out.line("]")?,
            Format::Jsonl | Format::Id => {}
        }
        if let Some(more) = more {
            // Behind the table, where both are seen.
            self.out.flush()?;
            let count = self.count;
            self.out.note(&format!("{count} shown, more follow: {more}"));
        }
        Ok(())
    }
}

/// A member as text.
pub(crate) fn member(value: &Value, name: &str) -> String {
    value.get(name).map(cell).unwrap_or_default()
}
