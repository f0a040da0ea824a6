//! W3C Trace Context, level 1 (<https://www.w3.org/TR/trace-context/>): `traceparent` only.

use rand::Rng;
use std::fmt;

/// The header's name.
pub const HEADER: &str = "traceparent";

/// The one flag that level 1 defines: the caller records this trace.
pub const SAMPLED: u8 = 0x01;

/// Where a request stands in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The whole trace; never zero.
    pub trace_id: [u8; 16],
    /// The span that made the request; never zero.
    pub parent_id: [u8; 8],
    /// See [`SAMPLED`].
    pub flags: u8,
}

impl TraceContext {
    /// Reads a header's value. `None` for whatever the specification says to ignore: upper-case
    /// digits, zero ids, version `ff`, a version 00 of another length. A later version is read by
    /// its first four fields, keeping only [`SAMPLED`].
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let (fields, rest) = header.as_bytes().split_at_checked(55)?;
        let dashes = [2, 35, 52].iter().all(|&at| fields[at] == b'-');
        let [version] = decode(&fields[..2])?;
        let tail = rest.is_empty() || (version != 0 && rest[0] == b'-');
        let (trace_id, parent_id) = (decode(&fields[3..35])?, decode(&fields[36..52])?);
        let [flags] = decode(&fields[53..])?;
        let known = version != 0xff && trace_id != [0; 16] && parent_id != [0; 8];
        let flags = if version == 0 { flags } else { flags & SAMPLED };
        (dashes && tail && known).then_some(Self { trace_id, parent_id, flags })
    }

    /// A new span of the same trace. Flags that level 1 does not define are cleared, as it demands.
    #[must_use]
    pub fn child(&self, rng: &mut impl Rng) -> Self {
        Self { parent_id: non_zero(rng), flags: self.flags & SAMPLED, ..*self }
    }

    /// A new trace, not sampled.
    #[must_use]
    pub fn new_root(rng: &mut impl Rng) -> Self {
        Self { trace_id: non_zero(rng), parent_id: non_zero(rng), flags: 0 }
    }

    /// The trace's id as 32 hexadecimal digits, as logs show it.
    #[must_use]
    pub fn trace_id_hex(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.trace_id))
    }
}

/// A `traceparent` of version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace = u128::from_be_bytes(self.trace_id);
        let parent = u64::from_be_bytes(self.parent_id);
        write!(f, "00-{trace:032x}-{parent:016x}-{:02x}", self.flags)
    }
}

fn non_zero<const N: usize>(rng: &mut impl Rng) -> [u8; N] {
    loop {
        let mut id = [0; N];
        rng.fill_bytes(&mut id);
        if id != [0; N] {
            return id;
        }
    }
}

/// `N` bytes from exactly `2 N` lower-case hexadecimal digits.
fn decode<const N: usize>(hex: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    if hex.len() != 2 * N {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::SmallRng};

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seed: u64, flags: u8) {
            let root = TraceContext::new_root(&mut SmallRng::seed_from_u64(seed));
            let context = TraceContext { flags, ..root };
            prop_assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
        }

        #[test]
        fn one_changed_byte_is_refused_or_changes_only_its_field(at in 0..55_usize, byte in 0..128_u8) {
            let mut bytes = VALID.as_bytes().to_vec();
            bytes[at] = byte;
            let header = String::from_utf8(bytes).unwrap();
            match TraceContext::parse(&header) {
                Some(context) if header.starts_with("00") => prop_assert_eq!(context.to_string(), header),
                Some(_) => prop_assert!(at < 2 && !header.starts_with("ff")),
                None => prop_assert_ne!(header, VALID),
            }
        }

        #[test]
        fn arbitrary_text_never_panics(header in ".{0,80}") {
            let _ = TraceContext::parse(&header);
        }

        #[test]
        fn a_child_keeps_the_trace_and_has_a_span_of_its_own(seed: u64) {
            let rng = &mut SmallRng::seed_from_u64(seed);
            let parent = TraceContext::parse(VALID).unwrap();
            let child = parent.child(rng);
            prop_assert_eq!((child.trace_id, child.flags), (parent.trace_id, SAMPLED));
            prop_assert_ne!(child.parent_id, parent.parent_id);
        }
    }

    #[test]
    fn the_edges_of_the_specification_hold() {
        let refuse = |header: &str| assert_eq!(TraceContext::parse(header), None, "{header}");
        refuse("");
        refuse(&VALID.replacen("00", "ff", 1));
        refuse(&VALID.to_uppercase());
        refuse(&format!("{VALID}-more"));
        refuse(&format!("{}x", VALID.replacen("00", "01", 1)));
        refuse("00-00000000000000000000000000000000-00f067aa0ba902b7-01");
        refuse("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01");
        let later = format!("{}3-what-comes", VALID.replacen("00", "cc", 1).trim_end_matches('1'));
        assert_eq!(TraceContext::parse(&later).map(|context| context.flags), Some(SAMPLED));
    }
}
