//! `deploy/compose`, which no container engine has seen here: what it names is there, and what it says of the programs is what
//! they are configured with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use crate::{Configured, SERVICES, configured_with, deploy, documents};

fn folder() -> PathBuf {
    deploy().join("compose")
}

fn compose() -> Result<Value> {
    documents("compose/compose.yaml")?.pop().context("no document")
}

fn map(of: &Value) -> Result<&Map<String, Value>> {
    of.as_object().with_context(|| format!("no map: {of}"))
}

fn list(of: &Value) -> impl Iterator<Item = &Value> {
    of.as_array().into_iter().flatten()
}

fn text(of: &Value) -> Result<&str> {
    of.as_str().with_context(|| format!("no text: {of}"))
}

/// Of a list of texts.
fn texts(of: &Value) -> Result<Vec<String>> {
    list(of).map(|one| Ok(text(one)?.to_owned())).collect()
}

/// A service that one of our programs is, by its own name.
struct Program<'a> {
    name: &'a str,
    /// Which program.
    binary: &'a str,
    service: &'a Value,
    /// As it is configured here.
    configured: Configured,
}

impl Program<'_> {
    /// What its command says behind the configuration's file.
    fn arguments(&self) -> Result<Vec<String>> {
        let command = texts(&self.service["command"])?;
        let file = format!("/etc/triad/config/{}.yaml", self.binary);
        let begins = command.get(..2).unwrap_or_default();
        ensure!(begins == ["--config".to_owned(), file], "{}: {command:?}", self.name);
        Ok(command[2..].to_vec())
    }

    fn serves(&self) -> Result<bool> {
        Ok(self.arguments()? == ["serve"])
    }

    /// Paths in its container that something is mounted at.
    fn mounted(&self) -> Result<Vec<PathBuf>> {
        let mut mounted = Vec::new();
        for kind in ["configs", "secrets", "volumes"] {
            for mount in list(&self.service[kind]) {
                let target = match mount {
                    Value::String(short) => short.split(':').nth(1).context("no target")?,
                    long => text(&long["target"])?,
                };
                mounted.push(PathBuf::from(target));
            }
        }
        Ok(mounted)
    }
}

/// All of them, each with the configuration that its file and its variables make.
fn programs(compose: &Value) -> Result<Vec<Program<'_>>> {
    let built =
        map(&compose["services"])?.iter().filter(|(_, service)| service["build"].is_object());
    built
        .map(|(name, service)| {
            let binary = text(&service["build"]["args"]["BINARY"])?;
            ensure!(SERVICES.contains(&binary), "{name} is {binary}");
            let variables = map(&service["environment"])?.iter();
            let env: Result<Vec<_>> =
                variables.map(|(key, value)| Ok((key.clone(), text(value)?.to_owned()))).collect();
            let configured = configured_with(binary, &env?).with_context(|| name.clone())?;
            Ok(Program { name, binary, service, configured })
        })
        .collect()
}

#[test]
fn who_is_waited_for_is_there_and_can_become_what_is_waited_for() -> Result<()> {
    let compose = compose()?;
    let services = map(&compose["services"])?;
    for (name, service) in services {
        let Some(needs) = service["depends_on"].as_object() else { continue };
        for (other, how) in needs {
            let needed = services.get(other).with_context(|| format!("{name}: who is {other}?"))?;
            let fits = match text(&how["condition"])? {
                "service_healthy" => needed["healthcheck"].is_object(),
                "service_completed_successfully" => needed["restart"] == "no",
                "service_started" => needed["restart"] == "unless-stopped",
                _ => false,
            };
            ensure!(fits, "{name} waits for {other}: {how}");
            // Done before, it ends in an error.
            let is_needed = how["required"] != false;
            ensure!(is_needed == (other != "bootstrap"), "{name} waits for {other}: {how}");
        }
    }
    Ok(())
}

