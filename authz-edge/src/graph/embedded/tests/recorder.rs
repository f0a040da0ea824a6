//! What was asked and committed, for tests that do the same elsewhere.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Mutex;

use super::super::nquads::{Id, Object, parse};
use crate::graph::dql::literal;
use crate::graph::embedded::Embedded;

/// A query, or a commit in which the nodes that it made have their ids.
#[derive(Debug, Clone)]
pub(in super::super) enum Said {
    Query { dql: String, vars: Vec<(String, String)> },
    Commit { set: String, delete: String },
}

/// Nothing is noted before it is asked for.
#[derive(Debug, Default)]
pub(in super::super) struct Recorder(Mutex<Option<Vec<Said>>>);

impl Recorder {
    pub(in super::super) fn query(&self, dql: &str, vars: &[(&str, &str)]) {
        if let Some(said) = &mut *self.0.lock().unwrap() {
            let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            said.push(Said::Query { dql: dql.to_owned(), vars: vars.collect() });
        }
    }

    /// `next` is the id of the first node that is made.
    pub(in super::super) fn commit(&self, set: &str, delete: &str, mut next: u64) {
        let mut noted = self.0.lock().unwrap();
        let Some(said) = &mut *noted else { return };
        let (mut made, mut text) = (HashMap::new(), String::new());
        let mut node = |id| match id {
            Id::Stored(uid) => uid,
            Id::Blank(name) => *made.entry(name).or_insert_with(|| {
                next += 1;
                next - 1
            }),
        };
        for quad in parse(set).unwrap() {
            write!(text, "<{:#x}> <{}> ", node(quad.subject), quad.predicate).unwrap();
            match quad.object {
                Object::Node(id) => writeln!(text, "<{:#x}> .", node(id)).unwrap(),
                Object::Text(value) => writeln!(text, "{} .", literal(&value)).unwrap(),
                Object::Star => panic!("everything cannot be set"),
            }
        }
        said.push(Said::Commit { set: text, delete: delete.to_owned() });
    }
}

impl Embedded {
    /// Gives ids from `uid` on, and notes what is said from here on.
    pub(in super::super) async fn go_on_at(&self, uid: u64) {
        self.core.next_is(uid).await;
        *self.core.recorder.0.lock().unwrap() = Some(Vec::new());
    }

    /// What was said since this was asked last.
    pub(in super::super) fn said(&self) -> Vec<Said> {
        self.core.recorder.0.lock().unwrap().as_mut().map(std::mem::take).unwrap_or_default()
    }
}
