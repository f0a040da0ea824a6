//! Which tenant an event is of, or who is asked about: few have most of the traffic.

use super::mix::Mix;

/// A fixed discrete distribution, sampled in constant time: Vose's alias method ("A Linear Algorithm
/// for Generating Random Numbers with a Given Distribution", IEEE TSE 17(9), 1991).
#[derive(Debug, Clone)]
pub(crate) struct Alias {
    /// For each place: keep it below this of 2^32, else take its alias.
    places: Vec<(u32, u32)>,
}

impl Alias {
    /// Of relative `weights`, which must not be empty, all finite and positive in sum.
    #[must_use]
    pub(super) fn new(weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let count = weights.len() as f64;
        let mut scaled: Vec<f64> = weights.iter().map(|weight| weight / total * count).collect();
        let mut places: Vec<(u32, u32)> =
            (0..weights.len() as u32).map(|i| (u32::MAX, i)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..weights.len()).partition(|i| scaled[*i] < 1.0);
        while let (Some(low), Some(high)) = (small.pop(), large.last().copied()) {
            #[allow(clippy::cast_sign_loss, reason = "shares are not negative")]
            let share = (scaled[low] * f64::from(u32::MAX)) as u32;
            places[low] = (share, high as u32);
            scaled[high] -= 1.0 - scaled[low];
            if scaled[high] < 1.0 {
                large.pop();
                small.push(high);
            }
        }
        Self { places }
    }

    /// Zipf over `count` ranks; with `hot` above zero, rank 0 has that share and the others the rest.
    #[must_use]
    pub(crate) fn zipf(count: u32, exponent: f64, hot: f64) -> Self {
        Self::new(&shares(count, exponent, hot))
    }

    /// One rank.
    pub(crate) fn sample(&self, mix: &mut Mix) -> u32 {
        let bits = mix.bits();
        let place = (((bits >> 32) * self.places.len() as u64) >> 32) as usize;
        let (keep, alias) = self.places[place];
        if (bits as u32) <= keep { place as u32 } else { alias }
    }
}

/// The shares of [`Alias::zipf`], by rank; 1 in sum.
#[must_use]
pub(super) fn shares(count: u32, exponent: f64, hot: f64) -> Vec<f64> {
    let mut weights: Vec<f64> =
        (1..=count.max(1)).map(|rank| f64::from(rank).powf(-exponent)).collect();
    if hot > 0.0 && weights.len() > 1 {
        let others: f64 = weights[1..].iter().sum();
        weights[0] = others * hot / (1.0 - hot).max(1e-9);
    }
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(alias: &Alias, ranks: usize) -> Vec<f64> {
        let mut counts = vec![0_u32; ranks];
        for i in 0..200_000 {
            counts[alias.sample(&mut Mix::new(1, i)) as usize] += 1;
        }
        counts.into_iter().map(|count| f64::from(count) / 200_000.0).collect()
    }

    #[test]
    fn ranks_come_as_zipf_says() {
        let harmonic: f64 = (1..=200).map(|rank| 1.0 / f64::from(rank)).sum();
        let shares = found(&Alias::zipf(200, 1.0, 0.0), 200);
        for rank in [0, 1, 9, 30] {
            let expected = 1.0 / (rank as f64 + 1.0) / harmonic;
            assert!((shares[rank] - expected).abs() < 0.1 * expected, "rank {rank}");
        }
    }

    #[test]
    fn a_hot_tenant_has_its_share() {
        let known = super::shares(200, 1.0, 0.9);
        assert!((known[0] - 0.9).abs() < 1e-9 && (known.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let shares = found(&Alias::zipf(200, 1.0, 0.9), 200);
        assert!((shares[0] - 0.9).abs() < 0.01, "{}", shares[0]);
        assert!(shares[1] > shares[50]);
    }

    #[test]
    fn one_tenant_takes_all() {
        assert_eq!(found(&Alias::zipf(1, 1.0, 0.9), 1), [1.0]);
    }
}
