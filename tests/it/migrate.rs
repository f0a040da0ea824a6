//! `triad migrate-to`: a deployment in one folder moves to the engines, however often it is interrupted, and there it
//! answers as it did.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use crate::process::{Process, binary};
use crate::world::engine;
use tests::bed::{Answer, Triad, until};

/// As OAuth has it. Tokens are of letters that a form does not encode.
const FORM: &str = "application/x-www-form-urlencoded";

const ACME: &str = "/v1/tenants/acme";
const TOKEN: &str = "triad-consistency-token";
/// How long the first runs may go on before they are killed, in milliseconds; the last one is not.
const KILLED: [u64; 4] = [700, 2500, 6000, 9000];

/// The names of a target, on the run's engines.
struct Target {
    sections: Value,
    folder: tempfile::TempDir,
}

impl Target {
    fn new(keys: &Path, issuer: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let run = uuid::Uuid::new_v4().simple().to_string();
        let own = format!("m{}", &run[..10]);
        let file = |name: &str| folder.path().join(name).display().to_string();
        let kafka = |more: Value| {
            let mut all = json!({"brokers": [engine("TRIAD_KAFKA")?], "replication": 1,
                "min_insync_replicas": 1, "partitions": 3});
            merge(&mut all, more);
            anyhow::Ok(all)
        };
        let auth = |name: &str| {
            json!({"mode": "jwt", "jwks_file": keys.display().to_string(), "issuer": issuer,
                "revocations_topic": format!("{own}.identity"), "introspection_key_file": file(name)})
        };
        let quiet = json!({"filter": "error,librdkafka=off,rdkafka=off"});
        let audit = format!("{own}.events");
        let mut cassandra = json!({"hosts": [engine("TRIAD_CASSANDRA")?], "keyspace": own, "replication": 1,
            "timeout_seconds": 5});
        if let Ok(user) = engine("TRIAD_CASSANDRA_USER") {
            merge(
                &mut cassandra,
                json!({"username": user, "password": engine("TRIAD_CASSANDRA_PASSWORD")?}),
            );
        }
        let sections = json!({
            "ingest": {
                "auth": auth("ingest.key"), "telemetry": quiet, "cassandra": cassandra,
                "kafka": kafka(json!({"topic": audit, "dead_letter_topic": format!("{own}.dlq"), "group": own,
                    "commit_interval_ms": 200}))?,
            },
            "authz": {
                "auth": auth("authz.key"), "telemetry": quiet, "ext_authz": {"listen": "127.0.0.1:0"},
                "dgraph": {"alpha_addresses": [engine("TRIAD_DGRAPH")?]},
                "kafka": kafka(json!({"changes_topic": format!("{own}.changes"), "audit_topic": audit}))?,
                "sync": {"mode": "identity", "topic": format!("{own}.identity"), "group": format!("{own}.sync"),
                    "dead_letter_topic": format!("{own}.identity.dlq")},
            },
            "identity": {
                "telemetry": quiet, "secrets_file": file("secrets.json"), "tokens": {"issuer": issuer},
                "mysql": {"dsn": format!("{}it_{own}", engine("TRIAD_MYSQL")?)},
                "kafka": kafka(json!({"changes_topic": format!("{own}.identity"), "audit_topic": audit}))?,
            },
        });
        Ok(Self { sections, folder })
    }

    /// What the migration is given.
    fn file(&self) -> Result<PathBuf> {
        let path = self.folder.path().join("distributed.yaml");
        std::fs::write(&path, self.sections.to_string())?;
        Ok(path)
    }

    /// What a service is given: the same.
    fn env(&self, section: &str, prefix: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut env = Vec::new();
        flatten(prefix.trim_end_matches("__"), &self.sections[section], &mut env);
        env.extend(more.iter().map(|(key, value)| (format!("{prefix}{key}"), (*value).to_owned())));
        env
    }

    fn command(&self, from: &Path) -> Result<Command> {
        let mut command = Command::new(binary("triad")?);
        command.arg("migrate-to").arg("--config").arg(self.file()?).arg("--data-dir").arg(from);
        command.stdin(Stdio::null());
        Ok(command)
    }
}

