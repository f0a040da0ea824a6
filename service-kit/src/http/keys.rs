//! The keys of a listener that every service has.

use super::HttpOptions;
use crate::config::{ConfigError, check_ranges};
use std::time::Duration;

/// What bounds a public listener, as it is configured: four keys of a service's section `http`, and the drain's.
///
/// The section stays each service's own type, which has keys besides: serde refuses no unknown keys where it flattens,
/// and forgets in which key a value was wrong.
#[derive(Clone, Copy, Debug)]
pub struct HttpKeys {
    /// `http.max_connections`.
    pub max_connections: usize,
    /// `http.header_read_timeout_ms`.
    pub header_read_timeout_ms: u64,
    /// `http.write_timeout_ms`.
    pub write_timeout_ms: u64,
    /// `http.drain_delay_ms`.
    pub drain_delay_ms: u64,
    /// `drain_deadline_ms`, whose range is the service's own.
    pub drain_deadline_ms: u64,
}

impl HttpKeys {
    /// Checks their ranges. The delay is half of the deadline at most: requests need the rest.
    ///
    /// # Errors
    /// The first key that is out of range, by name.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_ranges([
            ("http.max_connections", self.max_connections as u64, 1, 1_000_000),
            ("http.header_read_timeout_ms", self.header_read_timeout_ms, 100, 600_000),
            ("http.write_timeout_ms", self.write_timeout_ms, 100, 600_000),
            ("http.drain_delay_ms", self.drain_delay_ms, 0, self.drain_deadline_ms / 2),
        ])
    }

    /// What the listener is served with.
    #[must_use]
    pub fn options(&self) -> HttpOptions {
        HttpOptions {
            max_connections: self.max_connections,
            header_read_timeout: Duration::from_millis(self.header_read_timeout_ms),
            write_timeout: Duration::from_millis(self.write_timeout_ms),
            drain_deadline: Duration::from_millis(self.drain_deadline_ms),
            drain_delay: Duration::from_millis(self.drain_delay_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: HttpKeys = HttpKeys {
        max_connections: 1,
        header_read_timeout_ms: 100,
        write_timeout_ms: 200,
        drain_delay_ms: 500,
        drain_deadline_ms: 1000,
    };

    #[test]
    fn each_key_has_its_range_and_is_refused_by_its_name() {
        let cases = [
            (KEYS, None),
            (HttpKeys { max_connections: 0, ..KEYS }, Some("http.max_connections")),
            (HttpKeys { header_read_timeout_ms: 99, ..KEYS }, Some("http.header_read_timeout_ms")),
            (HttpKeys { write_timeout_ms: 600_001, ..KEYS }, Some("http.write_timeout_ms")),
            (HttpKeys { drain_deadline_ms: 999, ..KEYS }, Some("http.drain_delay_ms")),
        ];
        for (keys, refused) in cases {
            assert_eq!(keys.validate().err().as_ref().map(ConfigError::key), refused, "{keys:?}");
        }
        let error = HttpKeys { drain_delay_ms: 501, ..KEYS }.validate().unwrap_err();
        assert_eq!(error.to_string(), "http.drain_delay_ms: 501 is not within 0 to 500");
    }

    #[test]
    fn each_key_is_its_own_bound() {
        let options = KEYS.options();
        assert_eq!(options.max_connections, 1);
        assert_eq!(options.header_read_timeout, Duration::from_millis(100));
        assert_eq!(options.write_timeout, Duration::from_millis(200));
        assert_eq!(options.drain_delay, Duration::from_millis(500));
        assert_eq!(options.drain_deadline, Duration::from_secs(1));
    }
}
