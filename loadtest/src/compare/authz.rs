//! OpenFGA and SpiceDB, with the pieces of `bench authz`: each turn has engines of its own and the machine for itself.

use anyhow::{Context, ensure};
use serde_json::Value;

use super::figure::{Figure, Rounds};
use super::section::{Note, Section, notes};
use super::words;
use crate::bench::authz::turn::{SPACES, TIMES, Turns};
use crate::cli::CompareArgs;
use crate::deploy;
use crate::progress::say;
use crate::stop::Stop;

/// Checks at once.
const CONNECTIONS: u16 = 64;
/// The name of the server that decides nothing.
const BARE: &str = "bare hyper";

/// Compares them.
///
/// # Errors
/// A wrong answer of anybody, and what keeps it from being measured.
pub(super) async fn authz(args: &CompareArgs, stop: &Stop) -> anyhow::Result<Section> {
    for peer in &args.peers {
        ensure!(matches!(peer.as_str(), "openfga" | "spicedb"), "--peers: '{peer}' is nobody");
    }
    let mut turns = Turns::new(&args.authz(CONNECTIONS), stop)?;
    let mut rounds = Rounds::default();
    for round in 1..=u64::from(args.rounds) {
        let pairs = Box::pin(turns.own(round)).await?;
        for (space, pair) in SPACES.into_iter().zip(&pairs) {
            note(&mut rounds, "Triad", space, pair, ["/edge", "/edge_p99_ms", "/edge_cpu_us"])?;
            note(&mut rounds, BARE, space, pair, ["/bare", "/bare_p99_ms", "/bare_cpu_us"])?;
        }
        for peer in &args.peers {
            let fields = ["/checks_per_second", "/latency/p99_ms", "/server/cpu_us"];
            let lines = Box::pin(turns.peer(peer)).await?;
            for (space, line) in SPACES.into_iter().zip(&lines) {
                note(&mut rounds, title(peer), space, line, fields)?;
                if let Some(shown) = line["shown_share"].as_f64() {
                    rounds.note(&format!("{} {space} shown", title(peer)), shown);
                }
            }
        }
        say(&format!("round {round} of {} is over", args.rounds));
    }
    section(args, &rounds)
}

/// Notes rate, p99 and CPU of a measurement.
fn note(
    rounds: &mut Rounds,
    who: &str,
    space: &str,
    measured: &Value,
    fields: [&str; 3],
) -> anyhow::Result<()> {
    for (what, field) in ["rate", "p99", "cpu"].into_iter().zip(fields) {
        let value = measured.pointer(field).and_then(Value::as_f64);
        let value = value.with_context(|| format!("{who}, {space}: no {field} in {measured}"))?;
        rounds.note(&format!("{who} {space} {what}"), value);
    }
    let rate = rounds.of(&format!("{who} {space} rate"));
    say(&format!("{who}, {space}: {:.0} checks/s", rate.last().copied().unwrap_or(0.0)));
    Ok(())
}

fn title(peer: &str) -> &'static str {
    if peer == "openfga" { "OpenFGA" } else { "SpiceDB" }
}

fn section(args: &CompareArgs, rounds: &Rounds) -> anyhow::Result<Section> {
    let mut section = Section::new("Checks: beside OpenFGA and SpiceDB");
    for peer in &args.peers {
        let module = deploy::workspace()?.join(format!("loadtest/peers/{peer}/go.mod"));
        let module = std::fs::read_to_string(module)?;
        let line = module.lines().find(|line| line.starts_with("require ")).unwrap_or_default();
        section.version(title(peer), line.rsplit_once(" v").map_or("", |(_, version)| version));
    }
    section.engine("Dgraph")?;
    section.settings = notes(words::AUTHZ_SETTINGS);
    for (peer, space) in args.peers.iter().flat_map(|peer| SPACES.map(|space| (peer, space))) {
        let shown = rounds.of(&format!("{} {space} shown", title(peer)));
        let least = shown.into_iter().fold(1.0, f64::min);
        if least < 1.0 {
            let share = 100.0 * least;
            let text =
                format!("its warm-up came to {share:.0} % of what the {space} questions are about");
            section.settings.push(Note { of: title(peer).to_owned(), text });
        }
    }
    section.peer_does = notes(words::AUTHZ_PEER_DOES);
    section.commands = vec![
        format!("loadtest compare authz --rounds {} --seconds {}", args.rounds, args.seconds),
        format!(
            "loadtest/peers/run --keys hot,wide --seconds {} --connections {CONNECTIONS} \
             --users 10000 --resources 5000 --depth 3   # the peers' own commands are in it",
            args.seconds
        ),
    ];
    for (space, times) in SPACES.into_iter().zip(TIMES) {
        let of = |who: &str, what: &str| rounds.of(&format!("{who} {space} {what}"));
        let with = |figure: Figure, what: &str| {
            let peers = args.peers.iter().map(|peer| title(peer));
            peers
                .fold(figure, |figure, peer| figure.peer(peer, of(peer, what)))
                .beside(BARE, of(BARE, what))
        };
        let rate = Figure::more(
            &format!("authz.{space}_rate"),
            "1/s",
            &format!("{space} checks"),
            of("Triad", "rate"),
        );
        let p99 = Figure::less(
            &format!("authz.{space}_p99_ms"),
            "ms",
            &format!("p99 of {space} checks"),
            of("Triad", "p99"),
        );
        let cpu = Figure::less(
            &format!("authz.{space}_cpu_us"),
            "µs",
            &format!("CPU of the server for a {space} check"),
            of("Triad", "cpu"),
        );
        let peers = args.peers.iter().map(|peer| title(peer));
        let rate = peers.fold(with(rate, "rate"), |figure, peer| figure.goal(peer, times));
        section.figures.extend([rate, with(p99, "p99"), with(cpu, "cpu")]);
    }
    Ok(section)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_measurement_s_fields_become_figures_of_its_side() {
        let args = CompareArgs::example(&["--peers", "openfga"]);
        let mut rounds = Rounds::default();
        let pair = json!({"edge": 60_000.0, "edge_p99_ms": 2.0, "edge_cpu_us": 14.0,
            "bare": 80_000.0, "bare_p99_ms": 1.0, "bare_cpu_us": 9.0});
        let line = json!({"checks_per_second": 6000.0, "latency": {"p99_ms": 20.0},
            "server": {"cpu_us": 160.0}});
        for space in SPACES {
            let own = ["/edge", "/edge_p99_ms", "/edge_cpu_us"];
            note(&mut rounds, "Triad", space, &pair, own).unwrap();
            let fields = ["/checks_per_second", "/latency/p99_ms", "/server/cpu_us"];
            note(&mut rounds, "OpenFGA", space, &line, fields).unwrap();
        }
        let section = section(&args, &rounds).unwrap();
        assert_eq!(section.figures.len(), 6);
        let hot = &section.figures[0];
        assert_eq!((hot.ratios()[0].1, hot.goals["OpenFGA"]), (10.0, 10.0));
        assert_eq!(section.figures[3].goals["OpenFGA"], 30.0);
        assert!(!section.versions["OpenFGA"].is_empty());
        assert!(note(&mut rounds, "x", "hot", &json!({}), ["/a", "/b", "/c"]).is_err());
    }
}