fn merge(into: &mut Value, more: Value) {
    let (Value::Object(into), Value::Object(more)) = (into, more) else { return };
    into.extend(more);
}

fn flatten(name: &str, value: &Value, env: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                flatten(&format!("{name}__{}", key.to_uppercase()), value, env);
            }
        }
        Value::String(text) => env.push((name.to_owned(), text.clone())),
        other => env.push((name.to_owned(), other.to_string())),
    }
}

/// What a deployment answers with one key.
struct Asked<'a> {
    client: &'a reqwest::Client,
    key: &'a str,
    audit: &'a str,
    authz: &'a str,
}

impl Asked<'_> {
    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<(u16, Value)> {
        let answer = request.bearer_auth(self.key).send().await?;
        let (status, text) = (answer.status().as_u16(), answer.text().await?);
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// Every event up to a time, page by page.
    async fn trail(&self, to: &str) -> Result<Vec<Value>> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let query = format!("limit=97&order=oldest&from=2020-01-01T00:00:00Z&to={to}{cursor}");
            let url = format!("{}{ACME}/audit?{query}", self.audit);
            let (status, page) = self.answer(self.client.get(url)).await?;
            ensure!(status == 200, "{status} {page}");
            all.extend(page["events"].as_array().context("no events")?.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }

    /// Decisions, and why.
    async fn decisions(&self, questions: &[Value]) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        for question in questions {
            for route in ["check", "explain"] {
                let url = format!("{}{ACME}/{route}", self.authz);
                let (status, mut answer) =
                    self.answer(self.client.post(url).json(question)).await?;
                ensure!(status == 200, "{status} {answer}");
                timeless(&mut answer);
                // Of paths that are as near, each graph has its own order.
                if let Some(paths) = answer["paths"].as_array_mut() {
                    paths.sort_by_cached_key(ToString::to_string);
                }
                // It tells the first of them.
                answer.as_object_mut().and_then(|members| members.remove("summary"));
                all.push(answer);
            }
        }
        Ok(all)
    }
}

/// Without what tells one moment, or one graph, from another.
fn timeless(answer: &mut Value) {
    match answer {
        Value::Object(members) => {
            members.retain(|name, _| {
                !matches!(name.as_str(), "evaluated_at" | "revision" | "token" | "read_at")
            });
            members.values_mut().for_each(timeless);
        }
        Value::Array(items) => items.iter_mut().for_each(timeless),
        _ => {}
    }
}

/// A folder that was served: the demo's company, and what else may be in one.
struct Left {
    folder: tempfile::TempDir,
    keys: PathBuf,
    issuer: String,
    /// An API key that may ask and read.
    key: String,
    /// Tokens of it: one that holds, and one that was revoked just before.
    tokens: [String; 2],
    team: String,
    /// Consistency tokens, of the last identity change and of a write to the graph.
    seq: String,
    graph: String,
    until: String,
    questions: Vec<Value>,
    decisions: Vec<Value>,
    trail: Vec<Value>,
}

async fn put(triad: &Triad, path: &str, body: Value) -> Result<Answer> {
    triad.ask(Method::PUT, &format!("{ACME}/{path}"), body).await
}

async fn post(triad: &Triad, path: &str, body: Value) -> Result<Answer> {
    triad.ask(Method::POST, path, body).await?.must(201)
}

