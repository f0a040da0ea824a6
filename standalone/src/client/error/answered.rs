//! Answers that are errors: RFC 9457 problems, errors as OAuth writes them, and whatever proxies say.

use std::fmt;

use serde_json::Value;

/// What every problem type begins with.
const URN: &str = "urn:triad:problem:";
/// Of a body that is no problem.
const SHOWN: usize = 200;

/// What was asked, for the errors of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// What it is about, as `user u-1`.
    pub(crate) about: String,
    /// Where.
    pub(crate) url: String,
    /// Whose.
    pub(crate) tenant: Option<String>,
    /// Whether a credential went with it.
    pub(crate) is_proven: bool,
    /// What a write can be repeated under.
    pub(crate) key: Option<String>,
}

/// An error that a service answered with.
#[derive(Debug)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// The slug of the problem's type, or OAuth's `error`; empty when it said neither.
    pub kind: String,
    /// What was wrong.
    pub detail: String,
    /// The whole answer; null when it is no JSON.
    pub body: Value,
    /// Seconds that the service asks to wait.
    pub retry_after: Option<u64>,
    /// What its log knows the request by.
    pub request_id: Option<String>,
    asked: Asked,
}

impl Answered {
    /// Reads an answer.
    pub(crate) fn read(status: u16, body: &[u8], asked: Asked) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| json.get(name).and_then(Value::as_str);
        let kind = text("type").map(|type_| type_.strip_prefix(URN).unwrap_or(type_));
        let kind = kind.or_else(|| text("error")).unwrap_or_default().to_owned();
        let said = text("detail").or_else(|| text("error_description")).or_else(|| text("title"));
        let detail = said.map_or_else(|| raw(status, body), str::to_owned);
        Self { status, kind, detail, body: json, retry_after: None, request_id: None, asked }
    }

    /// What is wrong with each member, or event, of the request.
    pub(crate) fn faults(&self) -> impl Iterator<Item = String> {
        let errors = self.body.get("errors").and_then(Value::as_array);
        errors.into_iter().flatten().map(|error| {
            let text = |name: &str| error.get(name).and_then(Value::as_str);
            match (text("field"), error.get("index"), text("reason")) {
                (Some(field), _, Some(reason)) => format!("{field}: {reason}"),
                (None, Some(index), Some(reason)) => {
                    let detail = text("detail").unwrap_or_default();
                    match error.get("line") {
                        Some(line) => format!("line {line}: {detail} ({reason})"),
                        None => format!("event {index}: {detail} ({reason})"),
                    }
                }
                _ => error.to_string(),
            }
        })
    }

    /// What can be done about it.
    fn next(&self) -> Option<String> {
        let Asked { url, tenant, is_proven, key, .. } = &self.asked;
        Some(match (self.status, self.kind.as_str()) {
            (401, _) if *is_proven => {
                "the credential does not hold here: `triad login`, or give another with --token"
                    .to_owned()
            }
            (401, _) => "log in with `triad login`, or give a credential with --token".to_owned(),
            (403, "insufficient-scope" | "insufficient_scope") => {
                "ask an administrator of the tenant for it; `triad whoami` shows what you may"
                    .to_owned()
            }
            (404, _) if self.detail == "no such tenant" => {
                let tenant = tenant.as_deref().unwrap_or_default();
                format!(
                    "there is no tenant {tenant}, or you are not of it; --tenant names another, \
                     `triad whoami` shows yours"
                )
            }
            (404, _) if self.detail == "no such route" => {
                format!(
                    "{url} is of another service; --identity-url, --authz-url and --audit-url name them apart"
                )
            }
            (412, _) => "read it again, and decide again".to_owned(),
            (300..=399, _) => format!("{url} leads elsewhere; name that with --server"),
            (429 | 502..=504, _) => {
                let when =
                    self.retry_after.map_or_else(String::new, |seconds| format!(" in {seconds} s"));
                match key {
                    Some(key) => format!("try again{when}, with --idempotency-key {key}"),
                    None => format!("try again{when}"),
                }
            }
            (500, _) => match &self.request_id {
                Some(id) => format!("the log of the service has more, under request {id}"),
                None => "the log of the service has more".to_owned(),
            },
            _ => return None,
        })
    }
}

