//! Keycloak and `identity-admin` create users and grant tokens, in turns, on one MySQL.

mod keycloak;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper::header::HeaderValue;

use super::figure::{Figure, Rounds};
use super::peer::{install, version};
use super::section::{Section, notes};
use super::words;
use crate::bench::drive::{Driven, Pace, drive, status};
use crate::bench::identity::bed::{Admin, Bed, create};
use crate::bench::identity::goals::{CREATE_TIMES, GRANT_TIMES};
use crate::bench::identity::tokens::{clients, grant};
use crate::bench::identity::{TENANTS, tenant};
use crate::cli::CompareArgs;
use crate::progress::say;
use crate::stop::Stop;
use crate::system;
use keycloak::Keycloak;

/// Creations at once.
const CREATIONS: u16 = 16;
/// Grants at once.
const GRANTS: [u16; 3] = [16, 64, 256];
/// Of each kind of request, before anything counts: a JVM is slow at first.
const WARM_UP: Duration = Duration::from_secs(20);
const PEER: &str = "Keycloak";

/// Compares them.
///
/// # Errors
/// An answer that is no success, and what keeps it from being measured.
pub(super) async fn identity(args: &CompareArgs, stop: &Stop) -> anyhow::Result<Section> {
    let folder = install("keycloak").await?;
    let mut bed = Bed::new(&args.identity(CREATIONS), stop)?;
    let place = Box::pin(bed.place()).await?;
    let keycloak = Keycloak::start(&folder, &place.own, stop).await?;
    let theirs = keycloak.prepare().await?;
    say("warming Keycloak up");
    let warm = WARM_UP.min(3 * args.span());
    creations(&keycloak, warm).await?;
    grants(&keycloak, &theirs, CREATIONS, warm).await?;
    let mut rounds = Rounds::default();
    let admin = Box::pin(bed.admin()).await?;
    let ours = clients(&admin).await?;
    admin.stop().await?;
    for round in 1..=args.rounds {
        stop.check()?;
        let admin = Box::pin(bed.admin()).await?;
        Box::pin(own(&admin, &ours, args.span(), &mut rounds)).await?;
        // What it wrote is on Kafka then, and nothing runs beside Keycloak.
        admin.stop().await?;
        Box::pin(peer(&keycloak, &theirs, args.span(), &mut rounds)).await?;
        say(&format!("round {round} of {} is over", args.rounds));
    }
    keycloak.peer.stop().await?;
    bed.down().await?;
    section(args, &rounds, &version(&folder))
}

/// A turn of `identity-admin`.
async fn own(
    admin: &Admin,
    clients: &Arc<Vec<String>>,
    span: Duration,
    rounds: &mut Rounds,
) -> anyhow::Result<()> {
    let cpu = || system::cpu_time(admin.pid());
    let before = cpu()?;
    let endpoint = admin.endpoint.clone();
    let make = move |number: u64| {
        let email = format!("{}@compare.example", uuid::Uuid::new_v4());
        create(&endpoint, &tenant(number % TENANTS), &email)
    };
    let made = drive(&admin.endpoint, pace(CREATIONS, span), make, status(201)).await?;
    note(rounds, "own", "create", &made, cpu()?.saturating_sub(before));
    for connections in GRANTS {
        let before = cpu()?;
        let (endpoint, clients) = (admin.endpoint.clone(), Arc::clone(clients));
        let make = move |number: u64| grant(&endpoint, one(&clients, number));
        let made = drive(&admin.endpoint, pace(connections, span), make, status(200)).await?;
        let used = cpu()?.saturating_sub(before);
        note(rounds, "own", &format!("grant {connections}"), &made, used);
    }
    rounds.note("own rss", system::memory(admin.pid())?.rss_kib as f64 / 1024.0);
    Ok(())
}

/// A turn of Keycloak.
async fn peer(
    keycloak: &Keycloak,
    clients: &Arc<Vec<String>>,
    span: Duration,
    rounds: &mut Rounds,
) -> anyhow::Result<()> {
    let before = keycloak.peer.cpu()?;
    let made = creations(keycloak, span).await?;
    note(rounds, "peer", "create", &made, keycloak.peer.cpu()?.saturating_sub(before));
    for connections in GRANTS {
        let before = keycloak.peer.cpu()?;
        let made = grants(keycloak, clients, connections, span).await?;
        let used = keycloak.peer.cpu()?.saturating_sub(before);
        note(rounds, "peer", &format!("grant {connections}"), &made, used);
    }
    rounds.note("peer rss", keycloak.peer.memory()?.rss_kib as f64 / 1024.0);
    Ok(())
}

async fn creations(keycloak: &Keycloak, span: Duration) -> anyhow::Result<Driven> {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", keycloak.token().await?))?;
    bearer.set_sensitive(true);
    let endpoint = keycloak.endpoint.clone();
    let make = move |_: u64| keycloak::create(&endpoint, &bearer);
    let made = drive(&keycloak.endpoint, pace(CREATIONS, span), make, status(201)).await;
    made.context("creations by Keycloak")
}

