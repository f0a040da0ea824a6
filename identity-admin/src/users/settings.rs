//! How a user wants things: made with the user, changed on its own.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::change::Refused;
use crate::rules::{self, Faults, present};

const LOCALE: &str = "en";
const TIME_ZONE: &str = "UTC";

/// Settings to be made, or to replace those that there are; what is absent gets its default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsForm {
    /// A language tag (BCP 47); `en` when absent.
    locale: Option<String>,
    /// A time zone by IANA's name; `UTC` when absent.
    time_zone: Option<String>,
    /// Whatever applications keep for the user, up to 16 KiB.
    #[serde(default)]
    preferences: Map<String, Value>,
}

/// Settings that may be stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewSettings {
    pub(super) locale: String,
    pub(super) time_zone: String,
    pub(super) preferences: Map<String, Value>,
}

impl NewSettings {
    /// Of a user whose directory may say how it speaks and where it is; what is no such thing is not said.
    pub(crate) fn of_directory(locale: Option<&str>, time_zone: Option<&str>) -> Self {
        let locale = locale.and_then(|locale| rules::locale(locale).ok());
        let time_zone = time_zone.and_then(|zone| rules::time_zone(zone).ok());
        Self {
            locale: locale.unwrap_or_else(|| LOCALE.to_owned()),
            time_zone: time_zone.unwrap_or_else(|| TIME_ZONE.to_owned()),
            preferences: Map::new(),
        }
    }
}

impl SettingsForm {
    /// What it asks for; faults are told of fields behind `prefix`.
    pub(super) fn check(self, faults: &mut Faults, prefix: &str) -> Option<NewSettings> {
        let locale = rules::locale(self.locale.as_deref().unwrap_or(LOCALE));
        let time_zone = rules::time_zone(self.time_zone.as_deref().unwrap_or(TIME_ZONE));
        let locale = faults.take(&format!("{prefix}locale"), locale);
        let time_zone = faults.take(&format!("{prefix}time_zone"), time_zone);
        let preferences = rules::object(self.preferences);
        let preferences = faults.take(&format!("{prefix}preferences"), preferences);
        Some(NewSettings { locale: locale?, time_zone: time_zone?, preferences: preferences? })
    }
}

/// A merge patch (RFC 7396) of settings; null brings the default back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsPatch {
    /// A language tag (BCP 47).
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    locale: Option<Option<String>>,
    /// A time zone by IANA's name.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    time_zone: Option<Option<String>>,
    /// Merged into those that there are.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Map<String, Value>>)]
    preferences: Option<Option<Map<String, Value>>>,
}

impl SettingsPatch {
    /// The settings as they would be.
    ///
    /// # Errors
    /// Every rule that they would break.
    pub(super) fn apply(&self, present: &SettingsView) -> Result<NewSettings, Refused> {
        let text = |patch: &Option<Option<String>>, present: &str| match patch {
            None => Some(present.to_owned()),
            Some(patch) => patch.clone(),
        };
        let mut preferences = present.preferences.clone();
        match &self.preferences {
            None => {}
            Some(None) => preferences.clear(),
            Some(Some(patch)) => rules::merge(&mut preferences, patch.clone()),
        }
        let form = SettingsForm {
            locale: text(&self.locale, &present.locale),
            time_zone: text(&self.time_zone, &present.time_zone),
            preferences,
        };
        let mut faults = Faults::default();
        let made = form.check(&mut faults, "");
        faults.settle(made)
    }
}

/// Settings of a user.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct SettingsView {
    /// A language tag (BCP 47).
    pub(super) locale: String,
    /// A time zone by IANA's name.
    pub(super) time_zone: String,
    /// Whatever applications keep for the user.
    pub(super) preferences: Map<String, Value>,
    /// Counts their changes; what `ETag` says, between quotes.
    pub(super) version: i64,
    /// When they were last changed.
    pub(super) updated_at: DateTime<Utc>,
}

impl SettingsView {
    /// What they hold, without their version.
    pub(super) fn held(&self) -> NewSettings {
        let Self { locale, time_zone, preferences, .. } = self.clone();
        NewSettings { locale, time_zone, preferences }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_keeps_what_it_does_not_name_and_null_brings_the_default_back() {
        let present = SettingsView {
            locale: "de-AT".to_owned(),
            time_zone: "Europe/Vienna".to_owned(),
            preferences: Map::from_iter([("a".to_owned(), json!(1))]),
            version: 1,
            updated_at: DateTime::default(),
        };
        let patched =
            |patch: Value| serde_json::from_value::<SettingsPatch>(patch).unwrap().apply(&present);
        assert_eq!(patched(json!({})).unwrap(), present.held());
        let new = patched(json!({"locale": null, "preferences": {"b": 2}})).unwrap();
        assert_eq!((new.locale.as_str(), new.time_zone.as_str()), ("en", "Europe/Vienna"));
        assert_eq!(Value::Object(new.preferences), json!({"a": 1, "b": 2}));
        assert!(patched(json!({"time_zone": "a b"})).is_err());
    }
}
