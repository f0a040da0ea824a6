//! `…/check` and `…/check/batch`.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use contracts::{Scope, TenantId};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use service_kit::Problem;
use service_kit::auth::Principal;

use super::extract::Path;
use super::{Api, TOKEN, problem};
use crate::audit::{Asker, Route};
use crate::check::{AtLeast, CheckError, Given, Question, Words};
use crate::model::{Invalid, Properties, SubjectType};
use service_kit::body::Unread;

/// The most questions of one batch.
const MAX_BATCH: usize = 1000;
/// Questions of one batch that are worked on at once.
const AT_ONCE: usize = 32;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/v1/tenants/{tenant}/check", post(check))
        .route("/v1/tenants/{tenant}/check/batch", post(batch))
}

/// A question as it is sent; it borrows from the body what has no escapes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckForm<'a> {
    #[serde(borrow)]
    subject: SubjectForm<'a>,
    #[serde(borrow)]
    action: ActionForm<'a>,
    #[serde(borrow)]
    resource: ResourceForm<'a>,
    #[serde(default)]
    context: Option<Properties>,
    #[serde(borrow, default)]
    at_least: Option<Text<'a>>,
}

type Text<'a> = std::borrow::Cow<'a, str>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectForm<'a> {
    #[serde(rename = "type")]
    type_: SubjectType,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(default)]
    properties: Option<Properties>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionForm<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(default)]
    properties: Option<Properties>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceForm<'a> {
    #[serde(rename = "type", borrow)]
    type_: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(default)]
    properties: Option<Properties>,
}

impl<'a> CheckForm<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Problem> {
        serde_json::from_slice(body).map_err(|error| Problem::bad_request(error.to_string()))
    }

    /// One of a batch: what is wrong with it is said in its place.
    fn of_batch(index: usize, text: &'a RawValue) -> Result<Self, Invalid> {
        let wrong = |error| Invalid::new(format!("checks[{index}]"), error);
        serde_json::from_str(text.get()).map_err(wrong)
    }

    fn words<'w>(&'w self, tenant: &'w TenantId) -> Words<'w> {
        Words {
            tenant,
            subject_type: self.subject.type_,
            subject: &self.subject.id,
            action: &self.action.name,
            resource_type: &self.resource.type_,
            resource: &self.resource.id,
        }
    }

    fn take_given(&mut self) -> Given {
        Given {
            subject: self.subject.properties.take(),
            action: self.action.properties.take(),
            resource: self.resource.properties.take(),
            context: self.context.take(),
        }
    }
}

async fn check(
    State(api): State<Arc<Api>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Unread,
) -> Result<Decided, Problem> {
    let (principal, tenant) = api.authorize(&headers, &tenant, Scope::AuthzCheck).await?;
    let body = api.bodies.read(body).await?;
    decide(&api, &principal, &tenant, &headers, &body).await
}

/// A body's question, what it says beside it, and how fresh the answer must be.
pub(super) fn asked(
    api: &Api,
    tenant: &TenantId,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Question, Given, AtLeast), Problem> {
    let mut form = CheckForm::read(body)?;
    let given = form.take_given();
    let at_least = api.at_least(headers, form.at_least.as_deref(), tenant)?;
    Ok((form.words(tenant).question(), given, at_least))
}

/// An answer: what its body says, and its token.
pub(super) struct Decided {
    pub(super) body: Bytes,
    pub(super) token: HeaderValue,
}

impl IntoResponse for Decided {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, JSON), (TOKEN, self.token)], self.body).into_response()
    }
}

/// The answer to the question in a body.
pub(super) async fn decide(
    api: &Api,
    principal: &Principal,
    tenant: &TenantId,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Decided, Problem> {
    let mut form = CheckForm::read(body)?;
    let given = form.take_given();
    let at_least = api.at_least(headers, form.at_least.as_deref(), tenant)?;
    let words = form.words(tenant);
    let answer = api.checker.ask(&words, &given, at_least).await;
    let answer = answer.map_err(|error| problem(&error))?;
    let asker = Asker { caller: Some(&principal.subject), headers, route: Route::Check };
    api.audit.answered(&words, (answer.allowed, answer.revision), &asker);
    let body: &'static [u8] =
        if answer.allowed { br#"{"decision":true}"# } else { br#"{"decision":false}"# };
    Ok(Decided { body: Bytes::from_static(body), token: api.token(answer.revision, tenant) })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchForm<'a> {
    #[serde(borrow)]
    checks: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    at_least: Option<Text<'a>>,
}

/// An answer in its place: a decision, or why there is none.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Decided { decision: bool },
    Failed { error: String },
}

async fn batch(
    State(api): State<Arc<Api>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Unread,
) -> Result<Response, Problem> {
    let (principal, tenant) = api.authorize_for(&headers, &tenant, Scope::AuthzCheck, 0).await?;
    let body = api.bodies.read(body).await?;
    let form: BatchForm<'_> =
        serde_json::from_slice(&body).map_err(|error| Problem::bad_request(error.to_string()))?;
    if form.checks.is_empty() || form.checks.len() > MAX_BATCH {
        return Err(Problem::bad_request(format!("checks: a batch has 1 to {MAX_BATCH}")));
    }
    api.rates.take(&tenant, form.checks.len())?;
    let all = api.at_least(&headers, form.at_least.as_deref(), &tenant)?;
    let caller = Some(&*principal.subject);
    let asker = Asker { caller, headers: &headers, route: Route::Batch };
    let own = |form: &CheckForm<'_>| match form.at_least.as_deref() {
        Some(token) => api.checker.at_least(token, &tenant),
        None => Ok(all),
    };
    let read = |(index, text)| CheckForm::of_batch(index, text).map_err(CheckError::from);
    let checks: Vec<_> = form.checks.into_iter().enumerate().map(read).collect();
    let reached = api.checker.reached(&tenant, checks.iter().flatten().flat_map(own)).await;
    let ask = async |form: Result<CheckForm<'_>, CheckError>| {
        let mut form = form?;
        let at_least = reached.now(own(&form)?)?;
        let given = form.take_given();
        let words = form.words(&tenant);
        let answer = api.checker.ask(&words, &given, at_least).await?;
        api.audit.answered(&words, (answer.allowed, answer.revision), &asker);
        Ok(answer)
    };
    let answers: Vec<Result<crate::check::Answer, CheckError>> =
        futures::stream::iter(checks).map(ask).buffered(AT_ONCE).collect().await;
    // The freshness of the whole is that of its oldest part.
    let oldest = answers.iter().flatten().map(|answer| answer.revision).min();
    let results: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            Ok(answer) => Outcome::Decided { decision: answer.allowed },
            Err(error) => Outcome::Failed { error: detail(error) },
        })
        .collect();
    let mut response = axum::Json(serde_json::json!({ "results": results })).into_response();
    if let Some(revision) = oldest {
        response.headers_mut().insert(TOKEN, api.token(revision, &tenant));
    }
    Ok(response)
}

fn detail(error: &CheckError) -> String {
    let problem = problem(error);
    problem.detail.unwrap_or_else(|| problem.title.to_owned())
}
