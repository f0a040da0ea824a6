//! What the manifests mount, on the real engines: the jobs run and the services start with `deploy/config` as it is, but for
//! what one machine cannot have (addresses, three replicas) and for where the files of secrets are.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::edge::{Edge, question, role};
use crate::identity::Service;
use crate::process::{Process, Reach, binary, free_port, free_ports};
use crate::world::{World, engine, until};

const TOKEN: &str = "triad-consistency-token";
/// Of the database, as `deploy/config/ingest.yaml` has it.
const ROLE: &str = "triad_ingest";
const PASSWORD: &str = "it-configured";
const SERVICES: [&str; 3] = ["ingest", "authz-edge", "identity-admin"];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// Variables, as the environment has them.
type Env = Vec<(String, String)>;

/// An installation: its secrets in a folder, and where its services will be.
struct Installation {
    folder: tempfile::TempDir,
    /// Of the public routes and of the others, in the order of [`SERVICES`].
    ports: [[u16; 2]; 3],
    grpc: u16,
}

impl Installation {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let database = uuid::Uuid::new_v4().simple().to_string();
        let dsn = format!("{}it_{}", engine("TRIAD_MYSQL")?, &database[..12]);
        for (name, secret) in [
            ("mysql-dsn", dsn.as_str()),
            ("cassandra-password", PASSWORD),
            ("cursor-key", "0123456789abcdef0123456789abcdef"),
        ] {
            std::fs::write(folder.path().join(name), format!("{secret}\n"))?;
        }
        let ports = [free_ports()?, free_ports()?, free_ports()?];
        Ok(Self { folder, ports, grpc: free_port()? })
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn ports(&self, service: &str) -> Result<[u16; 2]> {
        let at = SERVICES.iter().position(|name| *name == service).context("no such service")?;
        Ok(self.ports[at])
    }

    /// `--config` and its file, and what else is said.
    fn arguments(service: &str, rest: &[String]) -> Vec<String> {
        let file = deploy().join(format!("config/{service}.yaml")).display().to_string();
        [&["--config".to_owned(), file][..], rest].concat()
    }

    /// What the variables of a service begin with, and what differs on this machine.
    fn env(&self, service: &str) -> Result<(&'static str, Env)> {
        let issuer = format!("http://127.0.0.1:{}", self.ports("identity-admin")?[0]);
        let mut keys = vec![
            ("KAFKA__BROKERS", engine("TRIAD_KAFKA")?),
            ("KAFKA__REPLICATION", "1".to_owned()),
            ("KAFKA__MIN_INSYNC_REPLICAS", "1".to_owned()),
            ("AUTH__JWKS_URL", format!("{issuer}/.well-known/jwks.json")),
            ("AUTH__INTROSPECTION_URL", format!("{issuer}/oauth2/introspect")),
            ("AUTH__INTROSPECTION_KEY_FILE", self.file(&format!("{service}.key"))),
        ];
        let prefix = match service {
            "ingest" => {
                keys.extend([
                    ("CASSANDRA__HOSTS", engine("TRIAD_CASSANDRA")?),
                    ("CASSANDRA__REPLICATION", "1".to_owned()),
                    ("CASSANDRA__PASSWORD_FILE", self.file("cassandra-password")),
                    ("QUERY__CURSOR_KEY_FILE", self.file("cursor-key")),
                ]);
                ingest::config::ENV_PREFIX
            }
            "authz-edge" => {
                keys.extend([
                    ("DGRAPH__ALPHA_ADDRESSES", engine("TRIAD_DGRAPH")?),
                    ("EXT_AUTHZ__LISTEN", format!("127.0.0.1:{}", self.grpc)),
                ]);
                authz_edge::config::ENV_PREFIX
            }
            _ => {
                keys.extend([
                    ("MYSQL__DSN_FILE", self.file("mysql-dsn")),
                    ("SECRETS_FILE", self.file("secrets.json")),
                ]);
                identity_admin::config::ENV_PREFIX
            }
        };
        let env = keys.into_iter().map(|(key, value)| (format!("{prefix}{key}"), value));
        Ok((prefix, env.collect()))
    }

