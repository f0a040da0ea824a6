//! What `deploy/` says, held against the services: it is what Kubernetes understands, and every port, path, argument and
//! configuration in it is one that the service has.
#![allow(clippy::expect_used, reason = "tests")]

mod compose;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, Namespace, PodSpec, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use service_kit::config::{Source, load};

const SERVICES: [&str; 3] = ["ingest", "authz-edge", "identity-admin"];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn documents(file: &str) -> Result<Vec<Value>> {
    let path = deploy().join(file);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    serde_saphyr::from_multiple(&text).with_context(|| file.to_owned())
}

/// What of `given` is not in `kept`: a field that the type does not have.
fn lost(given: &Value, kept: &Value, at: &str) -> Option<String> {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => given.iter().find_map(|(name, value)| {
            let at = format!("{at}.{name}");
            match kept.get(name) {
                Some(kept) => lost(value, kept, &at),
                None => Some(at),
            }
        }),
        (Value::Array(given), Value::Array(kept)) if given.len() == kept.len() => {
            let mut pairs = given.iter().zip(kept).enumerate();
            pairs.find_map(|(n, (given, kept))| lost(given, kept, &format!("{at}[{n}]")))
        }
        // An empty object is a default that need not be said.
        _ if given == kept => None,
        _ => Some(at.to_owned()),
    }
}

/// Of its type, with nothing that the type does not know.
fn typed<T: DeserializeOwned + Serialize>(document: &Value) -> Result<T> {
    let name = format!("{} {}", document["kind"], document["metadata"]["name"]);
    let typed: T = serde_json::from_value(document.clone()).with_context(|| name.clone())?;
    let kept = serde_json::to_value(&typed)?;
    match lost(document, &kept, "") {
        Some(at) => bail!("{name}: Kubernetes has no {at}"),
        None => Ok(typed),
    }
}

/// The documents of a service's file, by kind and name.
fn of(service: &str) -> Result<BTreeMap<(String, String), Value>> {
    let all = documents(&format!("kubernetes/base/{service}.yaml"))?;
    let key = |document: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&document["kind"]), text(&document["metadata"]["name"]))
    };
    let count = all.len();
    let all: BTreeMap<_, _> = all.into_iter().map(|document| (key(&document), document)).collect();
    ensure!(all.len() == count, "{service}: two of one name");
    Ok(all)
}

fn one<T: DeserializeOwned + Serialize>(service: &str, kind: &str, name: &str) -> Result<T> {
    let all = of(service)?;
    let found = all.get(&(kind.to_owned(), name.to_owned()));
    typed(found.with_context(|| format!("no {kind} {name}"))?)
}

fn pod(service: &str) -> Result<PodSpec> {
    let deployment: Deployment = one(service, "Deployment", service)?;
    deployment.spec.and_then(|spec| spec.template.spec).context("no pod")
}

fn container(service: &str) -> Result<Container> {
    pod(service)?.containers.into_iter().next().context("no container")
}

/// What of a configuration the manifests have to agree with.
struct Configured {
    /// By the name of the container's port.
    ports: BTreeMap<&'static str, u16>,
    drain_ms: u64,
    /// Files that it reads.
    files: Vec<PathBuf>,
    /// Of engines and services that it connects to.
    reached: Vec<String>,
}

/// Variables, as the environment has them.
type Env = [(String, String)];

fn loaded<T: DeserializeOwned>(
    service: &str,
    defaults: &str,
    env_prefix: &str,
    env: &Env,
) -> Result<T> {
    let file = deploy().join(format!("config/{service}.yaml"));
    Ok(load(&Source { defaults, file: Some(&file), env_prefix, env: env.to_vec() })?)
}

/// The configuration that a service is started with, as the service itself loads and checks it.
fn configured(service: &str) -> Result<Configured> {
    configured_with(service, &[])
}

/// The same where variables override it.
fn configured_with(service: &str, env: &Env) -> Result<Configured> {
    let files = |auth: &service_kit::auth::AuthConfig, own: [&Option<PathBuf>; 2]| {
        let all = [&auth.introspection_key_file, own[0], own[1]];
        all.into_iter().flatten().cloned().collect()
    };
    Ok(match service {
        "ingest" => {
            let config: ingest::Config =
                loaded(service, ingest::config::DEFAULTS, ingest::config::ENV_PREFIX, env)?;
            config.validate()?;
            Configured {
                ports: [("http", config.http.listen.port()), ("admin", config.admin.listen.port())]
                    .into(),
                drain_ms: config.drain_deadline_ms,
                files: files(
                    &config.auth,
                    [&config.cassandra.password_file, &config.query.cursor_key_file],
                ),
                reached: [config.kafka.brokers, config.cassandra.hosts].concat(),
            }
        }
        "authz-edge" => {
            let config: authz_edge::Config =
                loaded(service, authz_edge::config::DEFAULTS, authz_edge::config::ENV_PREFIX, env)?;
            config.validate()?;
            let grpc = config.ext_authz.listen.context("nothing for Envoy")?.port();
            Configured {
                ports: [
                    ("http", config.http.listen.port()),
                    ("admin", config.admin.listen.port()),
                    ("grpc", grpc),
                ]
                .into(),
                drain_ms: config.drain_deadline_ms,
                files: files(&config.auth, [&None, &None]),
                reached: [config.kafka.brokers.clone(), config.dgraph.alphas()].concat(),
            }
        }
        _ => {
            let config: identity_admin::Config = loaded(
                service,
                identity_admin::config::DEFAULTS,
                identity_admin::config::ENV_PREFIX,
                env,
            )?;
            // Secrets are not there: what the files hold is checked when they are read.
            Configured {
                ports: [("http", config.http.listen.port()), ("admin", config.admin.listen.port())]
                    .into(),
                drain_ms: config.drain_deadline_ms,
                files: files(&config.auth, [&config.mysql.dsn_file, &config.secrets_file]),
                reached: config.kafka.brokers,
            }
        }
    })
}

