//! What commands work with.

use chrono::{DateTime, Local, Utc};
use serde_json::Value;

use super::api::{Answer, Api, Call, List, Pages};
use super::args::Paging;
use super::error::ClientError;
use super::output::Output;
use super::profile::Store;
use super::settings::Settings;
use super::shape::Shape;
use super::time::{self, Toward};

/// What commands work with.
pub(crate) struct Context {
    pub(crate) api: Api,
    pub(crate) out: Output,
    pub(crate) settings: Settings,
    pub(crate) store: Store,
}

impl Context {
    /// The tenant.
    pub(crate) fn tenant(&self) -> Result<&str, ClientError> {
        self.settings.tenant()
    }

    /// Writes a list, as much of it as is asked for.
    pub(crate) async fn list(
        &mut self,
        (call, list): (Call, List),
        paging: &Paging,
        shape: &'static Shape,
    ) -> Result<(), ClientError> {
        let mut pages = Pages::new(&self.api, call, list, paging.limit());
        let mut listing = self.out.listing(shape);
        while let Some(entries) = pages.next().await? {
            entries.iter().try_for_each(|entry| listing.push(entry))?;
        }
        listing.finish(pages.has_more().then_some("--limit N or --all"))
    }

    /// A time that was typed.
    ///
    /// # Errors
    /// The option, and what may be typed.
    pub(crate) fn time(
        &self,
        option: &str,
        text: Option<&str>,
        toward: Toward,
    ) -> Result<Option<DateTime<Utc>>, ClientError> {
        let now = self.api.clock.now().with_timezone(&Local);
        let parse = |text: &str| {
            let time = time::parse(text, &now, toward);
            time.map_err(|why| ClientError::Usage(format!("{option} {text}: {why}")))
        };
        text.map(parse).transpose()
    }

    /// Sends a write of the graph and says that it was done. Its token is the answer.
    pub(crate) async fn write_graph(
        &mut self,
        call: &Call,
        sentence: &str,
    ) -> Result<(), ClientError> {
        let Answer { body, token, .. } = self.api.send(call).await?;
        let token = body.get("revision").and_then(Value::as_str).map(str::to_owned).or(token);
        self.out.done(sentence, token.as_deref().unwrap_or_default(), &body)
    }
}
