//! Every command asks what the services' own descriptions have: paths, parameters, bodies.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::server::{Reply, Seen};
use super::valid::{Document, documents};
use super::{Exit, World};

const ID: &str = "0190a5c4-7f3a-7000-8000-00000000abcd";

/// What is typed, with `U` for an id; the requests that it makes, without prefix.
const COMMANDS: &[(&str, &[&str])] = &[
    ("tenant list --status active", &["GET /v1/tenants"]),
    ("tenant get", &["GET /v1/tenants/acme"]),
    ("tenant create globex --admin-email a@b.example", &["POST /v1/tenants"]),
    ("tenant rename globex Globex", &["PATCH /v1/tenants/globex"]),
    ("tenant suspend globex", &["POST /v1/tenants/globex/suspend"]),
    ("tenant resume globex", &["POST /v1/tenants/globex/reactivate"]),
    ("tenant delete globex --yes", &["DELETE /v1/tenants/globex"]),
    (
        "user list --email a@b.example --user-name a --active true --sort -created_at",
        &["GET /v1/tenants/acme/users"],
    ),
    ("user get U", &["GET /v1/tenants/acme/users/U"]),
    ("user get a@b.example", &["GET /v1/tenants/acme/users", "GET /v1/tenants/acme/users/U"]),
    ("user get ada", &["GET /v1/tenants/acme/users", "GET /v1/tenants/acme/users/U"]),
    (
        "user create --email a@b.example --user-name a --display-name A --attributes {\"a\":1} --password-file SECRET",
        &["POST /v1/tenants/acme/users"],
    ),
    (
        "user update U --display-name '' --attributes {\"a\":null}",
        &["PATCH /v1/tenants/acme/users/U"],
    ),
    (
        "user deactivate U --if-version 3 --idempotency-key k",
        &["POST /v1/tenants/acme/users/U/deactivate"],
    ),
    ("user reactivate U", &["POST /v1/tenants/acme/users/U/reactivate"]),
    ("user delete U", &["DELETE /v1/tenants/acme/users/U"]),
    ("user set-password U --password-file SECRET", &["PUT /v1/tenants/acme/users/U/password"]),
    ("user set-password U --remove", &["DELETE /v1/tenants/acme/users/U/password"]),
    ("user scopes U", &["GET /v1/tenants/acme/users/U/scopes"]),
    (
        "user scopes U --add audit:read,audit:write",
        &["GET /v1/tenants/acme/users/U/scopes", "PUT /v1/tenants/acme/users/U/scopes"],
    ),
    ("team list --name writers --sort name", &["GET /v1/tenants/acme/teams"]),
    ("team get writers", &["GET /v1/tenants/acme/teams", "GET /v1/tenants/acme/teams/U"]),
    ("team create writers --description D", &["POST /v1/tenants/acme/teams"]),
    ("team update U --name w --description ''", &["PATCH /v1/tenants/acme/teams/U"]),
    ("team delete U", &["DELETE /v1/tenants/acme/teams/U"]),
    ("team members U", &["GET /v1/tenants/acme/teams/U/members"]),
    ("team add U user:U", &["PUT /v1/tenants/acme/teams/U/members/user/U"]),
    (
        "team add U service_account:ci",
        &[
            "GET /v1/tenants/acme/service-accounts",
            "PUT /v1/tenants/acme/teams/U/members/service_account/U",
        ],
    ),
    (
        "team add U team:writers",
        &["GET /v1/tenants/acme/teams", "PUT /v1/tenants/acme/teams/U/members/team/U"],
    ),
    ("team remove U team:U", &["DELETE /v1/tenants/acme/teams/U/members/team/U"]),
    ("service-account list --name ci --active false", &["GET /v1/tenants/acme/service-accounts"]),
    ("service-account get U", &["GET /v1/tenants/acme/service-accounts/U"]),
    (
        "service-account create ci --description D --attributes {}",
        &["POST /v1/tenants/acme/service-accounts"],
    ),
    (
        "service-account scopes U --set authz:check",
        &[
            "GET /v1/tenants/acme/service-accounts/U/scopes",
            "PUT /v1/tenants/acme/service-accounts/U/scopes",
        ],
    ),
    ("service-account deactivate U", &["POST /v1/tenants/acme/service-accounts/U/deactivate"]),
    ("service-account reactivate U", &["POST /v1/tenants/acme/service-accounts/U/reactivate"]),
    ("service-account delete U", &["DELETE /v1/tenants/acme/service-accounts/U"]),
    ("key list --account U", &["GET /v1/tenants/acme/service-accounts/U/keys"]),
    (
        "key create --account U --name ci --scopes authz:check --expires 90d",
        &["POST /v1/tenants/acme/service-accounts/U/keys"],
    ),
    (
        "key rotate U --account U --overlap 10m",
        &["POST /v1/tenants/acme/service-accounts/U/keys/U/rotate"],
    ),
    ("key rotate U --account U", &["POST /v1/tenants/acme/service-accounts/U/keys/U/rotate"]),
    ("key revoke U --account U", &["DELETE /v1/tenants/acme/service-accounts/U/keys/U"]),
    ("role list --consistency-token AQ", &["GET /v1/tenants/acme/roles"]),
    ("role get editor", &["GET /v1/tenants/acme/roles/editor"]),
    (
        "role put editor --name E --allow 'write on document:d if true' --allow read",
        &["PUT /v1/tenants/acme/roles/editor"],
    ),
    ("role put editor -f ROLE", &["PUT /v1/tenants/acme/roles/editor"]),
    ("role delete editor", &["DELETE /v1/tenants/acme/roles/editor"]),
    (
        "grant user:u-1 editor --on folder:f-1 --expires 2030-01-01T00:00:00Z --only-new --consistency-token AQ",
        &["POST /v1/tenants/acme/relationships"],
    ),
    ("grant team:w editor", &["POST /v1/tenants/acme/relationships"]),
    ("revoke user:u-1 editor --on folder", &["POST /v1/tenants/acme/relationships"]),
    (
        "relationships list --kind parent --resource document:d --parent folder:f",
        &["GET /v1/tenants/acme/relationships"],
    ),
    (
        "relationships list --subject user:u --team t --role r --resource-type document",
        &["GET /v1/tenants/acme/relationships"],
    ),
    ("relationships write -f WRITES", &["POST /v1/tenants/acme/relationships"]),
    ("resource list document", &["GET /v1/tenants/acme/resources/document"]),
    (
        "resource get document:d-9",
        &["GET /v1/tenants/acme/resources/document/d-9", "GET /v1/tenants/acme/relationships"],
    ),
    (
        "resource put document:d-9 --attributes {\"a\":1}",
        &["PUT /v1/tenants/acme/resources/document/d-9"],
    ),
    (
        "resource put document:d-9 --attributes {} --parent folder:f-1 --parent folder:f-2",
        &["PUT /v1/tenants/acme/resources/document/d-9", "POST /v1/tenants/acme/relationships"],
    ),
    ("resource delete document:d-9", &["DELETE /v1/tenants/acme/resources/document/d-9"]),
    (
        "check user:u-1 read document:d-9 --context {\"a\":1} --subject-properties {} --action-properties {} \
         --resource-properties {\"s\":1} --at-least AQ",
        &["POST /v1/tenants/acme/check"],
    ),
    ("check --batch CHECKS --at-least AQ", &["POST /v1/tenants/acme/check/batch"]),
    ("explain user:u-1 read document:d-9", &["POST /v1/tenants/acme/explain"]),
    (
        "audit query --from -24h --to now --actor u-1 --action a --resource document:d --status denied --order oldest",
        &["GET /v1/tenants/acme/audit"],
    ),
    (
        "audit export --from today --resource-type t --resource-id d --order newest",
        &["GET /v1/tenants/acme/audit/export"],
    ),
    ("audit get U", &["GET /v1/tenants/acme/audit/U"]),
    (
        "audit send --action a.b --actor user:u --resource document:d --status success --source-ip ::1 --details {\"a\":1} --id x",
        &["POST /v1/tenants/acme/audit"],
    ),
    ("audit send -f EVENTS", &["POST /v1/tenants/acme/audit"]),
    ("whoami --token t", &["POST /oauth2/introspect"]),
    ("login --api-key-file SECRET", &["POST /oauth2/token"]),
    ("login", &["POST /oauth2/device_authorization", "POST /oauth2/token"]),
];

