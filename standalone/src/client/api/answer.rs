//! What a service answers.

use chrono::{DateTime, Utc};
use contracts::CONSISTENCY_TOKEN_HEADER;
use reqwest::Response;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde_json::Value;

use crate::client::error::{Answered, Asked, ClientError, Unreachable};

/// Of an answer that is read whole, bytes.
const LARGEST: usize = 256 << 20;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Null when it has none.
    pub(crate) body: Value,
    /// The state that it holds.
    pub(crate) token: Option<String>,
    /// The time of the service.
    pub(crate) date: Option<DateTime<Utc>>,
    asked: Asked,
}

impl Answer {
    /// Reads an answer that is no error.
    pub(super) async fn read(
        response: Response,
        base: &str,
        asked: Asked,
    ) -> Result<Self, ClientError> {
        let headers = response.headers();
        let token = text(headers, CONSISTENCY_TOKEN_HEADER).map(str::to_owned);
        let date =
            text(headers, DATE.as_str()).and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let date = date.map(|date| date.to_utc());
        let bytes = whole(response, base, &asked).await?;
        let mut answer = Self { body: Value::Null, token, date, asked };
        if !bytes.is_empty() {
            let read = serde_json::from_slice(&bytes);
            answer.body = read.map_err(|error| answer.malformed(&error.to_string()))?;
        }
        Ok(answer)
    }

    /// That it is not as the service's description has it.
    pub(crate) fn malformed(&self, why: &str) -> ClientError {
        let Asked { about, url, .. } = self.asked.clone();
        ClientError::Malformed { about, url, why: why.to_owned() }
    }

    /// A list in it.
    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<Value>, ClientError> {
        match self.body.get_mut(name).map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(self.malformed(&format!("it has no list {name}"))),
        }
    }
}

/// Reads an answer that is an error.
pub(super) async fn error(response: Response, base: &str, asked: Asked) -> ClientError {
    let status = response.status().as_u16();
    let retry_after =
        text(response.headers(), RETRY_AFTER.as_str()).and_then(|text| text.parse().ok());
    let request_id = text(response.headers(), "x-request-id").map(str::to_owned);
    match whole(response, base, &asked).await {
        Ok(bytes) => {
            let mut answered = Answered::read(status, &bytes, asked);
            (answered.retry_after, answered.request_id) = (retry_after, request_id);
            answered.into()
        }
        Err(error) => error,
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

async fn whole(mut response: Response, base: &str, asked: &Asked) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    let broken = |error: reqwest::Error| ClientError::from(Unreachable::new(&error, base, asked));
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > LARGEST {
            let Asked { about, url, .. } = asked.clone();
            let why = format!("more than {LARGEST} bytes");
            return Err(ClientError::Malformed { about, url, why });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
