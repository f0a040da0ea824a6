//! Numbers as Grafana writes them: three digits, and a suffix that fits their size.

use crate::grafana::Unit;

/// How numbers of one size are written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    /// What one is, in the unit.
    pub(super) by: f64,
    /// Behind the number.
    pub(super) suffix: &'static str,
}

const fn scale(by: f64, suffix: &'static str) -> Scale {
    Scale { by, suffix }
}

/// From small to large; the one without a prefix is what 0 is written in.
fn scales(unit: Unit) -> &'static [Scale] {
    const PER_SECOND: &[Scale] =
        &[scale(1.0, " c/s"), scale(1e3, "K c/s"), scale(1e6, "M c/s"), scale(1e9, "B c/s")];
    const SECONDS: &[Scale] = &[
        scale(1e-9, " ns"),
        scale(1e-6, " µs"),
        scale(1e-3, " ms"),
        scale(1.0, " s"),
        scale(60.0, " min"),
        scale(3600.0, " hour"),
        scale(86_400.0, " day"),
    ];
    const BYTES: &[Scale] = &[
        scale(1.0, " B"),
        scale(1024.0, " KiB"),
        scale(1_048_576.0, " MiB"),
        scale(1_073_741_824.0, " GiB"),
        scale(1_099_511_627_776.0, " TiB"),
    ];
    const RATIO: &[Scale] = &[scale(0.01, "%")];
    const COUNT: &[Scale] =
        &[scale(1.0, ""), scale(1e3, " K"), scale(1e6, " Mil"), scale(1e9, " Bil")];
    match unit {
        Unit::PerSecond => PER_SECOND,
        Unit::Seconds => SECONDS,
        Unit::Bytes => BYTES,
        Unit::Ratio => RATIO,
        Unit::Count => COUNT,
    }
}

impl Scale {
    /// That of numbers up to `size`.
    pub(super) fn of(unit: Unit, size: f64) -> Self {
        // Half of the last digit below the next suffix is written with that.
        let size = if size == 0.0 { 1.0 } else { size.abs() * 1.0005 };
        let all = scales(unit);
        let found = all.iter().rev().find(|scale| scale.by <= size).or(all.first());
        found.copied().unwrap_or(Scale { by: 1.0, suffix: "" })
    }

    /// A number with its suffix.
    pub(super) fn text(self, value: f64) -> String {
        format!("{}{}", digits(value / self.by), self.suffix)
    }
}

/// A number in the suffix that fits it.
pub(super) fn text(unit: Unit, value: f64) -> String {
    Scale::of(unit, value).text(value)
}

/// Three digits, without zeros behind the point.
fn digits(value: f64) -> String {
    const MOST: usize = 9;
    let size = value.abs();
    let mut decimals = match size {
        _ if size >= 100.0 => 0,
        _ if size >= 10.0 => 1,
        _ => 2,
    };
    let mut tenfold = size;
    while tenfold > 0.0 && tenfold < 1.0 && decimals < MOST {
        tenfold *= 10.0;
        decimals += 1;
    }
    // Without the sign of -0.
    let text = format!("{:.decimals$}", value + 0.0);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_grafana_does() {
        for (unit, value, expected) in [
            (Unit::Count, 0.0, "0"),
            (Unit::Count, -0.0, "0"),
            (Unit::Count, 7.0, "7"),
            (Unit::Count, 12_345.0, "12.3 K"),
            (Unit::Count, 3_400_000.0, "3.4 Mil"),
            (Unit::Count, 0.012_345, "0.0123"),
            (Unit::PerSecond, 12.0, "12 c/s"),
            (Unit::PerSecond, 0.25, "0.25 c/s"),
            (Unit::PerSecond, 45_600.0, "45.6K c/s"),
            (Unit::Seconds, 0.0, "0 s"),
            (Unit::Seconds, 0.000_123, "123 µs"),
            (Unit::Seconds, 0.010_6, "10.6 ms"),
            (Unit::Seconds, 0.999_9, "1 s"),
            (Unit::Seconds, 90.0, "1.5 min"),
            (Unit::Seconds, 7200.0, "2 hour"),
            (Unit::Bytes, 1536.0, "1.5 KiB"),
            (Unit::Bytes, 33_554_432.0, "32 MiB"),
            (Unit::Ratio, 0.123_4, "12.3%"),
            (Unit::Ratio, 0.0, "0%"),
            (Unit::Ratio, 0.000_5, "0.05%"),
            (Unit::Ratio, 1.0, "100%"),
        ] {
            assert_eq!(text(unit, value), expected, "{unit:?} {value}");
        }
    }

    #[test]
    fn an_axis_has_one_suffix() {
        let scale = Scale::of(Unit::Seconds, 0.25);
        assert_eq!([0.0, 0.1, 0.25].map(|value| scale.text(value)), ["0 ms", "100 ms", "250 ms"]);
    }
}
