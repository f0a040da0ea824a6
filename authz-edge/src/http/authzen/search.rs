//! `search/subject`, `search/resource` and `search/action`.

use std::borrow::Cow;

use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::cursor::Binding;
use super::form::{Action, Entity, Text, Tuple, required, text};
use super::{Call, Refusal};
use crate::check::Given;
use crate::check::search::{MAX_EXAMINED, Page, Position, Search};
use crate::model::key::{ResourceRef, SubjectRef, SubjectType, check_id};
use crate::model::{Invalid, Properties};

/// Results of a page whose request does not say.
const DEFAULT_LIMIT: usize = 100;

/// A search as it is sent.
#[derive(Debug, Deserialize)]
struct Form<'a> {
    #[serde(borrow, default)]
    subject: Option<Entity<'a>>,
    #[serde(borrow, default)]
    action: Option<Action<'a>>,
    #[serde(borrow, default)]
    resource: Option<Entity<'a>>,
    #[serde(default)]
    context: Option<Properties>,
    #[serde(borrow, default)]
    page: Option<PageForm<'a>>,
}

#[derive(Debug, Deserialize)]
struct PageForm<'a> {
    /// Empty ones begin at the start.
    #[serde(borrow, default)]
    token: Option<Text<'a>>,
    /// As drafts of the specification called it.
    #[serde(borrow, default)]
    next_token: Option<Text<'a>>,
    #[serde(default)]
    limit: Option<u64>,
}

/// What is searched for, with the properties and the page apart.
struct Parts<'a> {
    subject: Entity<'a>,
    action: Option<Action<'a>>,
    resource: Entity<'a>,
    given: Given,
    page: Option<PageForm<'a>>,
}

impl<'a> Form<'a> {
    fn parts(self) -> Result<Parts<'a>, Refusal> {
        let Self { subject, action, resource, context, page } = self;
        let mut tuple = Tuple { subject, action, resource, context };
        let given = tuple.take_given();
        given.check()?;
        let subject = tuple.subject.ok_or_else(|| required("subject"))?;
        let resource = tuple.resource.ok_or_else(|| required("resource"))?;
        Ok(Parts { subject, action: tuple.action, resource, given, page })
    }
}

impl<'a> Parts<'a> {
    fn action(&mut self) -> Result<Cow<'a, str>, Refusal> {
        let action = self.action.take().ok_or_else(|| required("action"))?;
        named("action.name", action.name)
    }

    fn resource(&mut self) -> Result<ResourceRef, Refusal> {
        let type_ = text("resource.type", self.resource.type_.take())?;
        let resource = ResourceRef::new(type_, text("resource.id", self.resource.id.take())?);
        resource.check().map_err(|invalid| invalid.within("resource"))?;
        Ok(resource)
    }

    /// The subject, if it is of a type that is known here.
    fn subject(&mut self) -> Result<Result<SubjectRef, Unknown>, Refusal> {
        let type_ = named("subject.type", self.subject.type_.take())?;
        let id = named("subject.id", self.subject.id.take())?;
        let Some(type_) = SubjectType::parse(&type_) else { return Ok(Err(Unknown)) };
        let subject = SubjectRef::new(type_, id);
        if subject.is_everyone() {
            return Err(Invalid::new("subject.id", "is one subject, not *").into());
        }
        Ok(Ok(subject))
    }
}

/// Of a type that nobody here has.
struct Unknown;

/// A text that must be there and fit for an id.
fn named<'a>(member: &str, given: Option<Text<'a>>) -> Result<Cow<'a, str>, Refusal> {
    let text = text(member, given)?;
    check_id(member, &text)?;
    Ok(text)
}

/// A page as it is answered.
#[derive(Debug, Serialize)]
struct Results<T> {
    results: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<PageAnswer>,
}

#[derive(Debug, Serialize)]
struct PageAnswer {
    /// Empty at the end.
    next_token: String,
    count: usize,
}

#[derive(Debug, Serialize)]
struct Found<'a> {
    #[serde(rename = "type")]
    type_: &'a str,
    id: String,
}

#[derive(Debug, Serialize)]
struct FoundAction {
    name: String,
}

/// Where a search goes on, and how far.
struct Paging {
    binding: Binding,
    after: Position,
    limit: usize,
    asked: bool,
}

