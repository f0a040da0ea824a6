//! Bulk (RFC 7644 section 3.7): each operation is a request of its own, answered as if it had come alone, and
//! committed by itself. What refers to another by its `bulkId` waits for it, wherever it stands.
//!
//! With an Idempotency-Key each operation has one of its own, made of it: a bulk request that broke off is sent again
//! and goes on where it was.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use contracts::Scope;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use service_kit::Problem;
use tower::ServiceExt as _;

use super::PATH;
use super::fault::{Fault, Kind, MEDIA_TYPE, speak};
use super::routes::resources;
use crate::http::{Api, IDEMPOTENCY_KEY, Incoming};

const RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";
/// What a reference to another operation begins with.
const REFERENCE: &str = "bulkId:";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    fail_on_errors: Option<usize>,
    #[serde(rename = "Operations")]
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    method: String,
    path: String,
    bulk_id: Option<String>,
    version: Option<String>,
    data: Option<Value>,
}

pub(super) async fn run(
    State(api): State<Arc<Api>>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    incoming.caller_at_home(Scope::IdentityWrite)?;
    let wrong = |error| Fault::new(Kind::InvalidSyntax, format!("this is no BulkRequest: {error}"));
    let sent: Sent = serde_json::from_slice(&incoming.body).map_err(wrong)?;
    let most = api.options.scim.max_operations;
    if sent.operations.len() > most {
        return Err(Problem::payload_too_large(format!("at most {most} operations")));
    }
    once(&sent.operations)?;
    let (base, router) = (api.options.scim.base(), resources().with_state(Arc::clone(&api)));
    let router = router.layer(DefaultBodyLimit::disable());
    let router = service_kit::problem::with_fallbacks(router);
    // What was done is told before nobody listens any more.
    let until = tokio::time::Instant::now() + api.options.request_timeout.mul_f64(0.8);
    let job = Job { incoming: &incoming, base, router, until };
    let failures = sent.fail_on_errors.map_or(usize::MAX, |failures| failures.max(1));
    let operations = job.all(sent.operations, failures).await;
    Ok(Json(json!({"schemas": [RESPONSE], "Operations": operations})).into_response())
}

/// That no two operations have one `bulkId`, and that each POST has one.
fn once(operations: &[Operation]) -> Result<(), Fault> {
    let mut known = std::collections::HashSet::new();
    for operation in operations {
        let twice = operation.bulk_id.as_ref().is_some_and(|id| !known.insert(id));
        if twice {
            return Err(Fault::new(Kind::InvalidValue, "two operations have one bulkId"));
        }
    }
    Ok(())
}

struct Job<'a> {
    incoming: &'a Incoming,
    /// Where everything is found.
    base: String,
    router: Router,
    /// Until when operations are begun.
    until: tokio::time::Instant,
}