/// An answer that any of them can go on with.
fn answer(seen: &Seen) -> Reply {
    let entry = json!({"id": ID, "event_id": ID, "scopes": ["audit:read"]});
    let all = json!({"id": ID, "items": [entry], "roles": [entry], "resources": [entry], "relationships": [],
        "events": [entry], "results": [{"decision": true}], "decision": true, "revision": "AQ",
        "scopes": ["audit:read"], "active": true, "access_token": "a.b.c", "refresh_token": "r", "expires_in": 300,
        "device_code": "d", "user_code": "u", "verification_uri": "http://h/device"});
    match seen.path.ends_with("/audit/export") {
        true => Reply::text(200, "{}\n"),
        false => Reply::json(200, &all),
    }
}

#[tokio::test]
async fn every_command_asks_what_the_services_describe() {
    let mut world = World::new(|seen, _| answer(seen)).await;
    for (name, path) in [("IDENTITY", "identity"), ("AUTHZ", "authz"), ("AUDIT", "audit")] {
        let url = format!("{}/{path}", world.server.url);
        let name: &'static str = ["TRIAD_IDENTITY_URL", "TRIAD_AUTHZ_URL", "TRIAD_AUDIT_URL"]
            .into_iter()
            .find(|variable| variable.contains(name))
            .unwrap();
        world.env.insert(name, url);
    }
    let files = [
        ("SECRET", world.file("secret", "triad_dev_x\n")),
        ("ROLE", world.file("role", r#"{"permissions": [{"action": "read"}]}"#)),
        ("CHECKS", world.file("checks", r#"{"subject":"user:u","action":"read","resource":"document:d"}"#)),
        ("EVENTS", world.file("events", r#"{"action":"a.b"}"#)),
        (
            "WRITES",
            world.file(
                "writes",
                r#"{"relation":"member_of","subject":{"type":"user","id":"u"},"team":"t","expired":true}"#,
            ),
        ),
    ];
    let documents = documents();
    let mut begun = 0;
    for (line, expected) in COMMANDS {
        let mut typed = line.replace(" U", &format!(" {ID}")).replace(":U", &format!(":{ID}"));
        for (name, path) in &files {
            typed = typed.replace(&format!(" {name}"), &format!(" {path}"));
        }
        let ran = world.run(&typed).await;
        assert_eq!(ran.exit, Exit::Ok, "{line}: {ran:?}");
        let seen = world.server.seen().split_off(begun);
        begun += seen.len();
        let asked: Vec<_> = seen.iter().map(|seen| check(&documents, line, seen)).collect();
        assert_eq!(&asked, expected, "{line}");
    }
}

/// What was asked, without the prefix of its service and with `U` for the id, once it is found in the description.
fn check(documents: &[Document], line: &str, seen: &Seen) -> String {
    let (service, path) = seen.path[1..].split_once('/').unwrap();
    let document = documents.iter().find(|document| document.service == service).unwrap();
    let path = format!("/{path}");
    let query: BTreeSet<&str> = seen.query.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(query.len(), seen.query.len(), "{line}: a parameter came twice: {:?}", seen.query);
    let json = seen.header("content-type").filter(|kind| kind.starts_with("application/json"));
    let body: Option<Value> = json.map(|_| seen.json());
    document.check((&seen.method, &path), &query, body.as_ref()).unwrap_or_else(|why| {
        panic!("{line}: {} {path}: {why}", seen.method);
    });
    format!("{} {}", seen.method, path.replace(ID, "U"))
}
