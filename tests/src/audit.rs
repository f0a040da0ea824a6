//! What the audit trail promises over HTTP, whatever it is stored in: one suite, held to a model of a list.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::bed::until;

/// Events of the suite; some of them are sent again.
const EVENTS: i64 = 400;

/// Where a trail is.
pub struct Trail {
    /// Who asks.
    pub client: reqwest::Client,
    /// The address, up to the path.
    pub root: String,
    /// Whose API key goes with it, if any is asked for.
    pub key: Option<String>,
}

impl Trail {
    fn path(&self, tenant: &str, rest: &str) -> String {
        format!("{}/v1/tenants/{tenant}/audit{rest}", self.root)
    }

    async fn send(&self, request: RequestBuilder) -> Result<(u16, Value)> {
        let request = match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let answer = request.send().await?;
        let (status, text) = (answer.status().as_u16(), answer.text().await?);
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    async fn get(&self, tenant: &str, rest: &str) -> Result<(u16, Value)> {
        self.send(self.client.get(self.path(tenant, rest))).await
    }

    async fn post(&self, tenant: &str, body: &Value) -> Result<(u16, Value)> {
        self.send(self.client.post(self.path(tenant, "")).json(body)).await
    }

    /// All pages of a query, and how many there were.
    pub async fn pages(&self, tenant: &str, query: &str) -> Result<(Vec<Value>, usize)> {
        let (mut all, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let (status, page) = self.get(tenant, &format!("?{query}{cursor}")).await?;
            ensure!(status == 200, "{query}: {status} {page}");
            all.extend(page["events"].as_array().context("no events")?.iter().cloned());
            pages += 1;
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok((all, pages)),
            }
        }
    }

    /// Runs the whole suite on two tenants that have nothing yet.
    pub async fn keeps_its_promises(&self, tenant: &str, other: &str) -> Result<()> {
        let now = Utc::now();
        let model = self.stored(tenant, now).await?;
        let foreign =
            json!({"id": "theirs", "action": "x", "event_time": text(now - Duration::hours(1))});
        let (status, answer) = self.post(other, &foreign).await?;
        ensure!(status == 202, "{status} {answer}");
        self.lists(tenant, &model, now).await?;
        self.one_by_one(tenant, other, &model).await?;
        self.exports(tenant, &model, now).await?;
        self.cursors(tenant, other, now).await?;
        self.refusals(tenant).await
    }

    /// Sends events, some of them twice, and waits until each is there once.
    async fn stored(&self, tenant: &str, now: DateTime<Utc>) -> Result<Vec<Value>> {
        let mut model = BTreeMap::new();
        let events: Vec<_> = (0..EVENTS).map(|n| event(n, now)).collect();
        let again: Vec<_> = events.iter().step_by(7).cloned().collect();
        for batch in events.chunks(37).chain(again.chunks(50)) {
            let (status, answer) = self.post(tenant, &json!(batch)).await?;
            ensure!(status == 202, "{status} {answer}");
            let receipts = answer["events"].as_array().context("no receipts")?;
            ensure!(receipts.len() == batch.len(), "{answer}");
            for (receipt, event) in receipts.iter().zip(batch) {
                let id = receipt["event_id"].as_str().context("no event_id")?;
                let mut stored = event.clone();
                stored["event_id"] = json!(id);
                stored["tenant_id"] = json!(tenant);
                let before = model.insert(id.to_owned(), stored.clone());
                ensure!(before.is_none_or(|before| before == stored), "{id} is two events");
            }
        }
        // The same id with another content is another event.
        ensure!(model.len() == usize::try_from(EVENTS)?, "{}", model.len());
        let query = format!("{}&limit=500", range(now));
        until("every event is there", async || {
            let found = self.pages(tenant, &query).await?.0.len();
            Ok(if found == model.len() { Ok(()) } else { Err(format!("{found}")) })
        })
        .await?;
        Ok(model.into_values().collect())
    }

