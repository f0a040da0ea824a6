//! A database of a test's own, and the routes on it, as anybody may use them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use chrono::{DateTime, Utc};
use contracts::identity::Change;
use serde_json::Value;
use service_kit::auth::Verifier;
use service_kit::config::Source;
use service_kit::shutdown::Shutdown;
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::change::Core;
use crate::clock::Clock;
use crate::config::{Config, DEFAULTS, ENV_PREFIX};
use crate::credentials::Secrets;
use crate::db::{Db, Options, Place, Sql, Value as Param, migrate, params};
use crate::http::{self, Api};
use crate::oauth::{self, OAuth};

/// A database whose schema is up to date, with a tenant `acme`, and a clock that stands still.
pub(super) struct Bed {
    pub(super) options: Options,
    pub(super) db: Db,
    pub(super) core: Arc<Core>,
    pub(super) folder: TempDir,
    routes: Router,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
    /// Null when it is no JSON.
    pub(super) body: Value,
}

impl Answer {
    /// Itself, if it is of this status.
    pub(super) fn must(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    pub(super) fn id(&self) -> String {
        self.body["id"].as_str().unwrap().to_owned()
    }

    /// The fields that it says are at fault.
    pub(super) fn faults(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().into_iter().flatten();
        errors.map(|error| error["field"].as_str().unwrap()).collect()
    }

    pub(super) fn etag(&self) -> &str {
        self.headers[header::ETAG].to_str().unwrap()
    }
}

impl Bed {
    #[cfg(feature = "embedded")]
    pub(super) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Sqlite(folder.path().join("identity.db"));
        Self::at(place, folder).await
    }

    /// On a server's database of a new name.
    #[cfg(feature = "engines")]
    pub(super) async fn mysql() -> Self {
        let server = std::env::var("TRIAD_MYSQL").expect("TRIAD_MYSQL names a server");
        let name = uuid::Uuid::new_v4().simple().to_string();
        let dsn = crate::db::Dsn::parse(&format!("{server}lib_{}", &name[..12])).unwrap();
        Self::at(Place::MySql(dsn), tempfile::tempdir().unwrap()).await
    }

    async fn at(place: Place, folder: TempDir) -> Self {
        migrate(&place).await.unwrap();
        let options = Options {
            place,
            max_open: 8,
            max_idle: 8,
            max_lifetime: Duration::from_secs(3600),
            acquire_timeout: Duration::from_secs(30),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
        };
        let db = Db::new(&options);
        let secrets = folder.path().join("secrets.json");
        Secrets::create(&secrets).unwrap();
        let set = |key: &str, value: &str| (format!("{ENV_PREFIX}{key}"), value.to_owned());
        let config: Config = service_kit::config::load(&Source {
            defaults: DEFAULTS,
            file: None,
            env_prefix: ENV_PREFIX,
            env: vec![
                set("SECRETS_FILE", secrets.to_str().unwrap()),
                set("AUTH__DEFAULT_TENANT", "acme"),
                set("LOG_IN__MAX_FAILURES", "3"),
            ],
        })
        .unwrap();
        let (_trigger, shutdown) = Shutdown::new();
        let verifier = Verifier::start(&config.auth, shutdown).await.unwrap();
        let credentials = config.credentials().unwrap().unwrap();
        let start: DateTime<Utc> = "2026-11-22T14:03:07.123456Z".parse().unwrap();
        let core = Arc::new(Core {
            secrets: Some(Arc::clone(&credentials.secrets)),
            ..Core::new(db.clone(), Clock::manual(start), config.answers_live())
        });
        let (journal, storing) = oauth::journal(Arc::clone(&core));
        let (keys, looking_up) = oauth::keys(db.clone());
        tokio::spawn(storing);
        tokio::spawn(looking_up);
        let oauth = OAuth {
            signing: Arc::new(oauth::Signing::new(config.rotation())),
            credentials,
            journal,
            keys,
            issuer: config.tokens.issuer.clone(),
            audience: config.auth.audience.clone(),
            life: chrono::Duration::seconds(config.tokens.life_seconds.into()),
            people: config.people(),
        };
        oauth::keep_keys(&core, &oauth.credentials.secrets, &oauth.signing).await.unwrap();
        let api = Api::new(Arc::clone(&core), verifier, config.api_options(), Some(oauth));
        let bed = Self { options, db, core, folder, routes: http::router(api) };
        bed.tenant("acme").await;
        bed
    }

    pub(super) fn step(&self, by: chrono::Duration) {
        self.core.clock.step(by);
    }

    /// Makes a tenant with its administrator.
    pub(super) async fn tenant(&self, id: &str) -> Answer {
        let name = format!("The {id}");
        let administrator = serde_json::json!({"email": format!("admin@{id}.example")});
        let body = serde_json::json!({"id": id, "name": name, "administrator": administrator});
        self.post("/v1/tenants", body).await.must(201)
    }

    /// Makes a user of `acme` of that name; its id.
    pub(super) async fn user(&self, name: &str) -> String {
        let body = serde_json::json!({"email": format!("{name}@x.y"), "user_name": name});
        self.post("/v1/tenants/acme/users", body).await.must(201).id()
    }

    /// Makes a team of `acme`; its id.
    pub(super) async fn team(&self, name: &str) -> String {
        let body = serde_json::json!({ "name": name });
        self.post("/v1/tenants/acme/teams", body).await.must(201).id()
    }

    pub(super) async fn ask(
        &self,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).unwrap();
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), 64 << 20).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Answer { status, headers, text, body }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask(("GET", path), &[], String::new()).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.ask(("DELETE", path), &[], String::new()).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(("POST", path), &[], body.to_string()).await
    }

    pub(super) async fn put(&self, path: &str, body: Value) -> Answer {
        self.ask(("PUT", path), &[], body.to_string()).await
    }

    pub(super) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.ask(("PATCH", path), &[], body.to_string()).await
    }

    /// Posts a form.
    pub(super) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let body = form.extend_pairs(fields).finish();
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.ask(("POST", path), &kind, body).await
    }

    /// One number that a statement finds, as `n`.
    pub(super) async fn count(&self, sql: impl Into<Sql>, params: &[Param]) -> i64 {
        self.db.row(sql, params).await.unwrap().unwrap().int("n").unwrap()
    }

    /// The changes of a tenant in the outbox: numbered from 1 without gaps, as far as the tenant counts, each with
    /// its audit event.
    pub(super) async fn changes(&self, tenant: &str) -> Vec<Change> {
        let sql = "SELECT topic, seq, payload FROM outbox WHERE tenant_id = ? ORDER BY id";
        let (mut changes, mut audited) = (Vec::new(), 0);
        for row in self.db.rows(sql, params![tenant]).await.unwrap() {
            let payload = row.text("payload").unwrap();
            if row.text("topic").unwrap() == "changes" {
                let change = Change::parse(payload.as_bytes()).unwrap();
                assert_eq!(i64::try_from(change.seq).ok(), row.opt_int("seq").unwrap());
                changes.push(change);
            } else if row.opt_int("seq").unwrap().is_some() {
                audited += 1;
            }
        }
        let numbers: Vec<u64> = changes.iter().map(|change| change.seq).collect();
        let counted = "SELECT seq AS n FROM tenant_changes WHERE tenant_id = ?";
        let counted = u64::try_from(self.count(counted, params![tenant]).await).unwrap();
        assert_eq!(numbers, (1..=counted).collect::<Vec<_>>());
        assert_eq!(audited, changes.len());
        changes
    }
}
