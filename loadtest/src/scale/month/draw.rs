//! Random numbers of the distributions that traffic has.

use crate::generate::Mix;

/// Above this mean a Poisson number is drawn as a normal one: nobody sees the difference.
const MANY: f64 = 30.0;
/// So many are drawn one by one.
const FEW: u64 = 40;

/// Uniform in [0, 1).
pub(super) fn unit(mix: &mut Mix) -> f64 {
    // 53 bits are what a float holds exactly.
    (mix.bits() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Uniform in [low, high).
pub(super) fn between(low: f64, high: f64, mix: &mut Mix) -> f64 {
    low + (high - low) * unit(mix)
}

/// Standard normal (Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958).
pub(super) fn normal(mix: &mut Mix) -> f64 {
    let radius = (-2.0 * (1.0 - unit(mix)).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(mix)).cos()
}

/// How many come that are independent, `mean` on average.
pub(super) fn poisson(mean: f64, mix: &mut Mix) -> u64 {
    if mean <= 0.0 {
        return 0;
    }
    if mean > MANY {
        return whole(mean + mean.sqrt() * normal(mix));
    }
    let (limit, mut product, mut count) = ((-mean).exp(), unit(mix), 0);
    while product > limit {
        product *= unit(mix);
        count += 1;
    }
    count
}

/// How many of `rows` fall into a part that each falls into with probability `share`.
pub(super) fn part(rows: u64, share: f64, mix: &mut Mix) -> u64 {
    if rows == 0 || share >= 1.0 {
        return rows;
    }
    if rows <= FEW {
        return (0..rows).filter(|_| unit(mix) < share).count() as u64;
    }
    let mean = rows as f64 * share;
    if mean <= MANY {
        return poisson(mean, mix).min(rows);
    }
    whole(mean + (mean * (1.0 - share)).sqrt() * normal(mix)).min(rows)
}

/// The nearest whole number that is not negative.
#[allow(clippy::cast_sign_loss, reason = "not negative")]
fn whole(number: f64) -> u64 {
    number.max(0.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(draw: impl Fn(&mut Mix) -> f64) -> (f64, f64) {
        let values: Vec<f64> = (0..20_000).map(|i| draw(&mut Mix::new(7, i))).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        (mean, variance)
    }

    #[test]
    fn numbers_have_the_moments_of_their_distributions() {
        let near = |found: f64, expected: f64| {
            assert!((found - expected).abs() < 0.05 * expected.max(1.0), "{found} {expected}");
        };
        let (mean, variance) = moments(normal);
        near(mean, 0.0);
        near(variance, 1.0);
        for mean in [0.3, 12.0, 400.0] {
            let (found, variance) = moments(|mix| poisson(mean, mix) as f64);
            near(found, mean);
            near(variance, mean);
        }
        let (mean, variance) = moments(|mix| part(1000, 0.25, mix) as f64);
        near(mean, 250.0);
        near(variance, 187.5);
    }

    #[test]
    fn a_part_is_no_more_than_the_whole() {
        for i in 0..1000 {
            assert!(part(3, 0.9, &mut Mix::new(1, i)) <= 3);
        }
        assert_eq!(part(9, 1.0, &mut Mix::new(1, 1)), 9);
        assert_eq!(poisson(0.0, &mut Mix::new(1, 1)), 0);
    }
}