async fn grants(
    keycloak: &Keycloak,
    clients: &Arc<Vec<String>>,
    connections: u16,
    span: Duration,
) -> anyhow::Result<Driven> {
    let (endpoint, clients) = (keycloak.endpoint.clone(), Arc::clone(clients));
    let make = move |number: u64| keycloak::grant(&endpoint, one(&clients, number));
    let made = drive(&keycloak.endpoint, pace(connections, span), make, status(200)).await;
    made.context("grants by Keycloak")
}

fn one(clients: &[String], number: u64) -> &str {
    &clients[number as usize % clients.len()]
}

fn pace(connections: u16, span: Duration) -> Pace {
    Pace { connections: usize::from(connections), span, rate: None }
}

/// Notes rate, p99 and CPU of requests.
fn note(rounds: &mut Rounds, side: &str, what: &str, driven: &Driven, cpu: Duration) {
    let each = cpu.as_secs_f64() * 1e6 / driven.count.max(1) as f64;
    say(&format!("{side}, {what}: {:.0}/s, {each:.0} µs CPU each", driven.per_second));
    rounds.note(&format!("{side} {what} rate"), driven.per_second);
    rounds.note(&format!("{side} {what} p99"), driven.latency.p99_ms);
    rounds.note(&format!("{side} {what} cpu"), each);
}

fn section(args: &CompareArgs, rounds: &Rounds, keycloak: &str) -> anyhow::Result<Section> {
    let mut section = Section::new("Identity: beside Keycloak");
    section.version(PEER, keycloak);
    section.engine("MySQL")?;
    section.settings = notes(words::IDENTITY_SETTINGS);
    section.peer_does = notes(words::IDENTITY_PEER_DOES);
    section.commands = vec![
        format!("loadtest compare identity --rounds {} --seconds {}", args.rounds, args.seconds),
        "loadtest/peers/install keycloak".to_owned(),
        "KC_DB=mysql KC_CACHE=local kc.sh build".to_owned(),
        "KC_DB=mysql KC_DB_URL=jdbc:mysql://127.0.0.1:PORT/keycloak?sslMode=DISABLED KC_CACHE=local \
         KC_HTTP_ENABLED=true KC_HTTP_HOST=127.0.0.1 KC_HOSTNAME=http://127.0.0.1:PORT KC_LOG_LEVEL=warn \
         kc.sh start --optimized"
            .to_owned(),
    ];
    let of = |side: &str, name: &str| rounds.of(&format!("{side} {name}"));
    let grants = GRANTS.map(|connections| {
        let what = format!("client_credentials grants, {connections} clients");
        (format!("grant {connections}"), format!("grants_{connections}"), what, GRANT_TIMES)
    });
    let created = format!("users created, {CREATIONS} clients");
    let creations = ("create".to_owned(), "creates".to_owned(), created, CREATE_TIMES);
    for (name, id, what, times) in std::iter::once(creations).chain(grants) {
        let values = |field: &str| {
            (of("own", &format!("{name} {field}")), of("peer", &format!("{name} {field}")))
        };
        let (ours, theirs) = values("rate");
        let rate = Figure::more(&format!("identity.{id}_per_second"), "1/s", &what, ours);
        section.figures.push(rate.peer(PEER, theirs).goal(PEER, times));
        let (ours, theirs) = values("p99");
        let slowest = format!("p99 of {what}");
        let p99 = Figure::less(&format!("identity.{id}_p99_ms"), "ms", &slowest, ours);
        section.figures.push(p99.peer(PEER, theirs));
        let (ours, theirs) = values("cpu");
        let each = format!("CPU of the server for one of {what}");
        let cpu = Figure::less(&format!("identity.{id}_cpu_us"), "µs", &each, ours);
        section.figures.push(cpu.peer(PEER, theirs));
    }
    let rss = Figure::less("identity.rss_mib", "MiB", "resident memory", of("own", "rss"));
    section.figures.push(rss.peer(PEER, of("peer", "rss")));
    Ok(section)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creations_and_grants_have_their_goals() {
        let mut rounds = Rounds::default();
        for (side, value) in [("own", 600.0), ("peer", 100.0)] {
            for what in ["create", "grant 16", "grant 64", "grant 256"] {
                for field in ["rate", "p99", "cpu"] {
                    rounds.note(&format!("{side} {what} {field}"), value);
                }
            }
            rounds.note(&format!("{side} rss"), value);
        }
        let section = section(&CompareArgs::example(&[]), &rounds, "26.4.7").unwrap();
        assert_eq!(section.figures.len(), 13);
        let goals: Vec<_> =
            section.figures.iter().filter_map(|figure| figure.goals.get(PEER)).collect();
        assert_eq!(goals, [&4.5, &15.0, &15.0, &15.0]);
        assert!(section.figures.iter().all(|figure| figure.ratios().len() == 1));
        assert_eq!(section.figures[0].ratios()[0].1, 6.0);
    }
}
