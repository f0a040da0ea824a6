//! Deterministic, realistic audit events: event `i` of a run is a function of the run and `i`.
//!
//! JSON is written by hand into one buffer, because a generator that costs as much as the pipeline
//! would be what is measured.

mod fields;
mod mix;
pub mod poison;
pub(crate) mod text;
pub(crate) mod zipf;

pub use mix::Mix;

use poison::{Kind, Rule};
use zipf::Alias;

use crate::run::Run;

/// Writes the events of one run.
#[derive(Debug, Clone)]
pub struct Generator {
    run: Run,
    key: u64,
    tenants: Tenants,
}

/// Draws tenants, by rank, as the run's traffic is spread over them.
#[derive(Debug, Clone)]
pub struct Tenants(Alias);

impl Tenants {
    /// Those of `run`.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        Self(Alias::zipf(run.tenants, run.exponent, run.hot))
    }

    /// One of them.
    pub fn sample(&self, mix: &mut Mix) -> u32 {
        self.0.sample(mix)
    }

    /// What share of the traffic each has, by rank.
    #[must_use]
    pub fn shares(run: &Run) -> Vec<f64> {
        zipf::shares(run.tenants, run.exponent, run.hot)
    }
}

/// A record to publish.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The Kafka key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

impl Generator {
    /// A generator of the events of `run`.
    #[must_use]
    pub fn new(run: &Run) -> Self {
        Self { key: Mix::key(run.seed, &run.id), run: run.clone(), tenants: Tenants::of(run) }
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Replaces `out` by record `index`: a good event, or what the run injects there instead.
    pub fn record(&self, index: u64, out: &mut Draft) {
        out.value.clear();
        let tenant = match self.run.kind(index) {
            Kind::Good => self.event(index, &mut out.value),
            Kind::Poison(rule) => {
                let tenant = self.event(index, &mut out.value);
                rule.spoil(index, &mut out.value);
                tenant
            }
            Kind::Oversized => {
                let tenant = self.event(index, &mut out.value);
                poison::oversize(self.run.oversized_bytes, &mut out.value);
                tenant
            }
        };
        out.key.clear();
        if self.run.random_keys {
            text::hex::<16>(Mix::new(!self.key, index).bits(), &mut out.key);
        } else {
            tenant_name(tenant, &mut out.key);
        }
    }

    /// The rank of the tenant of event `index`. Some nanoseconds.
    #[must_use]
    pub fn tenant(&self, index: u64) -> u32 {
        self.tenants.sample(&mut Mix::new(self.key, index))
    }

    /// Appends the good event `index` and returns the rank of its tenant. About 0.5 µs.
    pub fn event(&self, index: u64, out: &mut Vec<u8>) -> u32 {
        let mut mix = Mix::new(self.key, index);
        let tenant = self.tenants.sample(&mut mix);
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(self.run.id.as_bytes());
        out.push(b'-');
        text::decimal(index, out);
        out.extend_from_slice(b"\",\"tenant_id\":\"");
        tenant_name(tenant, out);
        out.extend_from_slice(b"\",\"event_time\":\"");
        text::time(self.run.time(index), out);
        out.push(b'"');
        fields::actor(tenant, &mut mix, out);
        fields::action(tenant, &mut mix, out);
        fields::status_and_address(&mut mix, out);
        fields::details(&mut mix, out);
        tenant
    }

    /// The rules that this run's records break, with how many break each.
    #[must_use]
    pub fn expected_dead_letters(&self) -> std::collections::BTreeMap<&'static str, u64> {
        let mut counts = std::collections::BTreeMap::new();
        for index in 0..self.run.events {
            let reason = match self.run.kind(index) {
                Kind::Good => continue,
                Kind::Poison(rule) => Rule::reason(rule),
                Kind::Oversized => self.run.oversized_reason(),
            };
            *counts.entry(reason.code()).or_default() += 1;
        }
        counts
    }
}

/// Appends the id of the tenant of that rank.
pub fn tenant_name(rank: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"acme-");
    text::fixed::<4>(u64::from(rank), out);
}

/// The index in a producer's id of the run `id`: what follows the run's name.
#[must_use]
pub fn index_of(run_id: &str, source_id: &[u8]) -> Option<u64> {
    let rest = source_id.strip_prefix(run_id.as_bytes())?.strip_prefix(b"-")?;
    let digits = std::str::from_utf8(rest).ok()?;
    // One spelling only: "+7" and "007" are nobody's index.
    let canonical =
        digits == "0" || (digits.as_bytes().first()?.is_ascii_digit() && !digits.starts_with('0'));
    digits.parse().ok().filter(|_| canonical)
}

#[cfg(test)]
mod tests {
    use ingest::event::{Limits, decode};

    use super::*;

    const LIMITS: Limits = Limits { max_record_bytes: 65_536, max_fields: 64, max_depth: 16 };

    #[test]
    fn every_event_is_accepted_and_made_the_same_again() {
        let run = Run::example(20_000);
        let (one, two) = (Generator::new(&run), Generator::new(&run));
        let (mut bytes, mut again, mut total) = (Vec::new(), Vec::new(), 0);
        for index in 0..run.events {
            bytes.clear();
            again.clear();
            one.event(index, &mut bytes);
            two.event(index, &mut again);
            assert_eq!(bytes, again);
            let tenant = one.tenant(index);
            let event = decode(&bytes, &LIMITS)
                .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&bytes)));
            assert_eq!(
                event.id.as_deref().and_then(|id| index_of(&run.id, id.as_bytes())),
                Some(index)
            );
            assert_eq!(event.time.map(|t| t.raw().cast_unsigned()), Some(run.time(index)));
            let mut name = Vec::new();
            tenant_name(tenant, &mut name);
            assert_eq!(event.tenant.as_bytes(), name);
            total += bytes.len();
        }
        let average = total as u64 / run.events;
        assert!((375..=415).contains(&average), "{average} bytes on average");
    }

    #[test]
    fn another_run_or_seed_has_other_events() {
        let run = Run::example(1);
        let text = |run: &Run| {
            let mut bytes = Vec::new();
            Generator::new(run).event(7, &mut bytes);
            bytes
        };
        assert_ne!(text(&run), text(&Run { seed: run.seed + 1, ..run.clone() }));
        assert_ne!(text(&run), text(&Run { id: "other".to_owned(), ..run }));
    }

    #[test]
    fn an_index_is_read_back_from_one_spelling_only() {
        assert_eq!(index_of("r1", b"r1-0"), Some(0));
        assert_eq!(index_of("r1", b"r1-120"), Some(120));
        for strange in ["r1-", "r1-007", "r1-+7", "r10-7", "r2-7", "r1-7x"] {
            assert_eq!(index_of("r1", strange.as_bytes()), None, "{strange}");
        }
    }

    #[test]
    fn keys_are_the_tenant_or_random_as_the_run_says() {
        let run = Run::example(4);
        let mut draft = Draft::default();
        Generator::new(&run).record(1, &mut draft);
        let tenant = decode(&draft.value, &LIMITS).unwrap().tenant.into_owned();
        assert_eq!(draft.key, tenant.as_bytes());
        Generator::new(&Run { random_keys: true, ..run }).record(1, &mut draft);
        assert_eq!(draft.key.len(), 16);
    }
}
