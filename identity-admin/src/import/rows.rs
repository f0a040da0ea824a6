//! A file's rows.
//!
//! NDJSON: `{"user": {…}}`, as it is sent over HTTP, with `password_hash` and `teams` (names) beside it, or
//! `{"membership": {"team": NAME, "user": ADDRESS}}`. CSV: a header of `email`, `user_name`, `display_name`,
//! `locale`, `time_zone`, `password_hash` and `teams` (names that `;` separates), of which `email` must be there.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::hash;
use crate::change::{FieldFault, Refused};
use crate::rules;
use crate::users::{NewUser, UserForm};

/// The longest row, in bytes.
const MAX_ROW: usize = 256 << 10;
/// What a CSV file may have.
const COLUMNS: [&str; 7] =
    ["email", "user_name", "display_name", "locale", "time_zone", "password_hash", "teams"];

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A JSON object a line.
    Ndjson,
    /// RFC 4180, with a header.
    Csv,
}

/// What a row asks for.
pub(super) enum Row {
    /// A user, with the teams that it joins.
    User {
        /// The user.
        new: Box<NewUser>,
        /// Without one it has no password.
        hash: Option<String>,
        /// By name.
        teams: Vec<String>,
    },
    /// A user that is there, or comes before in the file, joins a team.
    Membership {
        /// By name.
        team: String,
        /// By address.
        user: String,
    },
}

/// A row, or every rule that it breaks.
pub(super) type Read1 = Result<Row, Vec<FieldFault>>;

/// A file as a whole.
pub(super) struct Survey {
    /// Of all of its bytes.
    pub(super) hash: String,
    /// Its rows.
    pub(super) rows: u64,
}

/// Reads a file once, to know it again and to know how long it is.
pub(super) fn survey(path: &Path, format: Format) -> std::io::Result<Survey> {
    let mut hasher = blake3::Hasher::new();
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    loop {
        let chunk = file.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        hasher.update(chunk);
        let read = chunk.len();
        file.consume(read);
    }
    let mut rows = Rows::open(path, format, 0)?;
    let mut count = 0;
    while rows.skip()? {
        count += 1;
    }
    Ok(Survey { hash: hasher.finalize().to_hex()[..32].to_owned(), rows: count })
}

/// A file that is being read.
pub(super) enum Rows {
    Ndjson(BufReader<File>),
    Csv(Box<csv::Reader<File>>, csv::StringRecord),
}

impl Rows {
    /// Behind so many rows.
    pub(super) fn open(path: &Path, format: Format, behind: u64) -> std::io::Result<Self> {
        let file = File::open(path)?;
        let mut rows = match format {
            Format::Ndjson => Self::Ndjson(BufReader::with_capacity(1 << 20, file)),
            Format::Csv => {
                let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
                let header = reader.headers()?.clone();
                let refuse =
                    |why: String| Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
                if let Some(unknown) = header.iter().find(|name| !COLUMNS.contains(name)) {
                    return refuse(format!("the column {unknown:?} is none of {COLUMNS:?}"));
                }
                if !header.iter().any(|name| name == "email") {
                    return refuse("there is no column email".to_owned());
                }
                Self::Csv(Box::new(reader), header)
            }
        };
        for _ in 0..behind {
            if !rows.skip()? {
                let why = "it has fewer rows than there are results";
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
            }
        }
        Ok(rows)
    }

    /// Passes over a row; `false` at the end.
    fn skip(&mut self) -> std::io::Result<bool> {
        match self {
            Self::Ndjson(file) => Ok(line(file)?.is_some()),
            Self::Csv(reader, _) => {
                let mut record = csv::StringRecord::new();
                Ok(reader.read_record(&mut record)?)
            }
        }
    }

    /// The next rows.
    pub(super) fn batch(&mut self, most: usize) -> std::io::Result<Vec<Read1>> {
        let mut batch = Vec::with_capacity(most);
        while batch.len() < most {
            let Some(row) = self.next()? else { break };
            batch.push(row);
        }
        Ok(batch)
    }

    fn next(&mut self) -> std::io::Result<Option<Read1>> {
        match self {
            Self::Ndjson(file) => Ok(line(file)?.map(|text| of_json(&text))),
            Self::Csv(reader, header) => {
                let mut record = csv::StringRecord::new();
                let is_there = reader.read_record(&mut record)?;
                Ok(is_there.then(|| of_csv(header, &record)))
            }
        }
    }
}

