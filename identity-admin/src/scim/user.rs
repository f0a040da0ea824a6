//! Users as resources: rows turned into them, and what clients want of one.
//!
//! What Triad knows itself (names, address, whether the user is active) is kept where it is; the rest is one JSON
//! document beside it. The address is that of `emails` which is primary, or the first; whoever changes it by another
//! route changes that entry.

use serde_json::{Value, json};

use super::accept::{Resource, is_primary};
use super::schemas::{ENTERPRISE, USER};
use crate::change::{Refused, Write};
use crate::credentials::Password;
use crate::db::{DbError, Row, Value as Param, places};
use crate::rules::{self, Faults};
use crate::users::{NewSettings, UserView};

/// The longest `externalId`, in bytes.
pub(super) const LONGEST_EXTERNAL: usize = 512;

/// A team that a user is in.
pub(super) struct Membership {
    pub(super) user: String,
    team: String,
    name: String,
    direct: bool,
}

impl Membership {
    /// What finds the teams of some users, those that they are in through others among them, up to a number.
    pub(super) fn of_users(tenant: &str, users: &[&str], most: usize) -> (String, Vec<Param>) {
        // UNION keeps each row once, so that it ends whatever the data hold. CROSS JOIN has SQLite look up the
        // memberships and the team of each, and not all of the tenant's; to MySQL it is a JOIN.
        let sql = format!(
            "WITH RECURSIVE up (user_id, team_id, direct) AS ( \
               SELECT m.user_id, m.team_id, 1 FROM team_members m \
               WHERE m.tenant_id = ? AND m.user_id IN ({}) \
               UNION \
               SELECT u.user_id, m.team_id, 0 FROM up u \
               CROSS JOIN team_members m ON m.member_team_id = u.team_id WHERE m.tenant_id = ? \
             ) SELECT up.user_id AS user_id, t.id AS id, t.name AS name, MAX(up.direct) AS direct \
               FROM up CROSS JOIN teams t ON t.id = up.team_id WHERE t.tenant_id = ? \
               GROUP BY up.user_id, t.id, t.name ORDER BY up.user_id, t.name LIMIT ?",
            places(users.len())
        );
        let mut values: Vec<Param> = vec![tenant.into()];
        values.extend(users.iter().map(|user| Param::from(*user)));
        let most = Param::Int(i64::try_from(most).unwrap_or(i64::MAX));
        values.extend([tenant.into(), tenant.into(), most]);
        (sql, values)
    }

    pub(super) fn of(row: &Row) -> Result<Self, DbError> {
        let (user, team, name) = (row.text("user_id")?, row.text("id")?, row.text("name")?);
        Ok(Self { user, team, name, direct: row.flag("direct")? })
    }

    fn shown(&self, base: &str) -> Value {
        let kind = if self.direct { "direct" } else { "indirect" };
        let place = format!("{base}/Groups/{}", self.team);
        json!({"value": self.team, "$ref": place, "display": self.name, "type": kind})
    }
}

/// A user as a resource, whole.
///
/// # Errors
/// Attributes that are no JSON, which is a fault of ours.
pub(super) fn resource(
    user: &UserView,
    teams: &[Membership],
    base: &str,
) -> Result<Resource, DbError> {
    let wrong = |error: serde_json::Error| DbError::Refused(format!("scim: {error}"));
    let kept = user.scim.as_deref().map(serde_json::from_str::<Resource>).transpose();
    let mut resource = kept.map_err(wrong)?.unwrap_or_default();
    let mut schemas = vec![USER.core.id];
    if let Some(Value::Object(parts)) = resource.get_mut(ENTERPRISE) {
        schemas.push(ENTERPRISE);
        if let Some(manager) = parts.get_mut("manager")
            && let Some(id) = manager["value"].as_str()
        {
            manager["$ref"] = format!("{base}/Users/{id}").into();
        }
    }
    let emails = emails(resource.remove("emails"), user.email.as_deref());
    let mut put = |name: &str, value: Value| resource.insert(name.to_owned(), value);
    put("schemas", schemas.into());
    put("id", user.id.as_str().into());
    put("userName", user.user_name.as_str().into());
    put("active", user.active.into());
    if !emails.is_empty() {
        put("emails", emails.into());
    }
    for (name, text) in [("displayName", &user.display_name), ("externalId", &user.external_id)] {
        if let Some(text) = text {
            put(name, text.as_str().into());
        }
    }
    let teams: Vec<_> = teams.iter().map(|team| team.shown(base)).collect();
    if !teams.is_empty() {
        put("groups", teams.into());
    }
    let times = (user.created_at, user.updated_at);
    put("meta", super::discovery::meta(&USER, base, &user.id, user.version, times));
    Ok(resource)
}

