//! What can be done to a trio.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use crate::generate::Mix;
use crate::trio::member::{ENGINES, Engine, Member, REPLICAS, Service};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// kill -9; at the end it is started.
    Kill,
    /// SIGSTOP; at the end it goes on.
    Pause,
    /// SIGTERM to a replica; once it has ended, and not before the end, it is started.
    Restart,
    /// A replica and that engine hear nothing of each other; of a node of Cassandra, it and the other nodes.
    Cut(Engine),
}

/// Something that is done to one or several members, and undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When it begins, in milliseconds since the work began.
    pub at_ms: u64,
    /// How long it lasts.
    pub for_ms: u64,
    /// What.
    pub kind: Kind,
    /// To whom.
    pub members: Vec<Member>,
}

impl Fault {
    /// When it ends.
    #[must_use]
    pub fn until_ms(&self) -> u64 {
        self.at_ms + self.for_ms
    }

    /// About how long it takes until what it was done to works as before.
    #[must_use]
    pub(super) fn rest_ms(&self) -> u64 {
        match (self.kind, self.members.first().and_then(|member| member.engine())) {
            (Kind::Kill, Some(Engine::Cassandra)) => 30_000,
            (Kind::Kill, Some(_)) => 20_000,
            (Kind::Cut(_), Some(_)) => 10_000,
            _ => 5_000,
        }
    }

    /// Whether there is a moment at which both last.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.at_ms < other.until_ms() && other.at_ms < self.until_ms()
    }

    /// Whether both cannot be done at the same time.
    pub(super) fn clashes(&self, other: &Self) -> bool {
        clash(&self.members, &other.members)
    }

    /// For people.
    #[must_use]
    pub fn words(&self) -> String {
        let names: Vec<_> = self.members.iter().map(|member| member.name()).collect();
        let (names, seconds) = (names.join(" and "), self.for_ms as f64 / 1000.0);
        let is_engine = self.members.iter().any(|member| member.engine().is_some());
        match self.kind {
            Kind::Kill => format!("kill {names} for {seconds:.1} s"),
            Kind::Pause => format!("pause {names} for {seconds:.1} s"),
            Kind::Restart => format!("restart {names} within {seconds:.1} s"),
            Kind::Cut(_) if is_engine => format!("cut {names} off for {seconds:.1} s"),
            Kind::Cut(engine) => format!("cut {names} from {} for {seconds:.1} s", engine.name()),
        }
    }

    /// Whether it can be done.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.members.is_empty(), "to nobody");
        for member in &self.members {
            let can = match (self.kind, member.service()) {
                (Kind::Kill | Kind::Pause, _) | (Kind::Restart, Some(_)) => true,
                (Kind::Restart, None) => false,
                (Kind::Cut(engine), Some(service)) => service.engines().contains(&engine),
                (Kind::Cut(engine), None) => {
                    engine == Engine::Cassandra && member.engine() == Some(engine)
                }
            };
            ensure!(can, "not to {}", member.name());
        }
        Ok(())
    }
}

/// A fault without its time, and how often it is drawn, compared with others.
#[derive(Debug, Clone)]
pub(super) struct Outline {
    pub(super) kind: Kind,
    pub(super) members: Vec<Member>,
    pub(super) weight: u32,
}

impl Outline {
    /// How long it lasts this time.
    pub(super) fn lasts(&self, mix: &mut Mix) -> u64 {
        let (least, spread) = match self.kind {
            Kind::Kill => (2_000, 8_000),
            Kind::Pause => (3_000, 17_000),
            Kind::Restart => (2_000, 3_000),
            Kind::Cut(_) => (5_000, 15_000),
        };
        least + u64::from(mix.below(spread))
    }

    pub(super) fn fault(&self, at_ms: u64, for_ms: u64) -> Fault {
        Fault { at_ms, for_ms, kind: self.kind, members: self.members.clone() }
    }

    /// Whether it cannot be done beside that fault.
    pub(super) fn clashes(&self, fault: &Fault) -> bool {
        clash(&self.members, &fault.members)
    }
}

/// A replica has one fault at a time, and so has an engine: its other processes may be needed to start one.
fn clash(one: &[Member], other: &[Member]) -> bool {
    let same = |a: Member, b: Member| {
        a == b || a.engine().is_some_and(|engine| b.engine() == Some(engine))
    };
    one.iter().any(|a| other.iter().any(|b| same(*a, *b)))
}

/// Everything that is done. Plans depend on its order.
pub(super) fn catalogue() -> Vec<Outline> {
    let mut all = Vec::new();
    let mut add = |kind, members: &[Member], weight| {
        all.push(Outline { kind, members: members.to_vec(), weight });
    };
    for replica in REPLICAS {
        for kind in [Kind::Kill, Kind::Pause, Kind::Restart] {
            add(kind, &[replica], 3);
        }
    }
    for pair in REPLICAS.chunks(2) {
        add(Kind::Kill, pair, 1);
        add(Kind::Pause, pair, 1);
    }
    for engine in ENGINES {
        let weight = if engine.engine() == Some(Engine::Cassandra) { 2 } else { 3 };
        add(Kind::Kill, &[engine], weight);
        add(Kind::Pause, &[engine], weight);
    }
    let [one, two, three] = [Member::Cassandra1, Member::Cassandra2, Member::Cassandra3];
    // Two of three: there is no quorum.
    for pair in [[one, two], [one, three], [two, three]] {
        add(Kind::Kill, &pair, 1);
        add(Kind::Pause, &pair, 1);
    }
    for node in [one, two, three] {
        add(Kind::Cut(Engine::Cassandra), &[node], 1);
    }
    for replica in REPLICAS {
        for engine in replica.service().map(Service::engines).into_iter().flatten() {
            add(Kind::Cut(engine), &[replica], 2);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_the_catalogue_can_be_done() {
        for outline in catalogue() {
            outline.fault(0, 2000).check().unwrap();
        }
        assert_eq!(catalogue().len(), 59);
    }

    #[test]
    fn faults_are_written_briefly() {
        let cut = Kind::Cut(Engine::Kafka);
        let fault = Fault { at_ms: 1, for_ms: 2500, kind: cut, members: vec![Member::Edge1] };
        let text = r#"{"at_ms":1,"for_ms":2500,"kind":{"cut":"kafka"},"members":["edge-1"]}"#;
        assert_eq!(serde_json::to_string(&fault).unwrap(), text);
        assert_eq!(fault.words(), "cut edge-1 from kafka for 2.5 s");
        let kill = Fault { kind: Kind::Kill, ..fault };
        assert!(serde_json::to_string(&kill).unwrap().contains(r#""kind":"kill""#));
    }
}
