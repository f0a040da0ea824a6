//! The headers of a dead letter, whoever publishes it: the record's own, then where it came from and why it died.

use bytes::Bytes;
use contracts::audit::header;

use crate::event::{Origin, Rejection};

/// Of a record with headers of its own; those of an earlier death are replaced.
pub(crate) fn headers(
    own: impl Iterator<Item = (String, Bytes)>,
    origin: &Origin,
    rejection: &Rejection,
) -> Vec<(String, Bytes)> {
    let mut headers: Vec<_> = own.filter(|(name, _)| !is_of_a_letter(name)).collect();
    let origin = origin.to_headers();
    headers.extend(origin.map(|(name, value)| (name.to_owned(), Bytes::from(value))));
    let reason = Bytes::from_static(rejection.reason.code().as_bytes());
    headers.push((header::REASON.to_owned(), reason));
    let error = cut(&rejection.detail, header::MAX_ERROR_BYTES);
    headers.push((header::ERROR.to_owned(), Bytes::copy_from_slice(error.as_bytes())));
    headers
}

/// Whether a header is one of a dead letter, rather than of the record's producer.
pub(crate) fn is_of_a_letter(name: &str) -> bool {
    [header::REASON, header::ERROR, header::TRUNCATED_FROM].contains(&name)
        || name.starts_with("x-origin-")
}

/// The longest prefix of at most `max` bytes.
fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_cut_between_characters() {
        assert_eq!(cut("abc", 10), "abc");
        assert_eq!(cut("aéb", 2), "a");
        assert_eq!(cut("aéb", 3), "aé");
    }
}