/// The addresses that were told, one of which is the user's.
fn emails(told: Option<Value>, address: Option<&str>) -> Vec<Value> {
    let mut emails = match told {
        Some(Value::Array(emails)) => emails,
        _ => Vec::new(),
    };
    let own = emails.iter().position(is_primary).unwrap_or(0);
    match (address, emails.get_mut(own)) {
        (Some(address), Some(own)) => own["value"] = address.into(),
        (Some(address), None) => {
            emails.push(json!({"value": address, "type": "work", "primary": true}));
        }
        (None, Some(_)) => drop(emails.remove(own)),
        (None, None) => {}
    }
    emails
}

/// What a client wants a user to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Draft {
    user_name: String,
    external_id: Option<String>,
    display_name: Option<String>,
    email: Option<String>,
    /// Unless nothing is said of it.
    active: Option<bool>,
    scim: Option<String>,
    settings: (Option<String>, Option<String>),
}

impl Draft {
    /// Of a resource that fits the schema.
    ///
    /// # Errors
    /// Every rule that it breaks.
    pub(super) fn of(mut resource: Resource) -> Result<Self, Refused> {
        for ours in ["schemas", "id", "meta", "groups", "password"] {
            resource.remove(ours);
        }
        resource.retain(|_, value| value.as_array().is_none_or(|values| !values.is_empty()));
        let mut faults = Faults::default();
        let name = text(&mut resource, "userName").unwrap_or_default();
        let user_name = faults.take("userName", rules::name(&name));
        let display = text(&mut resource, "displayName").as_deref().map(rules::name).transpose();
        let display_name = faults.take("displayName", display);
        let external_id = faults.take("externalId", external(text(&mut resource, "externalId")));
        let email = faults.take("emails", address(&mut resource));
        let active = resource.remove("active").and_then(|active| active.as_bool());
        if let Some(Value::Object(parts)) = resource.get_mut(ENTERPRISE)
            && let Some(Value::Object(manager)) = parts.get_mut("manager")
        {
            manager.remove("$ref");
        }
        let settings =
            ["locale", "timezone"].map(|name| resource.get(name)?.as_str().map(str::to_owned));
        let scim = faults.take("attributes", kept(&resource));
        let made = (|| {
            let (user_name, external_id, display_name) = (user_name?, external_id?, display_name?);
            let [locale, time_zone] = settings;
            let (email, scim, settings) = (email?, scim?, (locale, time_zone));
            Some(Self { user_name, external_id, display_name, email, active, scim, settings })
        })();
        faults.settle(made)
    }

    /// The user that it describes, with an id of its own.
    pub(super) fn user(&self, write: &Write<'_>) -> UserView {
        self.over(&UserView::blank(write))
    }

    /// Another user, as it describes it.
    pub(super) fn over(&self, user: &UserView) -> UserView {
        UserView {
            email: self.email.clone(),
            user_name: self.user_name.clone(),
            display_name: self.display_name.clone(),
            external_id: self.external_id.clone(),
            scim: self.scim.clone(),
            active: self.active.unwrap_or(user.active),
            ..user.clone()
        }
    }

    /// Settings to begin with.
    pub(super) fn settings(&self) -> NewSettings {
        let (locale, time_zone) = &self.settings;
        NewSettings::of_directory(locale.as_deref(), time_zone.as_deref())
    }
}

/// Takes the password out of a resource.
pub(super) fn password(resource: &mut Resource) -> Option<Password> {
    text(resource, "password").map(Password::new)
}

pub(super) fn text(resource: &mut Resource, name: &str) -> Option<String> {
    match resource.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// An id that others gave.
pub(super) fn external(id: Option<String>) -> Result<Option<String>, &'static str> {
    match id {
        Some(id) if id.len() > LONGEST_EXTERNAL => Err("has more than 512 bytes"),
        Some(id) if id.chars().any(char::is_control) => Err("holds a control character"),
        id => Ok(id),
    }
}

/// Brings the addresses into their stored form; the one that is the user's.
fn address(resource: &mut Resource) -> Result<Option<String>, &'static str> {
    let Some(Value::Array(emails)) = resource.get_mut("emails") else { return Ok(None) };
    for email in emails.iter_mut() {
        let address = email["value"].as_str().ok_or("has an entry without value")?;
        let address = rules::email(address).map_err(|_| "has a value that is not name@domain")?;
        email["value"] = address.into();
    }
    let own = emails.iter().find(|email| is_primary(email)).or_else(|| emails.first());
    Ok(own.and_then(|own| own["value"].as_str()).map(str::to_owned))
}

fn kept(resource: &Resource) -> Result<Option<String>, &'static str> {
    let text = serde_json::to_string(resource).unwrap_or_default();
    match resource.is_empty() {
        true => Ok(None),
        false if text.len() > rules::MAX_OBJECT_BYTES => Err("are larger than 16 KiB"),
        false => Ok(Some(text)),
    }
}
