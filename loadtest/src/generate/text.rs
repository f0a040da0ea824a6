//! Numbers and times as text, written straight into a buffer.

use bytes::BufMut;

/// Appends `number` in decimal.
pub(crate) fn decimal(mut number: u64, out: &mut impl BufMut) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}

/// Appends `number` in decimal with `N` digits; higher ones are cut off.
pub(super) fn fixed<const N: usize>(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits);
}

/// Appends the low `N` hexadecimal digits of `bits`.
pub(super) fn hex<const N: usize>(mut bits: u64, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; N];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(bits & 0xF) as usize];
        bits >>= 4;
    }
    out.extend_from_slice(&digits);
}

/// Appends 100-ns ticks since 1970 as RFC 3339 with seven digits, in UTC.
pub(super) fn time(ticks: u64, out: &mut Vec<u8>) {
    let (seconds, fraction) = (ticks / 10_000_000, ticks % 10_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    fixed::<4>(year, out);
    out.push(b'-');
    fixed::<2>(month, out);
    out.push(b'-');
    fixed::<2>(day, out);
    out.push(b'T');
    fixed::<2>(second / 3600, out);
    out.push(b':');
    fixed::<2>(second / 60 % 60, out);
    out.push(b':');
    fixed::<2>(second % 60, out);
    out.push(b'.');
    fixed::<7>(fraction, out);
    out.push(b'Z');
}

/// Year, month and day of a day since 1970 (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use ingest::event::Ticks;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        for number in [0, 7, 10, 1_234_567, u64::MAX] {
            assert_eq!(text(|out| decimal(number, out)), number.to_string());
            assert_eq!(text(|out| hex::<16>(number, out)), format!("{number:016x}"));
        }
        assert_eq!(text(|out| fixed::<4>(12_345, out)), "2345");
    }

    #[test]
    fn times_are_read_back_to_the_tick() {
        for days in [0_u64, 58, 59, 789, 11_016, 20_778, 20_779, 47_541] {
            let ticks = (days * 86_400 + 86_399) * 10_000_000 + 1_234_567;
            let parsed = Ticks::parse(&text(|out| time(ticks, out)));
            assert_eq!(parsed.map(|t| t.raw().cast_unsigned()), Some(ticks), "day {days}");
        }
    }
}