    /// A command that must succeed; what it printed.
    fn run(&self, service: &str, rest: &[String]) -> Result<String> {
        let output = Command::new(binary(service)?)
            .args(Self::arguments(service, rest))
            .envs(self.env(service)?.1)
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{service} {rest:?}: {said}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The jobs of the manifests, in their order.
    fn apply(&self) -> Result<()> {
        let text = std::fs::read_to_string(deploy().join("kubernetes/jobs/jobs.yaml"))?;
        let jobs: Vec<Value> = serde_saphyr::from_multiple(&text)?;
        ensure!(jobs.len() == 6, "{} jobs", jobs.len());
        for job in jobs {
            let container = &job["spec"]["template"]["spec"]["containers"][0];
            let image = container["image"].as_str().unwrap_or_default();
            let service = image.strip_prefix("triad/").context("whose")?;
            let args = container["args"].as_array().context("no arguments")?;
            let rest: Option<Vec<_>> =
                args.iter().skip(2).map(|arg| arg.as_str().map(str::to_owned)).collect();
            self.run(service, &rest.context("no text")?)?;
        }
        Ok(())
    }

    /// Client id and API key of the administrator.
    fn bootstrap(&self) -> Result<(String, String)> {
        let folder = self.folder.path().display().to_string();
        let all = ["bootstrap".to_owned(), "--out".to_owned(), folder];
        let said = self.run("identity-admin", &all)?;
        let behind = |what: &str| {
            let line = said.lines().find(|line| line.contains(what)).context("not said")?;
            anyhow::Ok(line.rsplit(' ').next().unwrap_or_default().to_owned())
        };
        Ok((behind("client id")?, behind("API key")?))
    }

    fn log(&self, service: &str) -> PathBuf {
        self.folder.path().join(format!("{service}.log"))
    }

    /// Starts a service as its container does, and waits until it is ready; what it says goes to its log.
    async fn start(&self, service: &'static str) -> Result<Process> {
        let log = File::create(self.log(service))?;
        let outputs = [log.try_clone()?.into(), log.into()];
        let arguments = Self::arguments(service, &["serve".to_owned()]);
        let (prefix, env) = self.env(service)?;
        let (ports, reach) = (self.ports(service)?, Reach::plain()?);
        let started =
            Process::spawn_with(&arguments, ports, service, prefix, &env, outputs, reach)?;
        let said = || std::fs::read_to_string(self.log(service)).unwrap_or_default();
        started.started().await.with_context(said)
    }

    /// What of its log no production should see: warnings and errors of our own, but for those about one replica.
    fn complaints(&self, service: &str) -> Result<Vec<String>> {
        let log = std::fs::read_to_string(self.log(service))?;
        let mut found = Vec::new();
        for line in log.lines() {
            // The format is configured, too.
            let entry: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            let (level, target) = (entry["level"].as_str(), entry["target"].as_str());
            let crates = ["ingest", "authz_edge", "identity_admin", "service_kit"];
            let own = target.and_then(|target| target.split("::").next());
            let is_ours = own.is_some_and(|own| crates.contains(&own));
            let message = entry["message"].as_str().unwrap_or_default();
            let is_of_one_replica = message.contains("fewer than three replicas")
                || message.ends_with("replication 1 < 3")
                || message.ends_with("min.insync.replicas 1 < 2");
            let is_grave = matches!(level, Some("WARN" | "ERROR"));
            if is_grave && is_ours && !is_of_one_replica {
                found.push(line.to_owned());
            }
        }
        ensure!(!log.is_empty(), "{service} logs nothing");
        Ok(found)
    }
}

/// The role that the configuration names, as an operator makes it: it may do everything with keyspaces, and is no superuser.
async fn make_role() -> Result<()> {
    let world = World::new("configured", &[]).await?;
    for statement in [
        format!("DROP ROLE IF EXISTS {ROLE}"),
        format!("CREATE ROLE {ROLE} WITH LOGIN = true AND PASSWORD = '{PASSWORD}'"),
        format!("GRANT ALL PERMISSIONS ON ALL KEYSPACES TO {ROLE}"),
    ] {
        world.db.session.query_unpaged(statement, ()).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_work_together_with_what_the_manifests_mount() -> Result<()> {
    make_role().await?;
    let installation = Installation::new()?;
    installation.apply()?;
    let (client, key) = installation.bootstrap()?;
    let identity = Service::of(installation.start("identity-admin").await?);
    until("there is a key to sign with", async || {
        let answer = identity.get("/.well-known/jwks.json").await?;
        let is_there = answer.status == StatusCode::OK;
        Ok(if is_there { Ok(()) } else { Err(answer.body.to_string()) })
    })
    .await?;
    let edge = Edge::of(installation.start("authz-edge").await?);
    let ingest = installation.start("ingest").await?;

    // Who has no token is nobody, and a token of the issuer that the configuration names opens all three.
    let run = uuid::Uuid::new_v4().simple().to_string();
    let t = &format!("c{}", &run[..10]);
    let bearer = format!("Bearer {}", identity.access((&client, &key)).await?);
    let auth = ("authorization", bearer.as_str());
    identity.get("/v1/tenants").await?.must(401)?;
    let tenant = json!({"id": t, "name": t, "administrator": {"email": "admin@x.example"}});
    until("the issuer's keys are known to itself", async || {
        let listed = identity.ask(Method::GET, "/v1/tenants", &[auth], Value::Null).await?;
        let is_known = listed.status == StatusCode::OK;
        Ok(if is_known { Ok(()) } else { Err(format!("{} {}", listed.status, listed.body)) })
    })
    .await?;
    identity.ask(Method::POST, "/v1/tenants", &[auth], tenant).await?.must(201)?;
    let path = format!("/v1/tenants/{t}/users");
    let ada = json!({"email": "ada@acme.example"});
    let ada = identity.ask(Method::POST, &path, &[auth], ada).await?.must(201)?;
    let (user, made) = (ada.id()?, ada.header(TOKEN).to_owned());

    // Somebody of identity-admin is known to the edge, and may what a role says.
    let reader = json!({"permissions": [{"action": "read"}]});
    let path = format!("/v1/tenants/{t}/roles/reader");
    let put = edge.ask(Method::PUT, &path, &[auth], Some(&reader)).await?;
    ensure!(put.status.is_success(), "{} {}", put.status, put.body);
    let grant = role("user", &user, "reader", &Value::Null);
    let grant = json!({"writes": [{"op": "create", "relationship": grant}]});
    let path = format!("/v1/tenants/{t}/relationships");
    let bound = edge.ask(Method::POST, &path, &[auth, (TOKEN, &made)], Some(&grant)).await?;
    ensure!(bound.status == StatusCode::OK, "{} {}", bound.status, bound.body);
    let asked = question(&user, "read", ("document", "d-1"));
    let path = format!("/v1/tenants/{t}/check");
    let checked =
        edge.ask(Method::POST, &path, &[auth, (TOKEN, &bound.token)], Some(&asked)).await?;
    ensure!(checked.body["decision"] == true, "{} {}", checked.status, checked.body);

    // An event is accepted and found beside what the others did; by the API key, which identity-admin is asked about.
    let url = ingest.url(&format!("/v1/tenants/{t}/audit"));
    let event = ingest.client.post(&url).bearer_auth(&key).json(&World::event(1, t)).send().await?;
    ensure!(event.status() == StatusCode::ACCEPTED, "{}", event.status());
    until("the event is in the trail, and what the others did", async || {
        let page = ingest.client.get(format!("{url}?limit=100")).bearer_auth(&key).send().await?;
        let found = page.text().await?;
        let is_there = ["document.read", "user.created", "authz.relationship.created"]
            .iter()
            .all(|action| found.contains(*action));
        Ok(if is_there { Ok(()) } else { Err(found) })
    })
    .await?;

    for service in SERVICES {
        let complaints = installation.complaints(service)?;
        ensure!(complaints.is_empty(), "{service}: {complaints:#?}");
    }
    edge.stop().await?;
    identity.stop().await?;
    ingest.stop().await
}
