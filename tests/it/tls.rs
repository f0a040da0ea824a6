//! TLS on every connection: to engines that ask for it, and to our own listeners.
//!
//! Ignored, because engines have to be started for it, with `--tls on`: `tests/run` does, before all others.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::tls::{Authority, Issued, shown, shown_by_grpc, trusting};

use crate::edge::{Edge, Edges, question, role};
use crate::identity::{Identities, Service};
use crate::process::{Process, Reach, free_port, free_ports};
use crate::world::{World, engine, until};

const TOKEN: &str = "triad-consistency-token";

/// Configuration keys, as in the environment.
type Keys = Vec<(&'static str, String)>;

fn borrowed<'a>(keys: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    keys.iter().map(|(key, value)| (*key, value.as_str())).collect()
}

/// Whom to trust, as a section.
fn ca(authority: &Path) -> String {
    format!("{{ca: '{}'}}", authority.display())
}

/// The authority of the engines.
fn engines_ca() -> Result<PathBuf> {
    Ok(Path::new(&engine("TRIAD_TLS")?).join("ca.pem"))
}

/// What our listeners show, and what clients show to the one that asks them.
struct Certificates {
    authority: Authority,
    server: Issued,
    client: Issued,
    folder: tempfile::TempDir,
}

impl Certificates {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::new(&folder.path().join("ours"), "the authority of a test")?;
        let (server, client) = (authority.issue("server")?, authority.issue("client")?);
        Ok(Self { authority, server, client, folder })
    }

    /// A file beside them; its path.
    fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// A listener's section; with `asks`, clients must have a certificate.
    fn listener(&self, asks: bool) -> String {
        let (certificate, key) = (self.server.certificate.display(), self.server.key.display());
        let client_ca = self.authority.certificate();
        let client_ca =
            if asks { format!(", client_ca: '{}'", client_ca.display()) } else { String::new() };
        format!("{{certificate: '{certificate}', key: '{key}'{client_ca}}}")
    }

    /// Kafka's properties, trusting `authority`.
    fn kafka(&self, authority: &Path, password: &str) -> Result<String> {
        let file = self.file(&format!("password-{password}"), password)?;
        Ok(format!(
            "{{security.protocol: sasl_ssl, ssl.ca.location: '{}', sasl.mechanism: SCRAM-SHA-256, \
             sasl.username: {}, sasl.password_file: '{}'}}",
            authority.display(),
            engine("TRIAD_KAFKA_USER")?,
            file.display()
        ))
    }

    /// Of every service.
    fn shared(&self) -> Result<Keys> {
        let password = engine("TRIAD_KAFKA_PASSWORD")?;
        Ok(vec![
            ("HTTP__TLS", self.listener(false)),
            ("ADMIN__TLS", self.listener(false)),
            ("KAFKA__BROKERS", engine("TRIAD_KAFKA_TLS")?),
            ("KAFKA__PROPERTIES", self.kafka(&engines_ca()?, &password)?),
        ])
    }
}

/// MySQL's section: it lets its user in with a client's certificate only.
fn mysql(authority: &Path) -> Result<String> {
    let folder = engine("TRIAD_TLS")?;
    Ok(format!(
        "{{ca: '{}', certificate: '{folder}/client.pem', key: '{folder}/client.key'}}",
        authority.display()
    ))
}

/// The three services, configured.
struct Settings {
    certificates: Certificates,
    world: World,
    identities: Identities,
    edges: Edges,
    /// Of authz-edge's gRPC listener.
    grpc: String,
}

