//! What AuthZEN's certification scenario asks a decision point to know, as requests to the native API.

use serde_json::{Value, json};

/// A request that brings a part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// `PUT` or `POST`.
    pub method: &'static str,
    /// With the tenant in it.
    pub path: String,
    /// JSON.
    pub body: Value,
}

/// Writing is refused to everyone but administrators once a record is archived.
const ARCHIVED: &str =
    r#"has(resource.properties.status) && resource.properties.status == "archived""#;
const ADMIN: &str = r#"has(subject.properties.role) && subject.properties.role == "admin""#;
const SOFT: &str = "has(action.properties.soft) && action.properties.soft == true";

/// Everything, in order. Repeating it changes nothing. Subjects are put by it too, so identities must not
/// be synced (`sync.mode: none`).
#[must_use]
pub fn requests(tenant: &str) -> Vec<Request> {
    let at = |path: &str| format!("/v1/tenants/{tenant}/{path}");
    let put = |path: &str, body: Value| Request { method: "PUT", path: at(path), body };
    let role = |id: &str, permissions: Value| {
        put(&format!("roles/{id}"), json!({ "permissions": permissions }))
    };
    let records = json!({ "type": "record" });
    let permission = |action: &str, condition: String| json!({ "action": action, "on": records, "condition": condition });
    let has = |id: &str, role: &str| {
        let subject = json!({ "type": "user", "id": id });
        let relationship = json!({ "relation": "has_role", "subject": subject, "role": role });
        json!({ "op": "touch", "relationship": relationship })
    };
    vec![
        put("subjects/user/alice", json!({})),
        put("subjects/user/bob", json!({ "attributes": { "role": "admin" } })),
        put("resources/record/record-1", json!({ "attributes": { "status": "active" } })),
        put("resources/record/record-2", json!({ "attributes": { "status": "archived" } })),
        role("reader", json!([{ "action": "read", "on": records }])),
        role(
            "editor",
            json!([
                permission("write", format!("!({ARCHIVED}) || ({ADMIN})")),
                permission("delete", SOFT.to_owned()),
            ]),
        ),
        role("archivist", json!([permission("write", format!("{ARCHIVED} && {ADMIN}"))])),
        Request {
            method: "POST",
            path: at("relationships"),
            body: json!({ "writes": [
                has("alice", "reader"), has("bob", "reader"), has("alice", "editor"), has("bob", "archivist"),
            ] }),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::write::EntityForm;
    use crate::model::{Condition, Role, WriteList};

    #[test]
    fn every_part_is_what_the_native_api_takes() {
        for Request { path, body, .. } in requests("acme") {
            let read = match path.split('/').nth(4) {
                Some("roles") => {
                    let role: Role = serde_json::from_value(body).unwrap();
                    let conditions = role.permissions.iter().filter_map(|p| p.condition.as_ref());
                    for condition in conditions {
                        Condition::compile(condition).unwrap();
                    }
                    role.check().is_ok()
                }
                Some("relationships") => {
                    serde_json::from_value::<WriteList>(body).unwrap().check().is_ok()
                }
                _ => serde_json::from_value::<EntityForm>(body).is_ok(),
            };
            assert!(read, "{path}");
        }
    }
}
