//! May this subject do that to this resource? As `check` and `explain` are asked.

use serde_json::{Map, Value, json};

use super::api::{Call, Service};
use super::entity::{self, Entity};
use super::error::ClientError;
use super::input;

/// A question.
#[derive(Debug, clap::Args)]
pub(crate) struct QuestionArgs {
    /// user:ID, service_account:ID or team:ID
    #[arg(value_parser = entity::subject)]
    subject: Entity,
    /// What it would do, as read
    action: String,
    /// TYPE:ID, as document:d-9
    resource: Entity,
    /// What conditions may read of the request
    #[arg(long, value_name = "JSON", value_parser = input::object)]
    context: Option<Map<String, Value>>,
    /// Laid over what is stored of the subject
    #[arg(long, value_name = "JSON", value_parser = input::object)]
    subject_properties: Option<Map<String, Value>>,
    /// What conditions may read of the action
    #[arg(long, value_name = "JSON", value_parser = input::object)]
    action_properties: Option<Map<String, Value>>,
    /// Laid over what is stored of the resource
    #[arg(long, value_name = "JSON", value_parser = input::object)]
    resource_properties: Option<Map<String, Value>>,
}

impl QuestionArgs {
    /// As the API has it.
    pub(crate) fn json(&self) -> Value {
        let mut question = json!({"subject": self.subject.json(), "action": {"name": self.action},
            "resource": self.resource.json()});
        for (member, properties) in [
            ("subject", &self.subject_properties),
            ("action", &self.action_properties),
            ("resource", &self.resource_properties),
        ] {
            if let Some(properties) = properties {
                question[member]["properties"] = properties.clone().into();
            }
        }
        if let Some(context) = &self.context {
            question["context"] = context.clone().into();
        }
        question
    }

    /// Sends it to a route.
    pub(crate) fn call(&self, route: &str, tenant: &str, at_least: Option<&str>) -> Call {
        let mut body = self.json();
        if let Some(token) = at_least {
            body["at_least"] = token.into();
        }
        let about = format!("whether {} may {} {}", self.subject, self.action, self.resource);
        Call::post(Service::Authz, &[route]).of(tenant).about(about).json(body)
    }
}

/// A line of a batch as the API has it: subject, action and resource may be texts, as on the command line.
pub(crate) fn read_line(number: usize, mut line: Value) -> Result<Value, ClientError> {
    let wrong =
        |member: &str, why: &str| ClientError::Input(format!("line {number}: {member}: {why}"));
    for member in ["subject", "action", "resource"] {
        let Some(text) = line.get(member).and_then(Value::as_str) else { continue };
        let value = match member {
            "action" => json!({"name": text}),
            "subject" => entity::subject(text).map_err(|why| wrong(member, &why))?.json(),
            _ => text.parse::<Entity>().map_err(|why| wrong(member, &why))?.json(),
        };
        line[member] = value;
    }
    if !line.is_object() {
        return Err(wrong("it", "is no JSON object"));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_be_short_or_as_the_api_has_it() {
        let whole = json!({"subject": {"type": "user", "id": "u"}, "action": {"name": "read"},
            "resource": {"type": "document", "id": "d"}, "context": {"ip": "::1"}});
        let short = json!({"subject": "user:u", "action": "read", "resource": "document:d",
            "context": {"ip": "::1"}});
        assert_eq!(read_line(1, short).unwrap(), whole);
        assert_eq!(read_line(1, whole.clone()).unwrap(), whole);
        let error = read_line(7, json!({"subject": "robot:u"})).unwrap_err().to_string();
        assert!(error.starts_with("line 7: subject: "), "{error}");
        assert!(read_line(7, json!(3)).is_err());
    }
}