impl Job<'_> {
    /// What came of each, in the order in which they were sent; after too many failures, of those that were done.
    async fn all(&self, operations: Vec<Operation>, most_failures: usize) -> Vec<Value> {
        let mut order = Order::of(&operations);
        let mut told: Vec<Option<Value>> = operations.iter().map(|_| None).collect();
        // Where what was made is found, and `None` for what failed.
        let mut made: HashMap<String, Option<String>> = HashMap::new();
        let mut failures = 0;
        while let Some(at) = order.next()
            && failures < most_failures
        {
            let operation = &operations[at];
            let (outcome, id) = self.one(at, operation, &order.waits[at], &made).await;
            failures += usize::from(id.is_none());
            if let Some(bulk_id) = &operation.bulk_id {
                made.insert(bulk_id.clone(), id);
            }
            order.done(at);
            told[at] = Some(outcome);
        }
        // What is left waits for itself.
        for (told, operation) in told.iter_mut().zip(&operations) {
            if told.is_none() && failures < most_failures {
                failures += 1;
                let detail = "operations refer to each other in a ring";
                *told = Some(refused(operation, StatusCode::CONFLICT, detail).await);
            }
        }
        told.into_iter().flatten().collect()
    }

    /// Does one; what is told of it, and the id of what it is about unless it failed.
    async fn one(
        &self,
        at: usize,
        operation: &Operation,
        waits: &BTreeSet<String>,
        made: &HashMap<String, Option<String>>,
    ) -> (Value, Option<String>) {
        let missing = waits.iter().find(|id| made.get(*id).is_none_or(Option::is_none));
        if let Some(missing) = missing {
            let missing: String = missing.chars().take(64).collect();
            let detail = format!("there is no bulkId {missing}, or it failed");
            return (refused(operation, StatusCode::BAD_REQUEST, &detail).await, None);
        }
        if tokio::time::Instant::now() >= self.until {
            let detail = "the bulk request took too long: send it again with its Idempotency-Key";
            return (refused(operation, StatusCode::SERVICE_UNAVAILABLE, detail).await, None);
        }
        let request = match self.request(at, operation, made) {
            Ok(request) => request,
            Err(problem) => {
                let answer = speak(problem.into_response()).await;
                let (status, body) = (answer.status(), json(answer).await);
                return (told(operation, status, None, None, body), None);
            }
        };
        let path = request.uri().path().to_owned();
        let answer = match self.router.clone().oneshot(request).await {
            Ok(answer) => speak(answer).await,
            Err(never) => match never {},
        };
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
        let body = json(answer).await;
        let location = text(header::LOCATION).or(body["meta"]["location"].as_str());
        let place = || format!("{}{}", self.base, path.strip_prefix(PATH).unwrap_or(&path));
        let location = location.map_or_else(place, str::to_owned);
        let id = location.rsplit('/').next().unwrap_or_default().to_owned();
        if status.is_success() {
            let version = text(header::ETAG);
            return (told(operation, status, Some(location), version, Value::Null), Some(id));
        }
        let made = operation.method.eq_ignore_ascii_case("POST");
        let location = (!made).then_some(location);
        (told(operation, status, location, None, body), None)
    }

    fn request(
        &self,
        at: usize,
        operation: &Operation,
        made: &HashMap<String, Option<String>>,
    ) -> Result<Request<Body>, Problem> {
        let refuse = |why: &str| Problem::from(Fault::new(Kind::InvalidSyntax, why));
        let method = match operation.method.to_ascii_uppercase().as_str() {
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            _ => return Err(refuse("method is POST, PUT, PATCH or DELETE")),
        };
        if method == Method::POST && operation.bulk_id.is_none() {
            return Err(refuse("POST needs a bulkId"));
        }
        let id = |part: &str| referred(part, made).unwrap_or_else(|| part.to_owned());
        let path = operation.path.split('/').map(id).collect::<Vec<_>>().join("/");
        if !path.starts_with('/') || path.ends_with("/.search") {
            return Err(refuse("path is as in /Users or /Users/ID"));
        }
        let mut data = operation.data.clone().unwrap_or(Value::Null);
        resolve(&mut data, made);
        let body = if data.is_null() { Body::empty() } else { Body::from(data.to_string()) };
        let request = Request::builder().method(method).uri(format!("{PATH}{path}"));
        let mut request = request.body(body).map_err(|_| refuse("path is no path"))?;
        self.incoming.pass_on(&mut request);
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        for of_all in [&header::CONTENT_LENGTH, &header::TRANSFER_ENCODING, &header::IF_MATCH] {
            headers.remove(of_all);
        }
        let mut put = |name: &str, text: String| {
            let (name, value) = (header::HeaderName::try_from(name), HeaderValue::from_str(&text));
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.insert(name, value);
            }
        };
        if let Some(version) = &operation.version {
            if !version.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(refuse("version is an ETag"));
            }
            put("if-match", version.clone());
        }
        let key = self.incoming.headers.get(IDEMPOTENCY_KEY).map(HeaderValue::to_str);
        if let Some(Ok(key)) = key {
            put(IDEMPOTENCY_KEY, own_key(key, at));
        }
        Ok(request)
    }
}

