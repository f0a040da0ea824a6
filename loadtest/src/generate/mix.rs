//! A counter-based random stream: each event has its own, so that event `i` needs none before it.

/// One stream of SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
/// Generators", OOPSLA 2014): two multiplications a number, and no state to share.
#[derive(Debug, Clone)]
pub struct Mix(u64);

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Mix {
    /// The stream number `index` of the family `key`. Scrambled twice: without it, neighbours would
    /// be one stream shifted by one.
    #[must_use]
    pub fn new(key: u64, index: u64) -> Self {
        Self(scramble(key ^ scramble(index.wrapping_mul(GOLDEN).wrapping_add(GOLDEN))))
    }

    /// The key of a family, from a seed and a name.
    #[must_use]
    pub fn key(seed: u64, name: &str) -> u64 {
        name.bytes().fold(scramble(seed ^ GOLDEN), |key, byte| scramble(key ^ u64::from(byte)))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        scramble(self.0)
    }

    /// A number below `limit`; the bias is below `limit` / 2^32.
    pub fn below(&mut self, limit: u32) -> u32 {
        (((self.bits() >> 32) * u64::from(limit)) >> 32) as u32
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize]
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }
}