    /// Every filter, both orders, pages of every size: what the model has, in order of time.
    async fn lists(&self, tenant: &str, model: &[Value], now: DateTime<Utc>) -> Result<()> {
        let filters: [&[(&str, &str)]; 9] = [
            &[],
            &[("actor_id", "u-1")],
            &[("resource_id", "d-2")],
            &[("resource_type", "folder")],
            &[("action", "document.read")],
            &[("status", "DENIED")],
            &[("actor_id", "u-1"), ("resource_id", "d-2")],
            &[("actor_id", "ü 2"), ("status", "SUCCESS"), ("action", "document.read")],
            &[("actor_id", "nobody")],
        ];
        let half = now - Duration::days(10);
        let ranges = [
            (now - Duration::days(26), now + Duration::minutes(1)),
            (half, now),
            // The bounds are events' times: the first is in it, the last is not.
            (time(&model[0])?.min(time(&model[1])?), time(&model[0])?.max(time(&model[1])?)),
            (half, half),
        ];
        for filter in filters {
            for (from, to) in ranges {
                let wanted = model.iter().filter(|event| {
                    filter.iter().all(|(name, value)| event[*name] == *value)
                        && time(event).is_ok_and(|time| from <= time && time < to)
                });
                let mut wanted: Vec<_> = wanted.cloned().collect();
                wanted
                    .sort_by_cached_key(|event| (time(event).ok(), event["event_id"].to_string()));
                let terms = filter
                    .iter()
                    .map(|(name, value)| format!("&{name}={}", value.replace(' ', "%20")));
                let query =
                    format!("from={}&to={}{}", text(from), text(to), terms.collect::<String>());
                let oldest =
                    self.pages(tenant, &format!("{query}&order=oldest&limit=500")).await?.0;
                let times: Vec<_> = oldest.iter().map(time).collect::<Result<_>>()?;
                ensure!(times.is_sorted(), "{query} is not in order of time");
                let mut found = oldest.clone();
                found.sort_by_cached_key(|event| (time(event).ok(), event["event_id"].to_string()));
                ensure!(found == wanted, "{query}: {} events, not {}", found.len(), wanted.len());
                for limit in [1, 17, 100].into_iter().skip(usize::from(wanted.len() > 60)) {
                    for order in ["oldest", "newest"] {
                        let (mut found, pages) = self
                            .pages(tenant, &format!("{query}&order={order}&limit={limit}"))
                            .await?;
                        if order == "newest" {
                            found.reverse();
                        }
                        ensure!(found == oldest, "{query}: {order} in pages of {limit} differs");
                        ensure!(
                            pages * limit >= found.len(),
                            "{query}: a page has more than {limit}"
                        );
                    }
                }
            }
        }
        Ok(())
    }

    async fn one_by_one(&self, tenant: &str, other: &str, model: &[Value]) -> Result<()> {
        for event in model.iter().step_by(23) {
            let rest = format!("/{}", event["event_id"].as_str().unwrap_or_default());
            let (status, found) = self.get(tenant, &rest).await?;
            ensure!(status == 200 && found == *event, "{status} {found}\n{event}");
            ensure!(self.get(other, &rest).await?.0 == 404, "another tenant finds it");
            ensure!(
                self.get(tenant, &rest.to_uppercase()).await?.0 == 404,
                "one event, one address"
            );
        }
        for rest in ["/00000000-0000-1000-8000-000000000000", "/none"] {
            ensure!(self.get(tenant, rest).await?.0 == 404, "{rest}");
        }
        Ok(())
    }

    async fn exports(&self, tenant: &str, model: &[Value], now: DateTime<Utc>) -> Result<()> {
        let listed = self.pages(tenant, &format!("{}&order=oldest&limit=500", range(now))).await?.0;
        let rest = |format: &str| format!("/export?{}&order=oldest&format={format}", range(now));
        let whole = async |format: &str| {
            let mut request = self.client.get(self.path(tenant, &rest(format)));
            if let Some(key) = &self.key {
                request = request.bearer_auth(key);
            }
            anyhow::Ok(request.send().await?.error_for_status()?.text().await?)
        };
        let lines = whole("ndjson").await?;
        let found: Vec<Value> =
            lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        ensure!(found == listed, "{} exported, {} listed", found.len(), listed.len());
        let csv = whole("csv").await?;
        // Texts of the suite have no line ends.
        ensure!(csv.lines().count() == model.len() + 1, "{}", csv.lines().count());
        Ok(())
    }