#[test]
fn every_image_is_of_a_version_and_engines_are_those_of_the_tests() -> Result<()> {
    let compose = compose()?;
    let mut images = BTreeSet::new();
    for (name, service) in map(&compose["services"])? {
        let image = text(&service["image"])?;
        let (repository, tag) =
            image.rsplit_once(':').with_context(|| format!("{name}: {image}"))?;
        ensure!(!tag.is_empty() && tag != "latest" && !tag.contains('/'), "{name}: {image}");
        if let Some(build) = service["build"].as_object() {
            let binary = text(&build["args"]["BINARY"])?;
            ensure!(repository == format!("triad/{binary}"), "{name}: {image} is {binary}");
            let context = folder().join(text(&build["context"])?);
            ensure!(context.join("Cargo.lock").exists(), "{name}: {}", context.display());
            let file = context.join(text(&build["dockerfile"])?);
            ensure!(file.exists(), "{name}: there is no {}", file.display());
        }
        images.insert(image.to_owned());
    }
    let versions = std::fs::read_to_string(deploy().join("local/lib/common.sh"))?;
    for (engine, image) in
        [("KAFKA", "apache/kafka:"), ("CASSANDRA", "cassandra:"), ("DGRAPH", "dgraph/dgraph:v")]
    {
        let key = format!("readonly {engine}_VERSION=");
        let version = versions.lines().find_map(|line| line.strip_prefix(&key));
        let image = format!("{image}{}", version.with_context(|| format!("no {key}"))?);
        ensure!(images.contains(&image), "tests run on {image}: {images:?}");
    }
    Ok(())
}

#[test]
fn every_file_volume_and_secret_that_is_mounted_is_there() -> Result<()> {
    let compose = compose()?;
    let exists = |file: &str| {
        let path = folder().join(file);
        ensure!(path.exists(), "there is no {}", path.display());
        Ok(())
    };
    for config in map(&compose["configs"])?.values() {
        exists(text(&config["file"])?)?;
    }
    for (name, service) in map(&compose["services"])? {
        for kind in ["configs", "secrets"] {
            for mount in list(&service[kind]) {
                let source = mount.as_str().or(mount["source"].as_str()).context("no source")?;
                ensure!(compose[kind][source].is_object(), "{name}: {kind} have no {source}");
            }
        }
        for mount in list(&service["volumes"]) {
            let short = mount.as_str().and_then(|short| short.split(':').next());
            let source = short.or(mount["source"].as_str()).context("no source")?;
            if source.starts_with('.') {
                exists(source)?;
                ensure!(mount.as_str().is_some_and(|of| of.ends_with(":ro")), "{name}: {mount}");
            } else {
                let is_named = map(&compose["volumes"])?.contains_key(source);
                ensure!(is_named, "{name}: there is no volume {source}");
            }
        }
    }
    for file in ["grafana/datasources.yaml", "grafana/dashboards.yaml", "cassandra.yaml"] {
        ensure!(documents(&format!("compose/{file}"))?.len() == 1, "{file}");
    }
    Ok(())
}

#[test]
fn secrets_are_those_that_its_script_makes_and_are_never_committed() -> Result<()> {
    let compose = compose()?;
    let made = tempfile::tempdir()?;
    let script = || Command::new(folder().join("make-secrets")).arg(made.path()).status();
    ensure!(script()?.success());
    let read =
        |name: &str| Ok::<_, anyhow::Error>(std::fs::read_to_string(made.path().join(name))?);
    let before = read("mysql-dsn")?;
    ensure!(script()?.success());
    ensure!(before == read("mysql-dsn")?, "what is there stays");
    for (name, secret) in map(&compose["secrets"])? {
        ensure!(secret["file"] == format!("./secrets/{name}"), "{name}: {secret}");
        ensure!(!read(name)?.is_empty(), "{name}");
    }
    let password = read("mysql-password")?;
    ensure!(before.starts_with(&format!("triad:{password}@tcp(mysql:3306)/")), "of the same user");
    ensure!(read("cursor-key")?.len() >= 32);
    let ignored = std::fs::read_to_string(deploy().join("../.gitignore"))?;
    ensure!(ignored.lines().any(|line| line == "/deploy/compose/secrets"));
    Ok(())
}

#[test]
fn every_command_is_one_that_its_program_has_and_every_file_that_it_reads_is_mounted() -> Result<()>
{
    let compose = compose()?;
    let (mut once, mut always) = (BTreeSet::new(), BTreeSet::new());
    for program in programs(&compose)? {
        let (name, arguments) = (program.name, program.arguments()?);
        let output = Command::new(tests::bed::binary(program.binary)?)
            .args(&arguments)
            .arg("--help")
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{name} {arguments:?}: {said}");
        let mounted = program.mounted()?;
        let file = PathBuf::from(format!("/etc/triad/config/{}.yaml", program.binary));
        ensure!(mounted.contains(&file), "{name}: its configuration is not mounted");
        if program.serves()? {
            for file in &program.configured.files {
                let is_mounted = mounted.iter().any(|mount| file.starts_with(mount));
                ensure!(is_mounted, "{name} reads {}: {mounted:?}", file.display());
            }
            always.insert(program.binary);
        } else {
            ensure!(program.service["restart"] == "no", "{name} is done once");
            once.insert(format!("{} {}", program.binary, arguments.join(" ")));
        }
    }
    ensure!(always == SERVICES.into(), "{always:?}");
    let wanted = [
        "authz-edge schema apply",
        "authz-edge topics apply",
        "identity-admin bootstrap --out /data",
        "identity-admin migrate",
        "identity-admin topics apply",
        "ingest schema apply",
        "ingest topics apply",
    ];
    ensure!(once == wanted.map(str::to_owned).into(), "{once:?}");
    Ok(())
}