impl Left {
    async fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("triad.yaml");
        std::fs::write(&config, "ingest: {limits: {past_days: 360}}")?;
        let data = folder.path().join("data");
        let config = config.display().to_string();
        let triad = Triad::with(&data, &["--config", &config, "--demo"]).await?;
        until("the demo is there", async || {
            let trail = triad.get(&format!("{ACME}/audit?limit=5&action=document.share")).await;
            let is_there =
                trail.is_ok_and(|page| page["events"].as_array().is_some_and(|e| e.len() == 5));
            Ok(if is_there { Ok(()) } else { Err("not yet".to_owned()) })
        })
        .await?;
        let (key, account) = Self::key(&triad).await?;
        let (team, graph) = Self::more(&triad).await?;
        Self::events(&triad).await?;
        let tokens = [
            Self::token(&triad, &account, &key).await?,
            Self::token(&triad, &account, &key).await?,
        ];
        let revoke =
            triad.client.post(triad.url("/oauth2/revoke")).basic_auth(&account, Some(&key));
        let revoked =
            revoke.header("content-type", FORM).body(format!("token={}", tokens[1])).send().await?;
        ensure!(revoked.status() == 200, "{}", revoked.status());
        let keys = folder.path().join("jwks.json");
        std::fs::write(&keys, triad.get("/.well-known/jwks.json").await?.to_string())?;
        let users = triad.get(&format!("{ACME}/users?limit=100")).await?;
        let users = users["items"].as_array().context("no users")?.clone();
        let questions = questions(&users);
        let asked = Asked {
            client: &triad.client,
            key: &key,
            audit: &triad.url(""),
            authz: &triad.url(""),
        };
        let decisions = asked.decisions(&questions).await?;
        // What was asked is in the trail, too; later events are nobody's.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let until = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let trail = asked.trail(&until).await?;
        let last = put(
            &triad,
            // Somebody who is not asked about.
            &format!("teams/{team}/members/user/{}", text(&users[users.len() - 1], "id")?),
            Value::Null,
        )
        .await?;
        let (issuer, seq) = (triad.url(""), last.must(201)?.token);
        Self::refused_while_it_is_served(&data)?;
        triad.stop().await?;
        ensure!(trail.len() > 500, "{}", trail.len());
        Ok(Self {
            folder,
            keys,
            issuer,
            key,
            tokens,
            team,
            seq,
            graph,
            until,
            questions,
            decisions,
            trail,
        })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn refused_while_it_is_served(data: &Path) -> Result<()> {
        let target = Target::new(data, "http://127.0.0.1:1")?;
        let output = target.command(data)?.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(75), "{} {said}", output.status);
        ensure!(said.contains("is in use by another process"), "{said}");
        Ok(())
    }

    /// An account that may ask and read; its key, and its id.
    async fn key(triad: &Triad) -> Result<(String, String)> {
        let accounts = format!("{ACME}/service-accounts");
        let account = post(triad, &accounts, json!({"name": "reports"})).await?.id()?;
        let scopes =
            json!({"scopes": ["audit:read", "authz:check", "authz:write", "identity:read"]});
        put(triad, &format!("service-accounts/{account}/scopes"), scopes).await?.must(200)?;
        let key =
            post(triad, &format!("{accounts}/{account}/keys"), json!({"name": "laptop"})).await?;
        Ok((text(&key.body, "secret")?, account))
    }

    /// What the demo has not: who is inactive, what ends, other tenants; the id of a team, and a token of the graph.
    async fn more(triad: &Triad) -> Result<(String, String)> {
        let gone = post(triad, &format!("{ACME}/users"), json!({"email": "gone@acme.example"}))
            .await?
            .id()?;
        let off = triad
            .ask(Method::POST, &format!("{ACME}/users/{gone}/deactivate"), Value::Null)
            .await?;
        let team = post(triad, &format!("{ACME}/teams"), json!({"name": "späti ☂"})).await?;
        let (id, token) = (team.id()?, off.must(200)?.token);
        let bind = |mut on: Value, id: &str| {
            let mut relationship = json!({"relation": "has_role", "role": "viewer",
                "subject": {"type": "team", "id": id}});
            merge(&mut relationship, std::mem::take(&mut on));
            json!({"op": "touch", "relationship": relationship})
        };
        let writes = json!({"writes": [
            bind(json!({"on": {"type": "folder", "id": "fin\"ance"}}), &id),
            bind(json!({"on": {"type": "shelf"}, "expires_at": "2099-01-02T03:04:05.678901Z"}), &id),
            bind(json!({"expires_at": "2099-05-05T00:00:00Z"}), &id),
        ]});
        let path = format!("{ACME}/relationships");
        let since = if team.token.is_empty() { token } else { team.token.clone() };
        let graph = triad.since(&since, Method::POST, &path, writes).await?.must(200)?.token;
        for tenant in ["umbrella", "closed", "gone"] {
            let body = json!({"id": tenant, "name": tenant,
                "administrator": {"email": format!("admin@{tenant}.example")}});
            post(triad, "/v1/tenants", body).await?;
        }
        triad.ask(Method::POST, "/v1/tenants/closed/suspend", Value::Null).await?.must(200)?;
        let deleted = triad.ask(Method::DELETE, "/v1/tenants/gone", Value::Null).await?;
        ensure!(deleted.status < 300, "{} {}", deleted.status, deleted.body);
        Ok((id, graph))
    }

    /// Events from long ago, and of every shape.
    async fn events(triad: &Triad) -> Result<()> {
        let at = |days: i64| {
            let time = chrono::Utc::now() - chrono::Duration::days(days);
            time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
        };
        let events = json!([
            {"id": "old", "event_time": at(200), "action": "document.read", "source_ip": "2001:db8::7"},
            {"id": "older", "event_time": at(330), "action": "x", "details": {"n": 7, "t": "7", "list": [1, {"a": "b"}],
                "o": {"k": null}, "odd": "{not json", "list text": "[1]", "": "empty", "ü": "\u{1F600}\n\"\\"}},
            {"id": "unknown", "event_time": at(3), "action": "x", "extra": {"deep": [true]}, "more": "text",
                "details": {"a": "b"}},
            {"action": "neither id nor time", "actor_id": "a", "actor_type": "system", "status": "DENIED"},
            {"id": "same", "event_time": at(2), "action": "a"},
            {"id": "same", "event_time": at(2), "action": "another content"},
        ]);
        triad.ask(Method::POST, &format!("{ACME}/audit"), events).await?.must(202).map(drop)
    }

    async fn token(triad: &Triad, account: &str, key: &str) -> Result<String> {
        let request = triad.client.post(triad.url("/oauth2/token")).basic_auth(account, Some(key));
        let answer = request
            .header("content-type", FORM)
            .body("grant_type=client_credentials")
            .send()
            .await?;
        text(&answer.json().await?, "access_token")
    }
}