/// The key of one operation. Whoever sends as long a key as may be sent has one as well.
fn own_key(key: &str, at: usize) -> String {
    format!("{}#{at}", blake3::hash(key.as_bytes()).to_hex())
}

fn told(
    operation: &Operation,
    status: StatusCode,
    location: Option<String>,
    version: Option<&str>,
    response: Value,
) -> Value {
    let mut told = Map::from_iter([
        ("method".to_owned(), operation.method.as_str().into()),
        ("status".to_owned(), status.as_u16().to_string().into()),
    ]);
    let optional = [
        ("bulkId", operation.bulk_id.as_deref().map(Value::from)),
        ("location", location.map(Value::from)),
        ("version", version.map(Value::from)),
        ("response", Some(response).filter(|response| !response.is_null())),
    ];
    let there = optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    told.extend(there);
    told.into()
}

/// An operation that was not tried.
async fn refused(operation: &Operation, status: StatusCode, detail: &str) -> Value {
    let problem = Problem::new(status, "bulk", "Bulk").detail(detail);
    let response = json(speak(problem.into_response()).await).await;
    told(operation, status, None, None, response)
}

async fn json(answer: Response) -> Value {
    // Made here, by us: as large as a resource is.
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap_or_default();
    serde_json::from_slice(&body).unwrap_or(Value::Null)
}

/// In what order operations are done: that in which they came, but after those that they refer to (Kahn, 1962).
struct Order {
    /// The `bulkId`s that each refers to.
    waits: Vec<BTreeSet<String>>,
    /// How many of those are still to be done.
    open: Vec<usize>,
    /// Who waits for each.
    behind: Vec<Vec<usize>>,
    ready: BTreeSet<usize>,
}

impl Order {
    fn of(operations: &[Operation]) -> Self {
        let ids =
            operations.iter().enumerate().filter_map(|(at, o)| Some((o.bulk_id.as_deref()?, at)));
        let places: HashMap<&str, usize> = ids.collect();
        let waits: Vec<_> = operations.iter().map(references).collect();
        let (mut open, mut behind) = (vec![0; waits.len()], vec![Vec::new(); waits.len()]);
        for (at, ids) in waits.iter().enumerate() {
            for place in ids.iter().filter_map(|id| places.get(id.as_str())) {
                open[at] += 1;
                behind[*place].push(at);
            }
        }
        let ready = (0..waits.len()).filter(|at| open[*at] == 0).collect();
        Self { waits, open, behind, ready }
    }

    /// The first that waits for nothing.
    fn next(&mut self) -> Option<usize> {
        self.ready.pop_first()
    }

    fn done(&mut self, at: usize) {
        for behind in &self.behind[at] {
            self.open[*behind] -= 1;
            if self.open[*behind] == 0 {
                self.ready.insert(*behind);
            }
        }
    }
}

/// The `bulkId`s that an operation refers to.
fn references(operation: &Operation) -> BTreeSet<String> {
    let path = operation.path.split('/').filter_map(|part| part.strip_prefix(REFERENCE));
    let mut found: BTreeSet<String> = path.map(str::to_owned).collect();
    if let Some(data) = &operation.data {
        refers(data, &mut found);
    }
    found
}

fn refers(data: &Value, found: &mut BTreeSet<String>) {
    match data {
        Value::String(text) => found.extend(text.strip_prefix(REFERENCE).map(str::to_owned)),
        Value::Array(values) => values.iter().for_each(|value| refers(value, found)),
        Value::Object(parts) => parts.values().for_each(|value| refers(value, found)),
        _ => {}
    }
}

/// The id behind a reference.
fn referred(text: &str, made: &HashMap<String, Option<String>>) -> Option<String> {
    made.get(text.strip_prefix(REFERENCE)?)?.clone()
}

/// Puts ids where references are.
fn resolve(data: &mut Value, made: &HashMap<String, Option<String>>) {
    match data {
        Value::String(text) => {
            if let Some(id) = referred(text, made) {
                *text = id;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| resolve(value, made)),
        Value::Object(parts) => parts.values_mut().for_each(|value| resolve(value, made)),
        _ => {}
    }
}