impl Settings {
    async fn new() -> Result<Self> {
        let certificates = Certificates::new()?;
        // Sessions of the test itself are made before any process is asked.
        trusting(&certificates.authority.certificate())?;
        let (shared, engines) = (certificates.shared()?, engines_ca()?);
        let keys = |more: Keys| [&shared[..], &more].concat();
        let world = World::new(
            "tls",
            &borrowed(&keys(vec![
                ("CASSANDRA__HOSTS", engine("TRIAD_CASSANDRA_TLS")?),
                ("CASSANDRA__TLS", ca(&engines)),
            ])),
        )
        .await?;
        let audit = world.config.kafka.topic.clone();
        let topics = vec![("KAFKA__AUDIT_TOPIC", audit), ("KAFKA__PARTITIONS", "4".to_owned())];
        let identities = Identities::with_kafka(&borrowed(&keys(topics.clone()))).await?;
        let config = identities.config()?;
        let database = config.mysql.dsn.expose().rsplit('/').next().context("no database")?;
        let dsn = format!("{}{database}", engine("TRIAD_MYSQL_TLS")?);
        let identities =
            identities.with(&[("MYSQL__DSN", &dsn), ("MYSQL__TLS", &mysql(&engines)?)]);
        let grpc = format!("127.0.0.1:{}", free_port()?);
        let own = vec![
            ("DGRAPH__TLS", ca(&engines)),
            ("SYNC__MODE", "identity".to_owned()),
            ("SYNC__TOPIC", config.kafka.changes_topic.clone()),
            ("EXT_AUTHZ__LISTEN", grpc.clone()),
            ("EXT_AUTHZ__TLS", certificates.listener(true)),
        ];
        let edges = Edges::new(&borrowed(&keys([topics, own].concat()))).await?;
        Ok(Self { certificates, world, identities, edges, grpc })
    }

    fn reach(&self) -> Result<Reach> {
        Ok(Reach::tls(trusting(&self.certificates.authority.certificate())?))
    }

    /// What the variables of a service begin with, and all of them.
    fn of(&self, service: &str) -> (&'static str, &[(String, String)]) {
        match service {
            "ingest" => (ingest::config::ENV_PREFIX, self.world.env()),
            "authz-edge" => (authz_edge::config::ENV_PREFIX, self.edges.env()),
            _ => (identity_admin::config::ENV_PREFIX, self.identities.env()),
        }
    }

    async fn process(&self, service: &'static str) -> Result<Process> {
        let (prefix, env) = self.of(service);
        let outputs = [Stdio::inherit(), Stdio::inherit()];
        Process::spawn(free_ports()?, service, prefix, env, outputs, self.reach()?)?.started().await
    }

    /// Starts them, and waits until they are ready.
    async fn start(&self) -> Result<Trio> {
        Ok(Trio {
            ingest: self.process("ingest").await?,
            identity: Service::of(self.process("identity-admin").await?),
            edge: Edge::of(self.process("authz-edge").await?),
        })
    }

    /// The certificate of the gRPC listener, to whoever has one.
    fn grpc(&self) -> Result<Vec<u8>> {
        let Certificates { authority, client, .. } = &self.certificates;
        shown_by_grpc(&self.grpc, &authority.certificate(), Some(client))
    }
}

/// The three services, running.
struct Trio {
    ingest: Process,
    identity: Service,
    edge: Edge,
}

impl Trio {
    /// An address on each of their listeners that speak HTTP.
    fn addresses(&self) -> Vec<String> {
        let all = [&self.ingest, self.identity.process(), self.edge.process()];
        all.iter().flat_map(|process| [process.url("/"), process.admin_url("/livez")]).collect()
    }