impl Paging {
    fn new(
        call: &Call,
        search: &str,
        words: &[&str],
        given: &Given,
        page: Option<PageForm<'_>>,
    ) -> Result<Self, Refusal> {
        let epoch = call.api.checker.shared().freshness.epoch();
        let binding = Binding::new(epoch, search, &call.tenant, words, given);
        let asked = page.is_some();
        let (token, limit) = match page {
            Some(page) => (page.token.or(page.next_token), page.limit),
            None => (None, None),
        };
        let after = match token.filter(|token| !token.0.is_empty()) {
            None => Position::Start,
            Some(token) => binding
                .open(&token.0)
                .ok_or_else(|| Invalid::new("page.token", "does not belong to this search"))?,
        };
        let limit = limit.map_or(DEFAULT_LIMIT, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX).min(MAX_EXAMINED)
        });
        Ok(Self { binding, after, limit, asked })
    }

    fn search<'a>(&'a self, call: &'a Call, given: &'a Given) -> Search<'a> {
        let (tenant, at_least) = (&call.tenant, call.at_least);
        Search { tenant, given, at_least, after: &self.after, limit: self.limit }
    }

    fn answer<T: Serialize>(
        &self,
        call: &Call,
        page: Page,
        result: impl Fn(String) -> T,
    ) -> Response {
        let next_token = page.next.map_or_else(String::new, |next| self.binding.seal(&next));
        let results: Vec<T> = page.results.into_iter().map(result).collect();
        // Callers that know of no pages see one when there is more only.
        let shown = self.asked || !next_token.is_empty();
        let page_answer = shown.then_some(PageAnswer { next_token, count: results.len() });
        call.answer(&Results { results, page: page_answer }, page.revision)
    }

    /// The answer about what nobody here has.
    fn nothing(&self, call: &Call) -> Response {
        let page = Page { results: Vec::new(), next: None, revision: call.watermark() };
        self.answer(call, page, |name| name)
    }
}

/// `POST …/search/subject`: an id of the subject is ignored.
pub(super) async fn subjects(call: Call) -> Result<Response, Refusal> {
    call.take(1)?;
    let mut parts = call.read::<Form<'_>>()?.parts()?;
    let type_ = named("subject.type", parts.subject.type_.take())?;
    let (action, resource) = (parts.action()?, parts.resource()?);
    let words = [&*type_, &*action, &resource.type_, &resource.id];
    let paging = Paging::new(&call, "subject", &words, &parts.given, parts.page)?;
    let Some(known) = SubjectType::parse(&type_) else { return Ok(paging.nothing(&call)) };
    let search = paging.search(&call, &parts.given);
    let page = call.api.checker.search_subjects(search, known, &action, &resource).await?;
    Ok(paging.answer(&call, page, |id| Found { type_: &type_, id }))
}

/// `POST …/search/resource`: an id of the resource is ignored.
pub(super) async fn resources(call: Call) -> Result<Response, Refusal> {
    call.take(1)?;
    let mut parts = call.read::<Form<'_>>()?.parts()?;
    let (subject, action) = (parts.subject()?, parts.action()?);
    let type_ = named("resource.type", parts.resource.type_.take())?;
    let Ok(subject) = subject else { return nothing(&call, parts) };
    let words = [subject.type_.as_str(), &subject.id, &*action, &*type_];
    let paging = Paging::new(&call, "resource", &words, &parts.given, parts.page)?;
    let search = paging.search(&call, &parts.given);
    let page = call.api.checker.search_resources(search, &subject, &action, &type_).await?;
    Ok(paging.answer(&call, page, |id| Found { type_: &type_, id }))
}

/// `POST …/search/action`: an action is ignored.
pub(super) async fn actions(call: Call) -> Result<Response, Refusal> {
    call.take(1)?;
    let mut parts = call.read::<Form<'_>>()?.parts()?;
    let (subject, resource) = (parts.subject()?, parts.resource()?);
    let Ok(subject) = subject else { return nothing(&call, parts) };
    let words = [subject.type_.as_str(), &subject.id, &resource.type_, &resource.id];
    let paging = Paging::new(&call, "action", &words, &parts.given, parts.page)?;
    let search = paging.search(&call, &parts.given);
    let page = call.api.checker.search_actions(search, &subject, &resource).await?;
    Ok(paging.answer(&call, page, |name| FoundAction { name }))
}

/// The answer about a subject of a type that nobody here has: its pages are never continued.
fn nothing(call: &Call, parts: Parts<'_>) -> Result<Response, Refusal> {
    Ok(Paging::new(call, "nothing", &[], &parts.given, parts.page)?.nothing(call))
}