#[test]
fn programs_reach_services_of_the_file_run_as_nobody_and_have_time_to_drain() -> Result<()> {
    let compose = compose()?;
    let services = map(&compose["services"])?;
    for program in programs(&compose)? {
        let Program { name, service, configured, .. } = &program;
        for address in &configured.reached {
            let host = address.rsplit_once(':').context("no port")?.0;
            ensure!(services.contains_key(host), "{name}: where is {address}?");
        }
        ensure!(service["user"] == "65532:65532" && service["read_only"] == true, "{name}");
        ensure!(texts(&service["cap_drop"])? == ["ALL"], "{name}");
        let grace = text(&service["stop_grace_period"])?.strip_suffix('s').context("seconds")?;
        let needed = configured.drain_ms.div_ceil(1000) + 5;
        ensure!(grace.parse::<u64>()? >= needed, "{name}: {grace} s, and it may take {needed}");
    }
    Ok(())
}

#[test]
fn nothing_is_reached_but_by_loopback_and_only_public_listeners_are() -> Result<()> {
    let compose = compose()?;
    let programs = programs(&compose)?;
    for (name, service) in map(&compose["services"])? {
        let mut found = BTreeSet::new();
        for port in texts(&service["ports"])? {
            let parts: Vec<_> = port.split(':').collect();
            ensure!(parts.len() == 3 && parts[0] == "127.0.0.1", "{name}: {port}");
            ensure!(parts[1] == parts[2], "{name}: {port}");
            found.insert(parts[2].parse::<u16>()?);
        }
        let program = programs.iter().find(|program| program.name == name);
        let wanted: BTreeSet<u16> = match program {
            Some(program) if program.serves()? => {
                let open = program.configured.ports.iter().filter(|(of, _)| **of != "admin");
                open.map(|(_, port)| *port).collect()
            }
            _ => match name.as_str() {
                "prometheus" => [9090].into(),
                "grafana" => [3000].into(),
                _ => BTreeSet::new(),
            },
        };
        ensure!(found == wanted, "{name}: {found:?}, not {wanted:?}");
    }
    Ok(())
}

#[test]
fn prometheus_and_the_probe_ask_the_admin_listeners() -> Result<()> {
    let compose = compose()?;
    let asked = documents("compose/prometheus.yaml")?;
    let probe = compose["services"]["ready"]["healthcheck"]["test"].to_string();
    let mut wanted = BTreeSet::new();
    for program in programs(&compose)? {
        if program.serves()? {
            let admin = format!("{}:{}", program.name, program.configured.ports["admin"]);
            ensure!(probe.contains(&format!("http://{admin}/readyz")), "{admin}: {probe}");
            wanted.insert((program.binary.to_owned(), admin));
        }
    }
    let mut found = BTreeSet::new();
    for job in list(&asked[0]["scrape_configs"]) {
        for target in list(&job["static_configs"]).flat_map(|group| list(&group["targets"])) {
            found.insert((text(&job["job_name"])?.to_owned(), text(target)?.to_owned()));
        }
    }
    ensure!(found == wanted, "{found:?}, not {wanted:?}");
    let mounts = compose["services"]["prometheus"]["volumes"].to_string();
    for file in texts(&asked[0]["rule_files"])? {
        ensure!(mounts.contains(&format!(":{file}:ro")), "{file} is not mounted");
    }
    let path = &documents("compose/grafana/dashboards.yaml")?[0]["providers"][0]["options"]["path"];
    let mounts = compose["services"]["grafana"]["volumes"].to_string();
    ensure!(mounts.contains(&format!(":{}:ro", text(path)?)), "no dashboards at {path}");
    ensure!(Path::new(text(path)?).is_absolute());
    Ok(())
}