    async fn stop(self) -> Result<()> {
        self.edge.stop().await?;
        self.identity.stop().await?;
        self.ingest.stop().await
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "engines with --tls on: tests/run"]
async fn who_trusts_the_authority_is_answered_and_nobody_else() -> Result<()> {
    let settings = Settings::new().await?;
    let trio = settings.start().await?;
    let Trio { ingest, identity, edge } = &trio;
    let t = &settings.edges.tenant("tls");

    // Through MySQL, Kafka and Dgraph.
    identity.tenant(t).await?;
    let anna = json!({"email": "anna@acme.example"});
    let anna = identity.post(&format!("/v1/tenants/{t}/users"), anna).await?.must(201)?;
    let (user, made) = (anna.id()?, anna.header(TOKEN));
    let reader = json!({"permissions": [{"action": "read"}]});
    edge.put(&format!("/v1/tenants/{t}/roles/reader"), &reader).await?;
    let grant = role("user", &user, "reader", &Value::Null);
    let grant = json!({"writes": [{"op": "create", "relationship": grant}]});
    let path = format!("/v1/tenants/{t}/relationships");
    let bound = edge.ask(Method::POST, &path, &[(TOKEN, made)], Some(&grant)).await?;
    ensure!(bound.status == StatusCode::OK, "{} {}", bound.status, bound.body);
    let asked = question(&user, "read", ("document", "d-1"));
    let path = format!("/v1/tenants/{t}/check");
    let checked = edge.ask(Method::POST, &path, &[(TOKEN, &bound.token)], Some(&asked)).await?;
    ensure!(checked.body["decision"] == true, "{} {}", checked.status, checked.body);

    // Through Kafka and Cassandra.
    let path = format!("/v1/tenants/{t}/audit");
    let event = ingest.client.post(ingest.url(&path)).json(&World::event(1, t));
    ensure!(event.send().await?.status() == StatusCode::ACCEPTED);
    until("the event is in the trail, and what the others did", async || {
        let found = ingest.get(&format!("{path}?limit=100")).await?.to_string();
        let is_there = ["document.read", "user.created", "authz.relationship.created"]
            .iter()
            .all(|action| found.contains(*action));
        Ok(if is_there { Ok(()) } else { Err(found) })
    })
    .await?;

    let folder = settings.certificates.folder.path().join("theirs");
    let theirs = Authority::new(&folder, "another authority")?;
    nobody_else_is_answered(&settings, &trio, &theirs).await?;
    trio.stop().await
}

/// Who trusts another authority, shows a certificate of another, or speaks without TLS.
async fn nobody_else_is_answered(
    settings: &Settings,
    trio: &Trio,
    theirs: &Authority,
) -> Result<()> {
    let stranger = trusting(&theirs.certificate())?;
    let plain = reqwest::Client::new();
    let served = settings.certificates.server.der()?;
    let friend = trusting(&settings.certificates.authority.certificate())?;
    for url in trio.addresses() {
        ensure!(shown(&friend, &url).await? == served, "{url}");
        let distrusted = stranger.get(&url).send().await;
        let is_refused = distrusted.as_ref().is_err_and(reqwest::Error::is_connect);
        ensure!(is_refused, "{url}: {distrusted:?}");
        let unencrypted = plain.get(url.replacen("https", "http", 1)).send().await;
        ensure!(unencrypted.is_err(), "{url}: {unencrypted:?}");
    }
    ensure!(settings.grpc()? == served);
    let ours = settings.certificates.authority.certificate();
    ensure!(shown_by_grpc(&settings.grpc, &ours, None).is_err(), "without a certificate");
    let impostor = theirs.issue("client")?;
    let by_impostor = shown_by_grpc(&settings.grpc, &ours, Some(&impostor));
    ensure!(by_impostor.is_err(), "with another authority's");
    let distrusted = shown_by_grpc(&settings.grpc, &theirs.certificate(), None);
    ensure!(distrusted.is_err(), "to a client of another authority");
    Ok(())
}

/// A key that makes a service distrust an engine, or an engine it.
struct Broken {
    service: &'static str,
    key: &'static str,
    value: String,
}

/// What TLS says of a certificate that nobody trusted has signed: rustls, and OpenSSL.
const UNTRUSTED: &[&str] = &["unknownissuer", "certificate verify failed"];

impl Broken {
    /// Starts it: it must not become ready, and must say one of `reasons`.
    async fn is_refused(&self, settings: &Settings, reasons: &[&str]) -> Result<()> {
        let Self { service, key, value } = self;
        let what = format!("{service} with {key} {value}");
        let (prefix, env) = settings.of(service);
        let mut env = env.to_vec();
        env.push((format!("{prefix}TELEMETRY__FILTER"), "warn".to_owned()));
        env.push((format!("{prefix}{key}"), value.clone()));
        let log = settings.certificates.file("broken.log", "")?;
        let file = std::fs::File::create(&log)?;
        let outputs = [file.try_clone()?.into(), file.into()];
        let reach = settings.reach()?;
        let mut process =
            Process::spawn(free_ports()?, self.service, prefix, &env, outputs, reach)?;
        let mut was_ready = false;
        until(&format!("{what} says why it is refused"), async || {
            let ended = process.ended()?;
            let waits = match (ended, process.ready().await) {
                (Some(code), _) => format!("ended with {code}"),
                (None, Ok(Ok(()))) => {
                    was_ready = true;
                    return Ok(Ok(()));
                }
                (None, Ok(Err(waits))) => waits,
                // It does not listen yet.
                (None, Err(error)) => error.to_string(),
            };
            let said = format!("{waits}\n{}", std::fs::read_to_string(&log)?);
            let lower = said.to_lowercase();
            let is_said = reasons.iter().any(|reason| lower.contains(reason));
            Ok(if is_said { Ok(()) } else { Err(said) })
        })
        .await?;
        ensure!(!was_ready, "{what} is ready");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "engines with --tls on: tests/run"]
async fn an_engine_that_is_not_trusted_or_does_not_trust_is_waited_for_and_named() -> Result<()> {
    let settings = Settings::new().await?;
    let certificates = &settings.certificates;
    let folder = certificates.folder.path().join("theirs");
    let theirs = Authority::new(&folder, "another authority")?.certificate();
    let broken = |service, key, value| Broken { service, key, value };
    let password = engine("TRIAD_KAFKA_PASSWORD")?;
    let kafka = certificates.kafka(&theirs, &password)?;
    for broken in [
        broken("ingest", "CASSANDRA__TLS", ca(&theirs)),
        broken("ingest", "KAFKA__PROPERTIES", kafka.clone()),
        broken("authz-edge", "DGRAPH__TLS", ca(&theirs)),
        broken("authz-edge", "KAFKA__PROPERTIES", kafka),
        broken("identity-admin", "MYSQL__TLS", mysql(&theirs)?),
    ] {
        broken.is_refused(&settings, UNTRUSTED).await?;
    }
    let wrong = certificates.kafka(&engines_ca()?, "wrong")?;
    for service in ["ingest", "authz-edge"] {
        let broken = broken(service, "KAFKA__PROPERTIES", wrong.clone());
        broken.is_refused(&settings, &["authentication failed"]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "engines with --tls on: tests/run"]
async fn a_new_certificate_is_served_without_a_restart_and_open_connections_go_on() -> Result<()> {
    let settings = Settings::new().await?;
    let trio = settings.start().await?;
    let authority = &settings.certificates.authority;
    let (addresses, open) = (trio.addresses(), trusting(&authority.certificate())?);
    let before = settings.certificates.server.der()?;
    for url in &addresses {
        ensure!(shown(&open, url).await? == before, "{url}");
    }
    ensure!(settings.grpc()? == before);
    let after = authority.issue("server")?.der()?;
    ensure!(after != before, "a new one");
    until("the new one is served everywhere", async || {
        // What is not asked for long is closed.
        for url in &addresses {
            shown(&open, url).await?;
        }
        for url in &addresses {
            // Connected anew.
            if shown(&trusting(&authority.certificate())?, url).await? != after {
                return Ok(Err(format!("{url} shows the old one")));
            }
        }
        let is_served = settings.grpc()? == after;
        Ok(if is_served { Ok(()) } else { Err("gRPC shows the old one".to_owned()) })
    })
    .await?;
    for url in &addresses {
        ensure!(shown(&open, url).await? == before, "{url}: the connection was not kept");
    }
    trio.stop().await
}