/// The next line that is not empty.
fn line(file: &mut BufReader<File>) -> std::io::Result<Option<Vec<u8>>> {
    loop {
        let mut text = Vec::new();
        let read = file.by_ref().take(MAX_ROW as u64 + 1).read_until(b'\n', &mut text)?;
        if read > MAX_ROW {
            let why = format!("a row has more than {MAX_ROW} bytes");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
        }
        if read == 0 {
            return Ok(None);
        }
        if !text.trim_ascii().is_empty() {
            return Ok(Some(text));
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    user: Option<Value>,
    password_hash: Option<String>,
    #[serde(default)]
    teams: Vec<String>,
    membership: Option<Joins>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Joins {
    team: String,
    user: String,
}

fn of_json(text: &[u8]) -> Read1 {
    // serde's words may repeat a value, up to its place.
    let told = |error: serde_json::Error| {
        let reason = error.to_string();
        reason.split(" at line ").next().unwrap_or_default().to_owned()
    };
    let line: Line =
        serde_json::from_slice(text).map_err(|error| vec![FieldFault::new(".", told(error))])?;
    match line {
        Line { user: Some(user), password_hash, teams, membership: None } => {
            let form: UserForm = serde_json::from_value(user)
                .map_err(|error| vec![FieldFault::new("user", told(error))])?;
            user_row(form, password_hash.as_deref(), teams)
        }
        Line { user: None, password_hash: None, teams, membership: Some(joins) }
            if teams.is_empty() =>
        {
            let user = rules::email(&joins.user)
                .map_err(|why| vec![FieldFault::new("membership.user", why)])?;
            Ok(Row::Membership { team: joins.team, user })
        }
        _ => Err(vec![FieldFault::new(".", "has either user or membership")]),
    }
}

fn of_csv(header: &csv::StringRecord, record: &csv::StringRecord) -> Read1 {
    let get = |name: &str| {
        let place = header.iter().position(|known| known == name)?;
        record.get(place).filter(|value| !value.is_empty())
    };
    let mut user = json!({ "email": get("email").unwrap_or_default(), "settings": {} });
    for name in ["user_name", "display_name"] {
        if let Some(value) = get(name) {
            user[name] = value.into();
        }
    }
    for name in ["locale", "time_zone"] {
        if let Some(value) = get(name) {
            user["settings"][name] = value.into();
        }
    }
    let form = serde_json::from_value(user);
    let form: UserForm = form.map_err(|error| vec![FieldFault::new(".", error.to_string())])?;
    let teams = get("teams").into_iter().flat_map(|teams| teams.split(';'));
    let teams = teams.map(|team| team.trim().to_owned()).filter(|team| !team.is_empty()).collect();
    user_row(form, get("password_hash"), teams)
}

fn user_row(form: UserForm, password_hash: Option<&str>, teams: Vec<String>) -> Read1 {
    let hash = password_hash.map(hash::check).transpose();
    let checked = form.check().and_then(|new| match new.password {
        // Hashing it would take longer than all else of a row together.
        Some(_) => Err(Refused::invalid("user.password", "files have password_hash")),
        None => Ok(new),
    });
    match (checked, hash) {
        (Ok(new), Ok(hash)) => Ok(Row::User { new: Box::new(new), hash, teams }),
        (checked, hash) => {
            let mut faults = match checked {
                Err(Refused::Invalid(faults)) => faults,
                _ => Vec::new(),
            };
            faults.extend(hash.err().map(|why| FieldFault::new("password_hash", why)));
            Err(faults)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Format, text: &str) -> std::io::Result<Vec<Read1>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let survey = survey(file.path(), format)?;
        let rows = Rows::open(file.path(), format, 0)?.batch(100)?;
        assert_eq!(rows.len() as u64, survey.rows);
        Ok(rows)
    }

    fn faults(row: &Read1) -> Vec<&str> {
        row.as_ref().err().into_iter().flatten().map(|fault| fault.field.as_str()).collect()
    }

    #[test]
    fn a_line_is_a_user_or_a_membership_and_its_faults_are_told() {
        let rows = read(
            Format::Ndjson,
            concat!(
                r#"{"user": {"email": "Ada@x.y", "settings": {"locale": "fr"}}, "teams": ["a"]}"#,
                "\n\n",
                r#"{"membership": {"team": "a", "user": "Ada@x.y"}}"#,
                "\n",
                r#"{"user": {"email": "x"}, "password_hash": "hush"}"#,
                "\n{}\n",
                r#"{"user": {"email": "a@b", "hush": 1}}"#,
                "\n{",
            ),
        )
        .unwrap();
        assert!(matches!(&rows[0], Ok(Row::User { teams, hash: None, .. }) if teams == &["a"]));
        assert!(matches!(&rows[1], Ok(Row::Membership { user, .. }) if user == "ada@x.y"));
        assert_eq!(faults(&rows[2]), ["email", "password_hash"]);
        assert_eq!(
            (faults(&rows[3]), faults(&rows[4]), faults(&rows[5])),
            (vec!["."], vec!["user"], vec!["."])
        );
        assert!(!format!("{:?}", rows[2].as_ref().err()).contains("hush"));
    }

    #[test]
    fn a_table_has_known_columns_in_any_order() {
        let rows = read(
            Format::Csv,
            "teams,email,locale\n\"a; b\",Ada@x.y,fr\n,eve@x.y,\n,not an address,en\n",
        )
        .unwrap();
        assert!(matches!(&rows[0], Ok(Row::User { teams, .. }) if teams == &["a", "b"]));
        assert!(matches!(&rows[1], Ok(Row::User { teams, .. }) if teams.is_empty()));
        assert_eq!(faults(&rows[2]), ["email"]);
        assert!(read(Format::Csv, "email,password\na@b,hush\n").is_err());
        assert!(read(Format::Csv, "display_name\nA\n").is_err());
    }

    #[test]
    fn reading_goes_on_behind_what_was_done() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "email\na@b\nc@d\n").unwrap();
        let left = Rows::open(file.path(), Format::Csv, 1).unwrap().batch(10).unwrap();
        assert_eq!(left.len(), 1);
        assert!(Rows::open(file.path(), Format::Csv, 3).is_err());
    }
}