fn text(of: &Value, name: &str) -> Result<String> {
    Ok(of[name].as_str().with_context(|| format!("no {name} in {of}"))?.to_owned())
}

fn questions(users: &[Value]) -> Vec<Value> {
    let resources = [
        ("document", "roadmap"),
        ("document", "old-design"),
        ("document", "payroll"),
        ("shelf", "s-1"),
    ];
    let all = users.iter().filter_map(|user| user["id"].as_str()).take(6).flat_map(|user| {
        resources.into_iter().flat_map(move |(type_, id)| {
            ["read", "write"].map(|action| {
                json!({"subject": {"type": "user", "id": user}, "action": {"name": action},
                    "resource": {"type": type_, "id": id}, "context": {"ip": "10.1.2.3"}})
            })
        })
    });
    all.collect()
}

/// Everything in Dgraph goes: a target's graph is its own, and other tests leave a system tenant there.
pub(crate) async fn empty_graph() -> Result<()> {
    let url = format!("http://{}/alter", engine("TRIAD_DGRAPH_HTTP")?);
    let answer = reqwest::Client::new().post(url).body(r#"{"drop_all": true}"#).send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status == 200 && text.contains("Success"), "{status} {text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a drill: it empties all of Dgraph, and needs engines of its own"]
async fn a_folder_moves_to_the_engines_and_is_answered_there_as_it_was() -> Result<()> {
    let left = Left::new().await?;
    empty_graph().await?;
    let target = Target::new(&left.keys, &left.issuer)?;
    let killed = migrated(&left, &target)?;
    let again = target.command(&left.data())?.output()?;
    let said = String::from_utf8_lossy(&again.stderr);
    ensure!(again.status.success() && said.contains("nothing is left to do"), "{said}");
    ensure!(killed > 0, "it was never interrupted, which shows nothing");

    // Whoever introspects has no callers to verify here.
    let prefix = identity_admin::config::ENV_PREFIX;
    let identity =
        Process::start("identity-admin", prefix, &target.env("identity", prefix, &[])).await?;
    let asks = identity.url("/oauth2/introspect");
    let asks = [("AUTH__INTROSPECTION_URL", asks.as_str())];
    let prefix = ingest::config::ENV_PREFIX;
    let ingest = Process::start("ingest", prefix, &target.env("ingest", prefix, &asks)).await?;
    let prefix = authz_edge::config::ENV_PREFIX;
    let edge = Process::start("authz-edge", prefix, &target.env("authz", prefix, &asks)).await?;

    // The same key, the same answers.
    let (audit, authz) = (ingest.url(""), edge.url(""));
    let asked = Asked { client: &ingest.client, key: &left.key, audit: &audit, authz: &authz };
    let decisions = asked.decisions(&left.questions).await?;
    for (at, (found, own)) in decisions.iter().zip(&left.decisions).enumerate() {
        ensure!(found == own, "{}\nhere  {own}\nthere {found}", left.questions[at / 2]);
    }
    let allowed = decisions.iter().filter(|answer| answer["decision"] == true).count();
    ensure!(allowed > 2 && allowed < decisions.len(), "{allowed} of {}", decisions.len());
    let trail = asked.trail(&left.until).await?;
    ensure!(trail.len() == left.trail.len(), "{} events, not {}", trail.len(), left.trail.len());
    for (found, own) in trail.iter().zip(&left.trail) {
        ensure!(found == own, "\nhere  {own}\nthere {found}");
    }

    // Tokens: signed by the carried key, and void if they were revoked.
    for (token, wanted) in left.tokens.iter().zip([200, 401]) {
        let answer = ingest
            .client
            .get(ingest.url(&format!("{ACME}/audit")))
            .bearer_auth(token)
            .send()
            .await?;
        ensure!(answer.status() == wanted, "{} instead of {wanted}", answer.status());
    }

    // What happens next is numbered on, and reaches the graph without a gap.
    let body = json!({"email": "new@acme.example"});
    let made =
        identity.client.post(identity.url(&format!("{ACME}/users"))).json(&body).send().await?;
    ensure!(made.status() == 201, "{}", made.status());
    let user = text(&made.json().await?, "id")?;
    let joins = identity.url(&format!("{ACME}/teams/{}/members/user/{user}", left.team));
    let joined = identity.client.put(joins).send().await?;
    ensure!(joined.status() == 201, "{}", joined.status());
    let token =
        joined.headers().get(TOKEN).and_then(|t| t.to_str().ok()).context("no token")?.to_owned();
    let asks = async |token: &str| {
        let question = json!({"subject": {"type": "user", "id": user}, "action": {"name": "read"},
            "resource": {"type": "shelf", "id": "s-1"}});
        let url = format!("{authz}{ACME}/check");
        asked.answer(asked.client.post(url).json(&question).header(TOKEN, token)).await
    };
    let (status, answer) = asks(&token).await?;
    ensure!(status == 200 && answer["decision"] == true, "{status} {answer}");
    // An identity's token counts changes, and these go on.
    let (status, answer) = asks(&left.seq).await?;
    ensure!(status == 200, "{status} {answer}");
    // A graph's token is of a graph that is not here.
    let (status, answer) = asks(&left.graph).await?;
    ensure!(status == 400, "{status} {answer}");

    edge.stop().await?;
    identity.stop().await?;
    ingest.stop().await
}

/// Runs it to its end, killed now and then; how often.
fn migrated(left: &Left, target: &Target) -> Result<usize> {
    let mut killed = 0;
    for after in KILLED {
        let mut child = target.command(&left.data())?.stdout(Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_millis(after + u64::from(rand_byte()) * 8));
        if let Some(ended) = child.try_wait()? {
            ensure!(ended.success(), "it ended with {ended}; what it said is above");
            return Ok(killed);
        }
        child.kill()?;
        child.wait()?;
        killed += 1;
    }
    let output = target.command(&left.data())?.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} {said}", output.status);
    let table = String::from_utf8_lossy(&output.stdout);
    for what in ["tenants", "users", "teams", "API keys", "relationships", "events"] {
        let line =
            table.lines().find(|line| line.starts_with(what)).context("a line is missing")?;
        let numbers: Vec<_> = line.trim_start_matches(what).split_whitespace().collect();
        ensure!(numbers.len() == 2 && numbers[0] == numbers[1] && numbers[0] != "0", "{table}");
    }
    Ok(killed)
}

fn rand_byte() -> u8 {
    uuid::Uuid::new_v4().as_bytes()[0]
}
