//! Lists, page by page.

use serde_json::Value;

use super::{Answer, Api, Call};
use crate::client::error::{Answered, ClientError};

/// Entries that are asked for at once, at most: no service gives more.
const PAGE: usize = 1000;

/// How a service writes a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List {
    /// The member that holds the entries.
    pub(crate) items: &'static str,
    /// The member that says where the list goes on.
    pub(crate) cursor: &'static str,
}

impl List {
    /// Of identity-admin.
    pub(crate) const IDENTITY: Self = Self { items: "items", cursor: "next_cursor" };
    /// Of ingest.
    pub(crate) const EVENTS: Self = Self { items: "events", cursor: "next_cursor" };

    /// Of authz-edge.
    pub(crate) const fn graph(items: &'static str) -> Self {
        Self { items, cursor: "cursor" }
    }
}

/// The pages of a list. An empty one need not be the last.
pub(crate) struct Pages<'a> {
    api: &'a Api,
    call: Call,
    list: List,
    /// Where it goes on; `None` at the end.
    next: Option<String>,
    is_begun: bool,
    /// Entries that are asked for at once; the service's own number where it does not take ours.
    size: Option<usize>,
    left: Option<usize>,
    /// When the service began to answer the last page, if it says.
    pub(crate) date: Option<chrono::DateTime<chrono::Utc>>,
}

impl<'a> Pages<'a> {
    /// A list of at most `limit` entries, or all.
    pub(crate) fn new(api: &'a Api, call: Call, list: List, limit: Option<usize>) -> Self {
        let size = Some(limit.unwrap_or(PAGE).clamp(1, PAGE));
        Self { api, call, list, next: None, is_begun: false, size, left: limit, date: None }
    }

    /// The next entries; none is no end, but `None` is.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Value>>, ClientError> {
        if (self.is_begun && self.next.is_none()) || self.left == Some(0) {
            return Ok(None);
        }
        let mut answer = match self.page().await {
            Err(ClientError::Answered(answered)) if self.is_refused(&answered) => {
                self.size = None;
                self.page().await?
            }
            answer => answer?,
        };
        let mut items = answer.list(self.list.items)?;
        let next = answer.body.get(self.list.cursor).and_then(Value::as_str).map(str::to_owned);
        if next.is_some() && next == self.next {
            return Err(answer.malformed("the list does not go on"));
        }
        (self.next, self.is_begun, self.date) = (next, true, answer.date);
        if let Some(left) = &mut self.left {
            // What is cut off follows, as does what a cursor leads to.
            if items.len() > *left {
                items.truncate(*left);
                self.next.get_or_insert_default();
            }
            *left -= items.len();
        }
        Ok(Some(items))
    }

    async fn page(&self) -> Result<Answer, ClientError> {
        let call = self.call.clone().query("limit", self.size);
        self.api.send(&call.query("cursor", self.next.as_deref())).await
    }

    /// Whether the service is configured to give fewer at once.
    fn is_refused(&self, answered: &Answered) -> bool {
        answered.status == 400 && answered.detail.starts_with("limit") && !self.is_begun
    }

    /// Whether there may be more than was given.
    pub(crate) fn has_more(&self) -> bool {
        self.next.is_some()
    }
}
