//! What a command reads beside its command line.

use std::fs;
use std::io::{self, BufRead, IsTerminal as _, Read as _};
use std::path::Path;

use serde_json::{Map, Value};

use super::error::ClientError;
use super::terminal;

/// Of a secret, bytes: more is a mistake.
const SECRET: usize = 64 << 10;

/// A file whole; `-` is stdin.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    if path != Path::new("-") {
        return fs::read(path).map_err(ClientError::file(path));
    }
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).map_err(ClientError::file("stdin"))?;
    Ok(bytes)
}

/// A file that holds a secret and nothing else; `-` is stdin.
pub(crate) fn secret(path: &Path) -> Result<String, ClientError> {
    let bytes = read(path)?;
    let shown = path.display();
    let wrong = |why: &str| ClientError::Usage(format!("{shown}: {why}"));
    if bytes.len() > SECRET {
        return Err(wrong("is too large for a secret"));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("is no text"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() || text.contains('\n') {
        return Err(wrong("must hold the secret in its one line"));
    }
    Ok(text.to_owned())
}

/// A secret from a file or, without one, from stdin; a person at a terminal is asked for it, and types it unseen.
pub(crate) fn secret_or_ask(path: Option<&Path>, question: &str) -> Result<String, ClientError> {
    match path {
        Some(path) => secret(path),
        None if io::stdin().is_terminal() => terminal::ask_unseen(question),
        None => secret(Path::new("-")),
    }
}

/// JSON from a file; `-` is stdin.
pub(crate) fn json(path: &Path) -> Result<Value, ClientError> {
    let bytes = read(path)?;
    let wrong = |error| ClientError::Input(format!("{}: is no JSON: {error}", path.display()));
    serde_json::from_slice(&bytes).map_err(wrong)
}

/// A JSON object on the command line, for clap.
///
/// # Errors
/// Why it is none.
pub(crate) fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("is no JSON object: {error}"))
}

/// Of a line of NDJSON, bytes.
const LINE: u64 = 16 << 20;

/// A file to be read bit by bit; `-` is stdin.
pub(crate) fn open(path: &Path) -> Result<Box<dyn BufRead>, ClientError> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = fs::File::open(path).map_err(ClientError::file(path))?;
    Ok(Box::new(io::BufReader::new(file)))
}

/// The same; without a file it is stdin, unless a person sits there, who does not know.
pub(crate) fn open_or_stdin(path: Option<&Path>) -> Result<Box<dyn BufRead>, ClientError> {
    if path.is_none() && io::stdin().is_terminal() {
        let nothing = "there is nothing to read: name a file with -f, or pipe it in".to_owned();
        return Err(ClientError::Usage(nothing));
    }
    open(path.unwrap_or(Path::new("-")))
}

/// The lines of NDJSON, with their numbers from 1, as they come; empty ones are passed over.
pub(crate) fn lines(
    mut reader: impl BufRead,
) -> impl Iterator<Item = Result<(usize, Value), ClientError>> {
    let mut number = 0;
    std::iter::from_fn(move || {
        loop {
            let mut line = Vec::new();
            number += 1;
            let wrong = |why: &dyn std::fmt::Display| {
                Err(ClientError::Input(format!("line {number}: {why}")))
            };
            match reader.by_ref().take(LINE).read_until(b'\n', &mut line) {
                Ok(0) => return None,
                Ok(_) if line.len() as u64 == LINE => return Some(wrong(&"is too long")),
                Ok(_) if line.trim_ascii().is_empty() => {}
                Ok(_) => {
                    let read = serde_json::from_slice(&line);
                    return Some(match read {
                        Ok(value) => Ok((number, value)),
                        Err(error) => wrong(&format!("is no JSON: {error}")),
                    });
                }
                Err(error) => return Some(wrong(&error)),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_one_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let secret = |bytes: &[u8]| {
            fs::write(file.path(), bytes).unwrap();
            super::secret(file.path())
        };
        assert_eq!(secret(b"a b \r\n").unwrap(), "a b ");
        assert_eq!(secret(b"x").unwrap(), "x");
        for bad in [&b""[..], b"\n", b"a\nb\n", b"\xff", &[b'x'; SECRET + 1]] {
            let error = secret(bad).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(super::secret(Path::new("/none/x")).unwrap_err().to_string().contains("/none/x"));
    }

    #[test]
    fn a_bad_line_is_named() {
        let read: Result<Vec<_>, _> = lines(&b"{\"a\":1}\n\n  \n2"[..]).collect();
        assert_eq!(read.unwrap(), [(1, json!({"a": 1})), (4, json!(2))]);
        let read: Result<Vec<_>, _> = lines(&b"1\n{"[..]).collect();
        assert!(read.unwrap_err().to_string().starts_with("line 2: "));
    }

    #[test]
    fn an_object_is_told_from_other_json() {
        assert_eq!(object("{\"a\":1}").unwrap()["a"], 1);
        assert!(object("[1]").is_err() && object("x").is_err());
    }
}