    /// A cursor goes on where it was given, and nowhere else.
    async fn cursors(&self, tenant: &str, other: &str, now: DateTime<Utc>) -> Result<()> {
        let query = format!("{}&actor_id=u-1", range(now));
        let (status, page) = self.get(tenant, &format!("?{query}&limit=3")).await?;
        ensure!(status == 200, "{status} {page}");
        let cursor = page["next_cursor"].as_str().context("one page is all")?;
        let (status, again) =
            self.get(tenant, &format!("?{query}&limit=50&cursor={cursor}")).await?;
        ensure!(status == 200 && again["events"][0] != page["events"][2], "{status} {again}");
        let forged = format!("{}A", &cursor[..cursor.len() - 1]);
        let wrong = [
            (tenant, format!("{}&actor_id=u-2&cursor={cursor}", range(now))),
            (tenant, format!("{query}&order=oldest&cursor={cursor}")),
            (
                tenant,
                format!("from={}&actor_id=u-1&cursor={cursor}", text(now - Duration::days(3))),
            ),
            (tenant, format!("{query}&cursor=none")),
            (other, format!("{query}&cursor={cursor}")),
        ];
        for (of, query) in wrong {
            let (status, answer) = self.get(of, &format!("?{query}")).await?;
            ensure!(status == 400, "{query}: {status} {answer}");
        }
        if forged != cursor {
            let (status, answer) = self.get(tenant, &format!("?{query}&cursor={forged}")).await?;
            ensure!(status == 400, "{status} {answer}");
        }
        Ok(())
    }

    /// What is refused is refused whole, and stored in no part.
    async fn refusals(&self, tenant: &str) -> Result<()> {
        for query in [
            "limit=0",
            "limit=100000",
            "order=sideways",
            "from=yesterday",
            "actor=u-1",
            "status=OK",
            "from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z",
        ] {
            let (status, answer) = self.get(tenant, &format!("?{query}")).await?;
            ensure!(status == 400, "{query}: {status} {answer}");
        }
        let good = json!({"id": "beside a bad one", "action": "beside"});
        for (bad, reason) in [
            (json!({"id": "x"}), "missing_field"),
            (json!({"action": 7}), "wrong_type"),
            (json!({"action": "x", "status": "OK"}), "invalid_enum"),
            (json!({"action": "x", "event_time": "now"}), "invalid_time"),
            (json!({"action": "x", "event_time": "2001-01-01T00:00:00Z"}), "time_out_of_window"),
            (json!({"action": "x", "tenant_id": "another"}), "tenant_mismatch"),
        ] {
            let (status, answer) = self.post(tenant, &json!([good, bad])).await?;
            ensure!(
                status == 400 && answer.to_string().contains(reason),
                "{bad}: {status} {answer}"
            );
        }
        let now = Utc::now();
        let found = self.pages(tenant, &format!("{}&action=beside", range(now))).await?.0;
        ensure!(found.is_empty(), "{found:?}");
        Ok(())
    }
}

/// Longer than all events of the suite lie back.
fn range(now: DateTime<Utc>) -> String {
    format!("from={}&to={}", text(now - Duration::days(26)), text(now + Duration::minutes(1)))
}

/// As times are shown: to the microsecond if it has any.
fn text(time: DateTime<Utc>) -> String {
    let has_micros = !time.timestamp_subsec_micros().is_multiple_of(1000);
    let form = if has_micros { SecondsFormat::Micros } else { SecondsFormat::Millis };
    time.to_rfc3339_opts(form, true)
}

fn time(event: &Value) -> Result<DateTime<Utc>> {
    Ok(event["event_time"].as_str().context("no event_time")?.parse()?)
}

/// As it is shown once it is stored; `n` says what it is. Every few share a time, an id, an actor.
fn event(n: i64, now: DateTime<Utc>) -> Value {
    let back = match n % 4 {
        0 => Duration::minutes(5),
        1 => Duration::hours(n % 50),
        2 => Duration::days(n % 25) + Duration::microseconds(n),
        _ => Duration::milliseconds(300_000 + n),
    };
    let mut event = json!({"id": format!("e-{}", n / 2), "event_time": text(now - back),
        "action": (if n % 2 == 0 { "document.read" } else { "document.write" })});
    let mut put = |name: &str, value: Value| event[name] = value;
    match n % 5 {
        0 => {}
        1 => put("actor_id", json!("u-1")),
        2 => put("actor_id", json!("ü 2")),
        _ => put("actor_id", json!(format!("u-{}", n % 9))),
    }
    if n % 3 != 0 {
        put("actor_type", json!("user"));
        put("resource_type", json!(if n % 6 == 1 { "folder" } else { "document" }));
        put("resource_id", json!(format!("d-{}", n % 4)));
        put(
            "status",
            json!(["SUCCESS", "FAILURE", "DENIED"][usize::try_from(n % 7 % 3).unwrap_or(0)]),
        );
        put("source_ip", json!(if n % 2 == 0 { "203.0.113.7" } else { "2001:db8::7" }));
        put("details", json!({"request_id": format!("r-{n}"), "note": "„quoted“, \"twice\" ☂"}));
    }
    event
}