#[test]
fn every_document_is_of_its_type_and_says_nothing_that_kubernetes_does_not_know() -> Result<()> {
    for service in SERVICES {
        for ((kind, _), document) in of(service)? {
            match kind.as_str() {
                "Deployment" => drop(typed::<Deployment>(&document)?),
                "Service" => drop(typed::<Service>(&document)?),
                "ServiceAccount" => drop(typed::<ServiceAccount>(&document)?),
                "PodDisruptionBudget" => drop(typed::<PodDisruptionBudget>(&document)?),
                "HorizontalPodAutoscaler" => drop(typed::<HorizontalPodAutoscaler>(&document)?),
                "NetworkPolicy" => drop(typed::<NetworkPolicy>(&document)?),
                other => bail!("{service}: what is {other}?"),
            }
        }
    }
    for document in documents("kubernetes/jobs/jobs.yaml")? {
        typed::<Job>(&document)?;
    }
    for document in documents("kubernetes/base/namespace.yaml")? {
        typed::<Namespace>(&document)?;
    }
    let wrong: Value = serde_json::from_str(r#"{"metadata": {"nmae": "x"}}"#)?;
    ensure!(typed::<Namespace>(&wrong).is_err(), "a field that nobody knows");
    Ok(())
}

#[test]
fn every_kustomization_names_what_is_there() -> Result<()> {
    for folder in ["config", "kubernetes/base", "kubernetes/jobs"] {
        let root = deploy().join(folder);
        let all = documents(&format!("{folder}/kustomization.yaml"))?;
        let list = |of: &Value| of.as_array().cloned().unwrap_or_default();
        let generated = list(&all[0]["configMapGenerator"]);
        let files = generated.iter().flat_map(|generator| list(&generator["files"]));
        for named in list(&all[0]["resources"]).into_iter().chain(files) {
            let path = root.join(named.as_str().context("no text")?);
            ensure!(path.exists(), "{folder}: there is no {}", path.display());
        }
    }
    Ok(())
}

#[test]
fn ports_probes_and_files_are_those_that_the_service_is_configured_with() -> Result<()> {
    for service in SERVICES {
        let (container, configured) = (container(service)?, configured(service)?);
        let ports = container.ports.unwrap_or_default();
        let ports: BTreeMap<_, _> = ports
            .iter()
            .map(|port| (port.name.as_deref().unwrap_or_default(), port.container_port))
            .collect();
        let wanted: BTreeMap<_, _> =
            configured.ports.iter().map(|(name, port)| (*name, i32::from(*port))).collect();
        ensure!(ports == wanted, "{service} listens at {wanted:?}, not {ports:?}");
        for (probe, path) in
            [(container.liveness_probe, "/livez"), (container.readiness_probe, "/readyz")]
        {
            let asked = probe.and_then(|probe| probe.http_get).context("no probe")?;
            ensure!(asked.port == IntOrString::String("admin".to_owned()), "{service}: {asked:?}");
            ensure!(asked.path.as_deref() == Some(path), "{service}: {asked:?}");
        }
        let mounts = container.volume_mounts.unwrap_or_default();
        let args = container.args.unwrap_or_default();
        let file = format!("/etc/triad/config/{service}.yaml");
        ensure!(args == ["--config", &file, "serve"], "{service}: {args:?}");
        for file in configured.files.iter().map(PathBuf::as_path).chain([Path::new(&file)]) {
            let is_mounted = mounts.iter().any(|mount| file.starts_with(&mount.mount_path));
            ensure!(is_mounted, "{service} reads {}, and nothing is mounted there", file.display());
        }
        for (of, name) in [("http", service.to_owned()), ("admin", format!("{service}-admin"))] {
            let open: Service = one(service, "Service", &name)?;
            let ports = open.spec.and_then(|spec| spec.ports).unwrap_or_default();
            let found =
                ports.iter().find(|port| port.name.as_deref() == Some(of)).context("no port")?;
            ensure!(found.port == wanted[of], "{name}: {}", found.port);
            ensure!(
                found.target_port == Some(IntOrString::String(of.to_owned())),
                "{name}: {found:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_replica_has_the_time_that_its_drain_takes() -> Result<()> {
    for service in SERVICES {
        let (pod, container, configured) =
            (pod(service)?, container(service)?, configured(service)?);
        let pause = container
            .lifecycle
            .and_then(|of| of.pre_stop)
            .and_then(|of| of.sleep)
            .context("no pause")?;
        let grace = pod.termination_grace_period_seconds.context("no grace")?;
        // What is aborted at the deadline ends at once; some seconds more for all else.
        let needed = pause.seconds + i64::try_from(configured.drain_ms.div_ceil(1000))? + 5;
        ensure!(grace >= needed, "{service}: {grace} s, and it may take {needed}");
    }
    Ok(())
}

#[test]
fn what_a_service_connects_to_is_what_its_network_policy_lets_it() -> Result<()> {
    for service in SERVICES {
        let policy: NetworkPolicy = one(service, "NetworkPolicy", service)?;
        let rules = policy.spec.and_then(|spec| spec.egress).unwrap_or_default();
        let ports = rules.into_iter().flat_map(|rule| rule.ports.unwrap_or_default());
        let open: Vec<_> = ports.filter_map(|port| port.port).collect();
        for address in configured(service)?.reached {
            let port: i32 = address.rsplit(':').next().context("no port")?.parse()?;
            ensure!(open.contains(&IntOrString::Int(port)), "{service} cannot reach {address}");
        }
        ensure!(
            open.contains(&IntOrString::Int(8101)),
            "{service} asks identity-admin about API keys"
        );
    }
    Ok(())
}

#[test]
fn nobody_runs_as_root_writes_its_image_or_has_a_token_of_the_cluster() -> Result<()> {
    let jobs = documents("kubernetes/jobs/jobs.yaml")?;
    let jobs = jobs.iter().map(|document| {
        let job = typed::<Job>(document)?;
        job.spec.and_then(|spec| spec.template.spec).context("no pod")
    });
    for pod in SERVICES.into_iter().map(pod).chain(jobs) {
        let pod = pod?;
        let context = pod.security_context.context("no context")?;
        ensure!(context.run_as_non_root == Some(true) && context.run_as_user == Some(65532));
        ensure!(pod.automount_service_account_token == Some(false));
        for container in pod.containers {
            let own = container.security_context.context("no context")?;
            ensure!(own.read_only_root_filesystem == Some(true), "{}", container.name);
            ensure!(own.allow_privilege_escalation == Some(false), "{}", container.name);
            let dropped = own.capabilities.and_then(|of| of.drop).unwrap_or_default();
            ensure!(dropped == ["ALL"], "{}", container.name);
            let limits = container.resources.and_then(|of| of.limits).unwrap_or_default();
            ensure!(limits.contains_key("memory"), "{}", container.name);
        }
    }
    Ok(())
}

#[test]
fn replicas_of_ingest_share_a_cursor_key_and_are_no_more_than_kafka_has_partitions_for()
-> Result<()> {
    let scaled: HorizontalPodAutoscaler = one("ingest", "HorizontalPodAutoscaler", "ingest")?;
    let config: ingest::Config =
        loaded("ingest", ingest::config::DEFAULTS, ingest::config::ENV_PREFIX, &[])?;
    ensure!(config.query.cursor_key_file.is_some(), "a cursor holds at every replica");
    let most = scaled.spec.context("no spec")?.max_replicas;
    ensure!(
        most <= config.kafka.partitions,
        "{most} replicas, {} partitions",
        config.kafka.partitions
    );
    Ok(())
}

/// Arguments of jobs are commands that the programs have: each prints its help for them.
#[test]
fn every_job_is_a_command_of_its_program() -> Result<()> {
    let mut found = Vec::new();
    for document in documents("kubernetes/jobs/jobs.yaml")? {
        let job = typed::<Job>(&document)?;
        let pod = job.spec.and_then(|spec| spec.template.spec).context("no pod")?;
        let container = &pod.containers[0];
        let program = container
            .image
            .as_deref()
            .and_then(|image| image.strip_prefix("triad/"))
            .context("whose")?;
        let args = container.args.clone().unwrap_or_default();
        let output = std::process::Command::new(tests::bed::binary(program)?)
            .args(&args[2..])
            .arg("--help")
            .output()?;
        ensure!(
            output.status.success(),
            "{program} {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        ensure!(
            args[..2] == ["--config".to_owned(), format!("/etc/triad/config/{program}.yaml")],
            "{args:?}"
        );
        found.push(format!("{program} {}", args[2..].join(" ")));
    }
    let wanted = [
        "identity-admin migrate",
        "identity-admin topics apply",
        "ingest schema apply",
        "ingest topics apply",
        "authz-edge schema apply",
        "authz-edge topics apply",
    ];
    ensure!(found == wanted, "{found:?}");
    Ok(())
}
