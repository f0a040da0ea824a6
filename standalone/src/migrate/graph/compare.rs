//! Two exports of the same graph, line by line: both are sorted.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use authz_edge::model::Relationship;
use authz_edge::transfer::format::{Counts, Line};
use chrono::{DateTime, Utc};

/// Lines of a file between its header and its end.
struct Lines(BufReader<File>);

impl Lines {
    fn open(path: &Path) -> io::Result<Self> {
        let mut lines = Self(BufReader::with_capacity(1 << 20, File::open(path)?));
        // The header tells two graphs apart.
        lines.text()?;
        Ok(lines)
    }

    fn text(&mut self) -> io::Result<String> {
        let mut text = String::new();
        self.0.read_line(&mut text)?;
        text.truncate(text.trim_end().len());
        Ok(text)
    }

    fn next(&mut self) -> io::Result<Option<(Line, String)>> {
        let text = self.text()?;
        match serde_json::from_str(&text).map_err(io::Error::from)? {
            Line::End(_) => Ok(None),
            line => Ok(Some((line, text))),
        }
    }
}

/// What both have; or the first line that one of them does not have. A binding that expired by `now` may be missing
/// from the later one.
pub(super) fn files(
    here: &Path,
    there: &Path,
    now: DateTime<Utc>,
) -> io::Result<Result<Counts, String>> {
    let (mut here, mut there) = (Lines::open(here)?, Lines::open(there)?);
    let (mut own, mut found) = (here.next()?, there.next()?);
    let mut counts = Counts::default();
    loop {
        let order = match (&own, &found) {
            (None, None) => return Ok(Ok(counts)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, own)), Some((b, found))) => {
                place(a).cmp(&place(b)).then_with(|| own.cmp(found))
            }
        };
        match (order, &own, &found) {
            (Ordering::Less, Some((line, _)), _) if is_over(line, now) => own = here.next()?,
            (Ordering::Less, Some((_, text)), _) => return Ok(Err(format!("it lacks {text}"))),
            (Ordering::Greater, _, Some((_, text))) => {
                return Ok(Err(format!("it has what is not here: {text}")));
            }
            (_, Some((line, _)), _) => {
                counts.add(line);
                (own, found) = (here.next()?, there.next()?);
            }
            (_, None, _) => return Ok(Ok(counts)),
        }
    }
}

/// Kinds come in this order.
fn place(line: &Line) -> u8 {
    match line {
        Line::Header(_) => 0,
        Line::Role(_) => 1,
        Line::Subject(_) => 2,
        Line::Resource(_) => 3,
        Line::Relationship(_) => 4,
        Line::End(_) => 5,
    }
}

fn is_over(line: &Line, now: DateTime<Utc>) -> bool {
    let Line::Relationship(Relationship::HasRole { expires_at: Some(at), .. }) = line else {
        return false;
    };
    *at <= now
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(here: &[&str], there: &[&str]) -> Result<Counts, String> {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, lines: &[&str]| {
            let path = folder.path().join(name);
            let end = r#"{"end":{"roles":0,"subjects":0,"resources":0,"relationships":0}}"#;
            let all: Vec<_> = ["a header"].iter().chain(lines).copied().chain([end]).collect();
            std::fs::write(&path, all.join("\n") + "\n").unwrap();
            path
        };
        files(&write("here", here), &write("there", there), Utc::now()).unwrap()
    }

    #[test]
    fn the_same_lines_are_the_same_and_only_what_expired_may_be_missing() {
        let role = r#"{"role":{"id":"r","permissions":[]}}"#;
        let subject = r#"{"subject":{"type":"user","id":"ann"}}"#;
        let binding = |at: &str| {
            format!(
                r#"{{"relationship":{{"relation":"has_role","subject":{{"type":"user","id":"ann"}},"role":"r","expires_at":"{at}"}}}}"#
            )
        };
        let (old, new) = (binding("2020-01-01T00:00:00Z"), binding("2099-01-01T00:00:00Z"));
        let counts = compared(&[role, subject, &old, &new], &[role, subject, &new]).unwrap();
        assert_eq!((counts.total(), counts.relationships), (3, 1));
        assert!(compared(&[role, &new], &[role]).unwrap_err().starts_with("it lacks"));
        assert!(compared(&[role], &[role, &old]).unwrap_err().starts_with("it has what"));
        assert!(compared(&[subject], &[role]).unwrap_err().contains("role"));
        assert!(compared(&[], &[]).unwrap().total() == 0);
    }
}
