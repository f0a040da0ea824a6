//! Subjects and resources as people write them: `user:u-1`, `document:d-9`.

use std::fmt;
use std::str::FromStr;

use contracts::check_external_id;
use serde_json::{Value, json};

/// `TYPE:ID`, split at the first colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// What it is.
    pub(crate) type_: String,
    /// Which one.
    pub(crate) id: String,
}

impl Entity {
    /// As the API writes it.
    pub(crate) fn json(&self) -> Value {
        json!({"type": self.type_, "id": self.id})
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.type_, self.id)
    }
}

impl FromStr for Entity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (type_, id) = text.split_once(':').ok_or("is TYPE:ID, as document:d-9")?;
        check_external_id(type_).map_err(|error| format!("the type: {error}"))?;
        check_external_id(id).map_err(|error| format!("the id: {error}"))?;
        Ok(Self { type_: type_.to_owned(), id: id.to_owned() })
    }
}

/// What can act.
const SUBJECTS: [&str; 3] = ["user", "service_account", "team"];

/// A subject, for clap.
///
/// # Errors
/// What a subject is.
pub(crate) fn subject(text: &str) -> Result<Entity, String> {
    let entity = text.parse::<Entity>().ok();
    let entity = entity.filter(|entity| SUBJECTS.contains(&entity.type_.as_str()));
    entity.ok_or_else(|| "is user:ID, service_account:ID or team:ID".to_owned())
}

/// Where a role or a permission applies: `TYPE` (all of that type) or `TYPE:ID` (that one, and what is below it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    type_: String,
    id: Option<String>,
}

impl Place {
    /// As the API writes it.
    pub(crate) fn json(&self) -> Value {
        match &self.id {
            Some(id) => json!({"type": self.type_, "id": id}),
            None => json!({"type": self.type_}),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(':') {
            let Entity { type_, id } = text.parse()?;
            return Ok(Self { type_, id: Some(id) });
        }
        check_external_id(text).map_err(|error| format!("the type: {error}"))?;
        Ok(Self { type_: text.to_owned(), id: None })
    }
}

/// `TYPE:ID` of what the API answered; `TYPE` where there is no id, nothing where there is no type.
pub(crate) fn shown(value: &Value) -> String {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    match (text("type"), text("id")) {
        (Some(type_), Some(id)) => format!("{type_}:{id}"),
        (Some(type_), None) => type_.to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_split_at_its_first_colon() {
        let entity = subject("user:a:b").unwrap();
        assert_eq!((entity.type_.as_str(), entity.id.as_str()), ("user", "a:b"));
        assert_eq!(subject("user:*").unwrap().id, "*");
        for bad in [
            "",
            "user",
            "user:",
            ":x",
            "robot:x",
            "user:a\nb",
            &format!("user:{}", "x".repeat(129)),
        ] {
            assert!(subject(bad).unwrap_err().contains("service_account:ID"), "{bad}");
        }
    }

    #[test]
    fn a_place_is_a_type_or_one_of_it() {
        assert_eq!("folder".parse::<Place>().unwrap().json(), json!({"type": "folder"}));
        let one = "folder:f-1".parse::<Place>().unwrap();
        assert_eq!(one.json(), json!({"type": "folder", "id": "f-1"}));
        assert!("".parse::<Place>().is_err() && "folder:".parse::<Place>().is_err());
        assert_eq!(shown(&one.json()), "folder:f-1");
        assert_eq!(shown(&json!({"type": "folder"})), "folder");
    }
}