/// What a body says that is no problem.
fn raw(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let is_page = text.trim_start().starts_with('<');
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    match line.filter(|_| !is_page) {
        Some(line) => line.chars().take(SHOWN).collect(),
        None => format!("HTTP {status}"),
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({}", self.asked.about, self.detail, self.status)?;
        if !self.kind.is_empty() {
            write!(f, " {}", self.kind)?;
        }
        write!(f, ")")?;
        self.next().map_or(Ok(()), |next| write!(f, "; {next}"))
    }
}

impl std::error::Error for Answered {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answered(status: u16, body: &str, is_proven: bool) -> Answered {
        let asked = Asked {
            about: "user u-1".to_owned(),
            url: "http://h/x".to_owned(),
            tenant: Some("acme".to_owned()),
            is_proven,
            key: None,
        };
        Answered::read(status, body.as_bytes(), asked)
    }

    fn problem(slug: &str, detail: &str) -> String {
        json!({"type": format!("urn:triad:problem:{slug}"), "title": "T", "detail": detail})
            .to_string()
    }

    #[test]
    fn each_status_says_what_to_do_next() {
        for (status, body, is_proven, parts) in [
            (
                401,
                problem("missing-token", "send one"),
                false,
                ["(401 missing-token)", "triad login"],
            ),
            (401, problem("invalid-token", "expired"), true, ["expired", "does not hold here"]),
            (
                403,
                problem("insufficient-scope", "lacks x"),
                true,
                ["lacks x", "ask an administrator"],
            ),
            (403, problem("forbidden", "no"), true, ["user u-1: no (403 forbidden)", ""]),
            (404, problem("not-found", "no such user"), true, ["user u-1: no such user", "(404"]),
            (
                404,
                problem("not-found", "no such tenant"),
                true,
                ["there is no tenant acme", "--tenant"],
            ),
            (404, problem("not-found", "no such route"), true, ["http://h/x", "--identity-url"]),
            (409, problem("conflict", "name is taken"), true, ["name is taken", "(409 conflict)"]),
            (412, problem("precondition-failed", "changed"), true, ["changed", "read it again"]),
            (413, problem("payload-too-large", "at most 9"), true, ["at most 9", "413"]),
            (422, problem("limit", "too deep"), true, ["too deep", "422 limit"]),
            (429, problem("too-many-requests", "slow"), true, ["slow", "try again"]),
            (500, problem("internal", "fault"), true, ["fault", "log of the service"]),
            (503, problem("unavailable", "busy"), true, ["busy", "try again"]),
            (302, String::new(), true, ["HTTP 302", "leads elsewhere"]),
        ] {
            let text = answered(status, &body, is_proven).to_string();
            assert!(parts.iter().all(|part| text.contains(part)), "{status}: {text}");
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }

    #[test]
    fn every_form_of_an_error_is_read() {
        let oauth = r#"{"error":"invalid_grant","error_description":"was used before"}"#;
        let oauth = answered(400, oauth, false);
        assert_eq!(
            (oauth.kind.as_str(), oauth.detail.as_str()),
            ("invalid_grant", "was used before")
        );
        assert_eq!(answered(502, "<html>\nBad", false).detail, "HTTP 502");
        assert_eq!(
            answered(400, "\nsubject: no such type\n", false).detail,
            "subject: no such type"
        );
        assert_eq!(answered(400, "", false).detail, "HTTP 400");
        let fields = json!({"type": "urn:triad:problem:bad-request", "detail": "breaks rules",
            "errors": [{"field": "email", "reason": "no address"},
                {"index": 3, "reason": "bad_time", "detail": "no time"}]});
        let faults: Vec<_> = answered(400, &fields.to_string(), true).faults().collect();
        assert_eq!(faults, ["email: no address", "event 3: no time (bad_time)"]);
    }

    #[test]
    fn waiting_and_repeating_are_said() {
        let mut busy = answered(503, "", true);
        busy.retry_after = Some(5);
        busy.asked.key = Some("k1".to_owned());
        assert!(
            busy.to_string().ends_with("try again in 5 s, with --idempotency-key k1"),
            "{busy}"
        );
    }
}
