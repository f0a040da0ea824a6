//! Sending: proven, in time, and again where that does no harm.

use std::io::Write as _;
use std::time::{Duration, Instant};

use rand::Rng as _;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Response, StatusCode};

use super::Api;
use super::answer::{self, Answer};
use super::call::{Body, Call};
use crate::client::error::{ClientError, Unreachable};
use crate::client::text::plain;

/// Of a read that a service cannot answer now.
const TRIES: u32 = 4;
/// Before the second try, where the service does not say; it doubles.
const BACKOFF: Duration = Duration::from_millis(250);

impl Api {
    /// Sends a call, and reads its answer whole.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, ClientError> {
        let sent = Box::pin(self.respond(call, true)).await?;
        let base = self.bases.of(call.service).as_str();
        let asked = call.asked(sent.url(), false);
        let answer = Answer::read(sent, base, asked).await?;
        if let Some(token) = answer.token.as_deref().filter(|_| self.verbose) {
            // Nothing better can be done about a stderr that is closed.
            let _ = writeln!(std::io::stderr(), "consistency token: {}", plain(token));
        }
        Ok(answer)
    }

    /// Sends a call whose answer is a stream: it has no deadline while it goes on.
    pub(crate) async fn stream(&self, call: &Call) -> Result<Response, ClientError> {
        Box::pin(self.respond(call, false)).await
    }

    /// That a stream broke off.
    pub(crate) fn broken(&self, call: &Call, error: &reqwest::Error) -> ClientError {
        let base = self.bases.of(call.service);
        Unreachable::new(error, base.as_str(), &call.asked(base, true)).into()
    }

    /// An answer that is no error. A read is tried again while its service cannot answer, and a credential that is
    /// refused is renewed once.
    async fn respond(&self, call: &Call, is_bounded: bool) -> Result<Response, ClientError> {
        let end = self.clock.now() + self.timeout;
        let mut is_renewed = false;
        let mut tried = 0;
        loop {
            tried += 1;
            let bearer = match call.body {
                Body::Form(_) => None,
                _ => Box::pin(self.bearer(call.service)).await?,
            };
            let left = (end - self.clock.now()).to_std().unwrap_or_default();
            let bound = is_bounded.then_some(left);
            let error = match self.once(call, bearer.as_deref(), bound).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let ClientError::Answered(answered) = &error else { return Err(error) };
            if answered.status == 401 && !is_renewed && self.forget(bearer.as_deref()).await {
                is_renewed = true;
                continue;
            }
            let may_repeat = call.method == Method::GET && matches!(answered.status, 502 | 503);
            let jitter = rand::rng().random_range(0.5..1.0);
            let own = BACKOFF.mul_f64(jitter) * 2_u32.pow(tried - 1);
            let wait = answered.retry_after.map_or(own, Duration::from_secs);
            if !may_repeat || tried == TRIES || self.clock.now() + wait >= end {
                return Err(error);
            }
            self.clock.sleep(wait).await;
        }
    }

    async fn once(
        &self,
        call: &Call,
        bearer: Option<&str>,
        bound: Option<Duration>,
    ) -> Result<Response, ClientError> {
        let base = self.bases.of(call.service);
        let url = call.url(base)?;
        let asked = call.asked(&url, bearer.is_some());
        let mut request = self.client.request(call.method.clone(), url.clone());
        request = request.header(ACCEPT, "application/json, application/problem+json, */*;q=0.1");
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        if let Some(bound) = bound {
            request = request.timeout(bound);
        }
        request = match &call.body {
            Body::None => request,
            Body::Json(json) => request.json(json),
            Body::Form(form) => {
                let mut text = form_urlencoded::Serializer::new(String::new());
                let text = text.extend_pairs(form).finish();
                request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(text)
            }
        };
        let begun = Instant::now();
        let sent = request.send().await;
        if self.verbose {
            let outcome = sent
                .as_ref()
                .map_or("no answer".to_owned(), |response| response.status().to_string());
            let (method, millis) = (&call.method, begun.elapsed().as_millis());
            let _ = writeln!(std::io::stderr(), "{method} {url}: {outcome}, {millis} ms");
        }
        let response = sent.map_err(|error| Unreachable::new(&error, base.as_str(), &asked))?;
        match response.status() {
            status if status.is_success() || status == StatusCode::NOT_MODIFIED => Ok(response),
            _ => Err(answer::error(response, base.as_str(), asked).await),
        }
    }
}
