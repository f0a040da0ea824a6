//! SCIM: directories provision a tenant's users and teams.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use contracts::identity::Change;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use super::credentials::Installed;
use super::people::{is_active, logged_in, refresh};
use super::{Answer, Identities, Service};
use crate::issuer::Issuer;

const USERS: &str = "/scim/v2/Users";
const GROUPS: &str = "/scim/v2/Groups";

/// A service whose callers are acme's, where a route names no tenant.
async fn acme(overrides: &[(&str, &str)]) -> Result<(Identities, Service)> {
    let own = [("AUTH__DEFAULT_TENANT", "acme")];
    let all: Vec<_> = own.into_iter().chain(overrides.iter().copied()).collect();
    let identities = Identities::new(&all).await?;
    let service = identities.start().await?;
    service.tenant("acme").await?;
    Ok((identities, service))
}

fn patch(operations: impl Into<Value>) -> Value {
    let operations: Value = operations.into();
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations})
}

/// What a filter finds, by name.
async fn found(service: &Service, path: &str, query: &[(&str, &str)]) -> Result<Answer> {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    service.get(&format!("{path}?{query}")).await
}

fn names(answer: &Answer) -> Vec<&str> {
    let resources = answer.body["Resources"].as_array().into_iter().flatten();
    resources.filter_map(|r| r["userName"].as_str().or(r["displayName"].as_str())).collect()
}

fn kind(answer: &Answer) -> &str {
    answer.body["scimType"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn the_conformance_tester_finds_nothing() -> Result<()> {
    let tester = std::env::var("TRIAD_SCIM_TESTER").context("no TRIAD_SCIM_TESTER: tests/run")?;
    let issuer = Issuer::new()?;
    let keys = issuer.keys();
    let identities = Identities::new(&[("AUTH__MODE", "jwt"), ("AUTH__JWKS_FILE", &keys)]).await?;
    let installed = Installed::of(&identities)?;
    let service = installed.start().await?;
    let system = issuer.bearer("_system", "service_account:ops", "system:admin tenant:admin")?;
    let tenant = json!({"id": "acme", "name": "acme", "administrator": {"email": "a@b.c"}});
    let headers = [("authorization", system.as_str())];
    service.ask(Method::POST, "/v1/tenants", &headers, tenant).await?.must(201)?;
    let bearer = issuer.bearer("acme", "service_account:okta", "identity:read identity:write")?;
    let mut command = Command::new(tester);
    command.args(["--url", &service.url("/scim/v2"), "test", "--verbose"]);
    command.env("SCIM_CLI_HEADERS", format!("Authorization: {bearer}")).kill_on_drop(true);
    let output = timeout(Duration::from_secs(120), command.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    service.stop().await
}

#[tokio::test]
async fn a_directory_provisions_a_user_and_takes_it_away() -> Result<()> {
    let installed =
        Installed::new(&[("AUTH__DEFAULT_TENANT", "acme"), ("SCIM__PASSWORDS", "set")]).await?;
    let service = installed.start().await?;
    service.tenant("acme").await?;
    let sent = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "Ada@Acme.example", "externalId": "00u1", "displayName": "Ada",
        "name": {"givenName": "Ada", "familyName": "Lovelace"}, "locale": "en-GB", "timezone": "Europe/London",
        "emails": [{"value": "Ada@Acme.example", "type": "work", "primary": true}],
        "password": "correct horse battery", "active": true, "groups": [],
    });
    let made = service.post(USERS, sent.clone()).await?.must(201)?;
    let id = made.id()?;
    let at = format!("{USERS}/{id}");
    ensure!(made.header("content-type") == "application/scim+json", "{:?}", made.headers);
    ensure!(made.header("location") == made.body["meta"]["location"], "{:?}", made.headers);
    ensure!(made.header("etag") == "W/\"1\"" && made.body["meta"]["version"] == "W/\"1\"");
    ensure!(!made.header("triad-consistency-token").is_empty(), "{:?}", made.headers);
    ensure!(made.body["password"].is_null() && !made.body.to_string().contains("horse"));

    // No other has its name, in whatever case, nor its address.
    let mut other = sent.clone();
    other["userName"] = "ADA@acme.example".into();
    other["emails"] = json!([{"value": "other@acme.example"}]);
    let refused = service.post(USERS, other.clone()).await?.must(409)?;
    ensure!(kind(&refused) == "uniqueness" && refused.body["status"] == "409", "{}", refused.body);
    (other["userName"], other["emails"]) = ("other".into(), sent["emails"].clone());
    let refused = service.post(USERS, other).await?.must(409)?;
    ensure!(refused.body["detail"] == "emails is taken", "{}", refused.body);

    // As directories look for it.
    let query =
        [("filter", r#"userName eq "ADA@ACME.EXAMPLE""#), ("startIndex", "1"), ("count", "2")];
    let seen = found(&service, USERS, &query).await?.must(200)?;
    ensure!(
        seen.body["totalResults"] == 1 && seen.body["Resources"][0]["id"] == id,
        "{}",
        seen.body
    );
    let v1 = format!("/v1/tenants/acme/users/{id}");
    let known = service.get(&v1).await?.must(200)?;
    ensure!(known.body["external_id"] == "00u1" && known.body["email"] == "ada@acme.example");
    let settings = service.get(&format!("{v1}/settings")).await?.must(200)?;
    ensure!(settings.body["locale"] == "en-GB" && settings.body["time_zone"] == "Europe/London");

    // An address that is changed elsewhere is that of the entry that is primary.
    service.patch(&v1, "", json!({"email": "a.l@acme.example"})).await?.must(200)?;
    let now = service.get(&at).await?.must(200)?;
    let emails = json!([{"value": "a.l@acme.example", "type": "work", "primary": true}]);
    ensure!(now.body["emails"] == emails && now.header("etag") == "W/\"2\"", "{}", now.body);
    let known = [("if-none-match", "W/\"2\"")];
    let without = format!("{at}?excludedAttributes=groups");
    service.ask(Method::GET, &without, &known, Value::Null).await?.must(304)?;
    // Its teams may have changed without another version of it.
    service.ask(Method::GET, &at, &known, Value::Null).await?.must(200)?;

    let operations = json!([
        {"op": "Replace", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "Engines"},
        {"op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "+44 1"},
    ]);
    service.patch(&at, "W/\"1\"", patch(operations.clone())).await?.must(412)?;
    let now = service.patch(&at, "W/\"2\"", patch(operations.clone())).await?.must(200)?;
    ensure!(
        now.body["phoneNumbers"] == json!([{"type": "mobile", "value": "+44 1"}]),
        "{}",
        now.body
    );
    ensure!(now.header("etag") == "W/\"3\"");
    // The same again changes nothing.
    let same = service.patch(&at, "", patch(operations)).await?.must(200)?;
    ensure!(same.header("etag") == "W/\"3\"", "{:?}", same.headers);
    // What Triad alone knows stays.
    let attributes = json!({"attributes": {"level": 3}});
    service.patch(&v1, "", attributes).await?.must(200)?;
    let mut whole = sent.clone();
    whole["nickName"] = "Ada".into();
    let now = service.ask(Method::PUT, &at, &[], whole).await?.must(200)?;
    ensure!(now.body["phoneNumbers"].is_null() && now.body["nickName"] == "Ada", "{}", now.body);
    ensure!(service.get(&v1).await?.body["attributes"]["level"] == 3);

    let (access, renewal) = logged_in(&service, "ada@acme.example").await?;
    ensure!(is_active(&installed, &service, &access).await?);
    let off = json!([{"op": "Replace", "path": "active", "value": "False"}]);
    let now = service.patch(&at, "", patch(off)).await?.must(200)?;
    ensure!(now.body["active"] == false, "{}", now.body);
    ensure!(!is_active(&installed, &service, &access).await?);
    refresh(&service, &renewal, "").await?.must(400)?;
    // What says nothing of it leaves it so.
    let mut silent = sent.clone();
    silent
        .as_object_mut()
        .context("no object")?
        .retain(|name, _| !["active", "password"].contains(&name.as_str()));
    let now = service.ask(Method::PUT, &at, &[], silent).await?.must(200)?;
    ensure!(now.body["active"] == false, "{}", now.body);

    service.delete(&at).await?.must(204)?;
    let gone = service.get(&at).await?.must(404)?;
    ensure!(gone.body["schemas"][0] == "urn:ietf:params:scim:api:messages:2.0:Error");
    let again = service.post(USERS, sent).await?.must(201)?.id()?;
    ensure!(again != id, "the name is free");

    let db = &installed.identities.db;
    let sql =
        "SELECT payload FROM outbox WHERE tenant_id = 'acme' AND topic = 'changes' ORDER BY id";
    let rows = db.rows(sql, &[]).await?;
    let kinds = rows
        .iter()
        .map(|row| anyhow::Ok(Change::parse(row.text("payload")?.as_bytes())?.kind.name()));
    let kinds: Vec<_> = kinds.collect::<Result<_>>()?;
    let expected = ["user.deactivated", "user.updated", "user.deleted", "user.created"];
    ensure!(kinds.ends_with(&expected), "{kinds:?}");
    let sql = "SELECT payload AS kept FROM outbox UNION ALL \
               SELECT CONVERT(answer USING utf8mb4) FROM idempotency_keys";
    for row in db.rows(sql, &[]).await? {
        ensure!(!row.text("kept")?.contains("horse"));
    }
    service.stop().await
}

#[tokio::test]
async fn searches_find_sort_and_page() -> Result<()> {
    let (_, service) = acme(&[("SCIM__MAX_SCAN", "40")]).await?;
    for number in 0..30 {
        let user = json!({
            "userName": format!("User{number:02}"), "externalId": format!("x{number}"), "active": number % 2 == 0,
            "name": {"familyName": if number % 3 == 0 { "Meyer" } else { "Huber" }},
            "title": if number < 3 { Value::Null } else { format!("T{:02}", 30 - number).into() },
            "emails": [{"value": format!("u{number}@a.example")}, {"value": format!("w{number}@b.example"), "type": "work"}],
        });
        service.post(USERS, user).await?.must(201)?;
    }
    for (filter, total) in [
        (r#"userName eq "user07""#, 1),
        (r#"externalId eq "x7""#, 1),
        (r#"externalId eq "X7""#, 0),
        (r#"id eq "nobody""#, 0),
        (r#"userName sw "user0""#, 10),
        (r#"userName sw "user0" and active eq true"#, 5),
        (r#"name.familyName eq "meyer" and active eq false"#, 5),
        (r#"not (name.familyName eq "meyer") and userName sw "user""#, 20),
        (r#"emails.value eq "W7@b.example""#, 1),
        (r#"emails[type eq "work" and value eq "w7@b.example"]"#, 1),
        (r#"emails[type eq "work" and value eq "u7@a.example"]"#, 0),
        (r#"title pr"#, 27),
        (r#"meta.created gt "2020-01-01T00:00:00Z""#, 31),
        (r#"meta.lastModified lt "2020-01-01T00:00:00Z" or userName eq "user01""#, 1),
        (r#"active eq true"#, 16),
    ] {
        let seen = found(&service, USERS, &[("filter", filter)]).await?.must(200)?;
        ensure!(seen.body["totalResults"] == total, "{filter}: {}", seen.body["totalResults"]);
    }
    // By the database's order, and by one that it does not know: what has no title comes last, and first turned round.
    for (query, expected) in [
        (
            &[
                ("sortBy", "userName"),
                ("sortOrder", "descending"),
                ("startIndex", "2"),
                ("count", "3"),
            ][..],
            ["User28", "User27", "User26"],
        ),
        (
            &[("sortBy", "title"), ("count", "3"), ("filter", "userName sw \"user\"")],
            ["User29", "User28", "User27"],
        ),
        (
            &[
                ("sortBy", "title"),
                ("startIndex", "27"),
                ("count", "3"),
                ("filter", "userName sw \"user\""),
            ],
            ["User03", "User00", "User01"],
        ),
        (
            &[
                ("sortBy", "title"),
                ("sortOrder", "descending"),
                ("startIndex", "3"),
                ("count", "3"),
                ("filter", "userName sw \"user\""),
            ],
            ["User00", "User03", "User04"],
        ),
        (
            &[("sortBy", "emails.value"), ("count", "3"), ("startIndex", "2")],
            ["User00", "User10", "User11"],
        ),
    ] {
        let seen = found(&service, USERS, query).await?.must(200)?;
        ensure!(names(&seen) == expected, "{query:?}: {:?}", names(&seen));
        ensure!(seen.body["itemsPerPage"] == 3, "{}", seen.body);
    }
    let counted = found(&service, USERS, &[("count", "0")]).await?.must(200)?;
    ensure!(counted.body["totalResults"] == 31 && names(&counted).is_empty(), "{}", counted.body);
    let beyond = found(&service, USERS, &[("startIndex", "40")]).await?.must(200)?;
    ensure!(beyond.body["totalResults"] == 31 && names(&beyond).is_empty(), "{}", beyond.body);
    let negative =
        found(&service, USERS, &[("startIndex", "-5"), ("count", "-1")]).await?.must(200)?;
    ensure!(
        negative.body["startIndex"] == 1 && negative.body["itemsPerPage"] == 0,
        "{}",
        negative.body
    );

    let search =
        json!({"filter": "userName eq \"user07\"", "attributes": ["emails.type"], "count": 5});
    let seen = service.post(&format!("{USERS}/.search"), search).await?.must(200)?;
    let one = &seen.body["Resources"][0];
    ensure!(
        one["emails"] == json!([{}, {"type": "work"}])
            || one["emails"] == json!([{"type": "work"}]),
        "{one}"
    );
    ensure!(one["userName"].is_null() && one["id"].is_string(), "{one}");
    service.post(GROUPS, json!({"displayName": "Meyers"})).await?.must(201)?;
    let search = json!({"attributes": ["displayName", "userName"], "startIndex": 31, "count": 5});
    let seen = service.post("/scim/v2/.search", search).await?.must(200)?;
    ensure!(
        seen.body["totalResults"] == 32 && names(&seen) == ["User29", "Meyers"],
        "{}",
        seen.body
    );

    for number in 0..15 {
        service.post(USERS, json!({"userName": format!("more{number}")})).await?.must(201)?;
    }
    for (query, wrong) in [
        (("filter", "title pr"), "tooMany"),
        (("filter", "title is \"x\""), "invalidFilter"),
        (("filter", "shoeSize eq \"9\""), "invalidFilter"),
        (("sortBy", "shoeSize"), "invalidPath"),
        (("sortOrder", "sideways"), "invalidValue"),
        (("count", "many"), "invalidValue"),
        (("attributes", "shoeSize"), "invalidPath"),
    ] {
        let refused = found(&service, USERS, &[query]).await?.must(400)?;
        ensure!(kind(&refused) == wrong, "{query:?}: {}", refused.body);
    }
    // What the database narrows is searched all the same.
    let query = [("filter", "active eq true and title pr and id pr")];
    found(&service, USERS, &query).await?.must(200)?;
    service.stop().await
}

#[tokio::test]
async fn groups_hold_thousands_and_never_themselves() -> Result<()> {
    const MANY: usize = 10_000;
    let (identities, service) = acme(&[]).await?;
    let ids: Vec<String> = (0..MANY).map(|_| uuid::Uuid::now_v7().to_string()).collect();
    for some in ids.chunks(1000) {
        let rows = vec!["(?, 'acme', '!', ?, ?, '{}', NOW(6), NOW(6))"; some.len()].join(", ");
        let sql = format!(
            "INSERT INTO users (id, tenant_id, hashed_password, user_name, user_name_key, attributes, \
             created_at, updated_at) VALUES {rows}"
        );
        let row = |id: &String| [id.into(), id.into(), id.into()];
        identities.db.execute(sql, &some.iter().flat_map(row).collect::<Vec<_>>()).await?;
    }
    let inner = service
        .post(GROUPS, json!({"displayName": "Inner", "externalId": "g1"}))
        .await?
        .must(201)?
        .id()?;
    let all: Vec<_> = ids.iter().map(|id| json!({"value": id, "type": "User"})).collect();
    let at = format!("{GROUPS}/{inner}");
    let add = json!([{"op": "add", "path": "members", "value": all}]);
    let added = service.patch(&at, "W/\"1\"", patch(add)).await?.must(204)?;
    ensure!(added.header("etag") == "W/\"2\"", "{:?}", added.headers);
    ensure!(identities.changes("acme").await?.len() == 2 + MANY + 1);

    let small = service.get(&format!("{at}?excludedAttributes=members")).await?.must(200)?;
    ensure!(small.body["members"].is_null() && small.body["externalId"] == "g1", "{}", small.body);
    let whole = service.get(&at).await?.must(200)?;
    let members = whole.body["members"].as_array().context("no members")?;
    ensure!(members.len() == MANY);
    let first = &members[0];
    ensure!(first["type"] == "User" && first["display"].is_null(), "{first}");
    ensure!(
        first["$ref"]
            .as_str()
            .is_some_and(|place| place.ends_with(&format!("/scim/v2/Users/{}", ids[0]))),
        "{first}"
    );
    let shown = service.get(&format!("{at}?attributes=members.display")).await?.must(200)?;
    ensure!(shown.body["members"][0] == json!({"display": ids[0]}), "{}", shown.body["members"][0]);
    for filter in [
        format!("id eq \"{inner}\" and members eq \"{}\"", ids[7]),
        format!("members[value eq \"{}\"]", ids[7]),
        "displayName eq \"Inner\"".to_owned(),
    ] {
        let query = [("filter", filter.as_str()), ("excludedAttributes", "members")];
        let seen = found(&service, GROUPS, &query).await?.must(200)?;
        ensure!(names(&seen) == ["Inner"], "{filter}: {}", seen.body);
    }

    // A service account in a team is none of the directory's business.
    let account = json!({"name": "s"});
    let account =
        service.post("/v1/tenants/acme/service-accounts", account).await?.must(201)?.id()?;
    let team = format!("/v1/tenants/acme/teams/{inner}/members");
    service.put(&format!("{team}/service_account/{account}")).await?.must(201)?;
    for (operation, left) in [
        (json!({"op": "remove", "path": format!("members[value eq \"{}\"]", ids[0])}), MANY - 1),
        (
            json!({"op": "Remove", "path": "members", "value": [{"value": ids[1]}, {"value": ids[2]}]}),
            MANY - 3,
        ),
        (json!({"op": "remove", "path": "members[value eq \"nobody\"]"}), MANY - 3),
        (
            json!({"op": "remove", "path": format!("members[value sw \"{}\" or type eq \"Group\"]", ids[3])}),
            MANY - 4,
        ),
        (
            json!({"op": "replace", "path": "members", "value": [{"value": ids[5]}, {"value": ids[6]}]}),
            2,
        ),
        (
            json!({"op": "add", "path": "members", "value": [{"value": ids[5]}, {"value": ids[4]}]}),
            3,
        ),
        (json!({"op": "replace", "value": {"id": inner, "displayName": "Core"}}), 3),
    ] {
        let said = operation.to_string();
        service.patch(&at, "", patch(json!([operation]))).await?.must(204)?;
        let members =
            service.get(&at).await?.must(200)?.body["members"].as_array().map_or(0, Vec::len);
        ensure!(members == left, "{said}: {members}");
    }
    service.get(&format!("{team}?limit=1")).await?.must(200)?;

    let outer = json!({"displayName": "Outer", "members": [{"value": inner}]});
    let outer = service.post(GROUPS, outer).await?.must(201)?;
    ensure!(outer.body["members"][0]["type"] == "Group", "{}", outer.body);
    let outer = outer.id()?;
    let user = service.get(&format!("{USERS}/{}", ids[5])).await?.must(200)?;
    let mut groups: Vec<_> = user.body["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|group| (group["display"].as_str(), group["type"].as_str()))
        .collect();
    groups.sort_unstable();
    ensure!(
        groups == [(Some("Core"), Some("direct")), (Some("Outer"), Some("indirect"))],
        "{groups:?}"
    );
    let query = [("filter", "groups.display eq \"outer\""), ("attributes", "id")];
    let seen = found(&service, USERS, &query).await?.must(200)?;
    ensure!(seen.body["totalResults"] == 3, "{}", seen.body);

    let before = identities.changes("acme").await?.len();
    for (group, member) in [(&inner, &outer), (&inner, &inner)] {
        let ring = json!([{"op": "add", "path": "members", "value": [{"value": ids[9]}, {"value": member}]}]);
        let refused =
            service.patch(&format!("{GROUPS}/{group}"), "", patch(ring)).await?.must(400)?;
        ensure!(kind(&refused) == "invalidValue", "{}", refused.body);
    }
    let stranger = json!({"displayName": "S", "members": [{"value": "nobody"}]});
    ensure!(kind(&service.post(GROUPS, stranger).await?.must(400)?) == "invalidValue");
    let taken = service.post(GROUPS, json!({"displayName": "Core"})).await?.must(409)?;
    ensure!(kind(&taken) == "uniqueness", "{}", taken.body);
    ensure!(identities.changes("acme").await?.len() == before, "refusals change nothing");

    let whole = json!({"displayName": "Core", "members": [{"value": ids[8]}]});
    let now = service.ask(Method::PUT, &at, &[], whole).await?.must(200)?;
    ensure!(
        now.body["members"].as_array().map(Vec::len) == Some(1) && now.body["externalId"].is_null()
    );
    let held = service.list(&team, "").await?;
    let mut kinds: Vec<_> = held.iter().filter_map(|member| member["type"].as_str()).collect();
    kinds.sort_unstable();
    ensure!(kinds == ["service_account", "user"], "{held:?}");
    let silent = json!({"displayName": "Core"});
    let now = service.ask(Method::PUT, &at, &[], silent).await?.must(200)?;
    ensure!(now.body["members"].as_array().map(Vec::len) == Some(1), "of members nothing is said");
    let empty = json!({"displayName": "Core", "members": []});
    let now = service.ask(Method::PUT, &at, &[], empty).await?.must(200)?;
    ensure!(now.body["members"].is_null(), "{}", now.body);
    // Databases compare without the space at the end.
    service.delete(&format!("{at}%20")).await?.must(404)?;
    service.delete(&at).await?.must(204)?;
    service.get(&at).await?.must(404)?;
    service.stop().await
}

#[tokio::test]
async fn a_bulk_request_is_done_in_the_order_of_its_references_and_goes_on_where_it_broke_off()
-> Result<()> {
    let (identities, service) = acme(&[("SCIM__MAX_OPERATIONS", "6")]).await?;
    let operation = |method: &str, path: &str, id: &str, data: Value| json!({"method": method, "path": path, "bulkId": id, "data": data});
    let bulk = |operations: Value| json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations});
    let job = bulk(json!([
        operation(
            "POST",
            "/Groups",
            "g",
            json!({"displayName": "G", "members": [{"value": "bulkId:u"}]})
        ),
        operation(
            "PATCH",
            "/Users/bulkId:u",
            "p",
            patch(json!([{"op": "add", "path": "title", "value": "T"}]))
        ),
        operation("POST", "/Users", "u", json!({"userName": "ada"})),
        operation("POST", "/Users", "v", json!({"userName": "ADA"})),
        operation(
            "POST",
            "/Groups",
            "h",
            json!({"displayName": "H", "members": [{"value": "bulkId:v"}]})
        ),
    ]));
    let headers = [("idempotency-key", "job")];
    let ask = async |job: &Value| {
        service.ask(Method::POST, "/scim/v2/Bulk", &headers, job.clone()).await?.must(200)
    };
    let done = ask(&job).await?;
    let told = done.body["Operations"].as_array().context("no operations")?;
    let statuses: Vec<_> = told.iter().filter_map(|told| told["status"].as_str()).collect();
    ensure!(statuses == ["201", "200", "201", "409", "400"], "{}", done.body);
    ensure!(
        told[3]["response"]["scimType"] == "uniqueness" && told[3]["location"].is_null(),
        "{}",
        told[3]
    );
    ensure!(
        told[1]["location"] == told[2]["location"] && told[1]["version"] == "W/\"2\"",
        "{}",
        done.body
    );
    let group = told[0]["location"].as_str().context("no location")?;
    let group = group.rsplit('/').next().unwrap_or_default();
    let group = service.get(&format!("{GROUPS}/{group}")).await?.must(200)?;
    ensure!(group.body["members"].as_array().map(Vec::len) == Some(1), "{}", group.body);

    let before = identities.changes("acme").await?.len();
    ensure!(ask(&job).await?.body == done.body, "a repeat is told the same");
    ensure!(identities.changes("acme").await?.len() == before);

    let ring = bulk(json!([
        operation(
            "POST",
            "/Groups",
            "a",
            json!({"displayName": "A", "members": [{"value": "bulkId:b"}]})
        ),
        operation(
            "POST",
            "/Groups",
            "b",
            json!({"displayName": "B", "members": [{"value": "bulkId:a"}]})
        ),
    ]));
    let done = service.post("/scim/v2/Bulk", ring).await?.must(200)?;
    let is_refused = |told: &Value| told["status"] == "409";
    ensure!(
        done.body["Operations"].as_array().is_some_and(|all| all.iter().all(is_refused)),
        "{}",
        done.body
    );

    let mut failing = bulk(json!([
        operation("POST", "/Users", "1", json!({"userName": "ada"})),
        operation("POST", "/Users", "2", json!({"userName": "eve"})),
    ]));
    failing["failOnErrors"] = 1.into();
    let done = service.post("/scim/v2/Bulk", failing).await?.must(200)?;
    ensure!(done.body["Operations"].as_array().map(Vec::len) == Some(1), "{}", done.body);
    ensure!(
        found(&service, USERS, &[("filter", "userName eq \"eve\"")]).await?.body["totalResults"]
            == 0
    );

    let wrong = bulk(json!([
        {"method": "GET", "path": "/Users"}, {"method": "POST", "path": "/Users", "data": {"userName": "x"}},
        {"method": "DELETE", "path": "/Users/nobody"}, {"method": "PATCH", "path": "/Schemas", "data": {}},
        {"method": "POST", "path": "/Bulk", "bulkId": "b", "data": {}},
    ]));
    let done = service.post("/scim/v2/Bulk", wrong).await?.must(200)?;
    let statuses: Vec<_> = done.body["Operations"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|told| told["status"].as_str())
        .collect();
    ensure!(statuses == ["400", "400", "404", "404", "404"], "{}", done.body);
    let many = bulk(vec![json!({"method": "DELETE", "path": "/Users/nobody"}); 7].into());
    service.post("/scim/v2/Bulk", many).await?.must(413)?;
    let twice = bulk(json!([
        operation("DELETE", "/Users/a", "1", Value::Null),
        operation("DELETE", "/Users/b", "1", Value::Null)
    ]));
    service.post("/scim/v2/Bulk", twice).await?.must(400)?;
    service.stop().await
}

#[tokio::test]
async fn a_token_reaches_its_own_tenant_and_what_its_scopes_allow() -> Result<()> {
    let issuer = Issuer::new()?;
    let keys = issuer.keys();
    let identities = Identities::new(&[("AUTH__MODE", "jwt"), ("AUTH__JWKS_FILE", &keys)]).await?;
    let service = identities.start().await?;
    let system = issuer.bearer("_system", "service_account:ops", "system:admin")?;
    for id in ["acme", "other"] {
        let tenant = json!({"id": id, "name": id, "administrator": {"email": "a@b.c"}});
        service
            .ask(Method::POST, "/v1/tenants", &[("authorization", &system)], tenant)
            .await?
            .must(201)?;
    }
    let of = |tenant: &str, scopes: &str| issuer.bearer(tenant, "service_account:okta", scopes);
    let (acme, other) =
        (of("acme", "identity:read identity:write")?, of("other", "identity:read identity:write")?);
    let reads = of("acme", "identity:read")?;
    let ask = async |bearer: &str, method: Method, path: &str, body: Value| {
        service.ask(method, path, &[("authorization", bearer)], body).await
    };
    let user = ask(&acme, Method::POST, USERS, json!({"userName": "u"})).await?.must(201)?.id()?;
    let group = json!({"displayName": "g", "members": [{"value": user}]});
    let group = ask(&acme, Method::POST, GROUPS, group).await?.must(201)?.id()?;
    let before = identities.changes("acme").await?.len();

    for path in [USERS, GROUPS] {
        ask(&reads, Method::GET, path, Value::Null).await?.must(200)?;
        ask(&reads, Method::POST, &format!("{path}/.search"), json!({})).await?.must(200)?;
        let body = json!({"userName": "x", "displayName": "x"});
        ask(&reads, Method::POST, path, body).await?.must(403)?;
        let stranger = service.get(path).await?.must(401)?;
        ensure!(
            stranger.header("www-authenticate").starts_with("Bearer"),
            "{:?}",
            stranger.headers
        );
        ensure!(stranger.body["status"] == "401", "{}", stranger.body);
    }
    let operations = patch(json!([{"op": "replace", "path": "externalId", "value": "x"}]));
    for (path, body) in [
        (format!("{USERS}/{user}"), json!({"userName": "x"})),
        (format!("{GROUPS}/{group}"), json!({"displayName": "x"})),
    ] {
        ask(&other, Method::GET, &path, Value::Null).await?.must(404)?;
        ask(&other, Method::PUT, &path, body).await?.must(404)?;
        ask(&other, Method::PATCH, &path, operations.clone()).await?.must(404)?;
        ask(&other, Method::DELETE, &path, Value::Null).await?.must(404)?;
        for method in [Method::PUT, Method::PATCH, Method::DELETE] {
            ask(&reads, method, &path, json!({})).await?.must(403)?;
        }
    }
    let theirs = json!({"displayName": "g", "members": [{"value": user}]});
    ask(&other, Method::POST, GROUPS, theirs).await?.must(400)?;
    let job = json!({"Operations": [{"method": "DELETE", "path": format!("/Users/{user}")}]});
    ask(&reads, Method::POST, "/scim/v2/Bulk", job.clone()).await?.must(403)?;
    let done = ask(&other, Method::POST, "/scim/v2/Bulk", job).await?.must(200)?;
    ensure!(done.body["Operations"][0]["status"] == "404", "{}", done.body);
    for filter in [
        format!("id eq \"{user}\""),
        format!("groups.value eq \"{group}\""),
        "userName eq \"u\"".to_owned(),
    ] {
        let search = json!({ "filter": filter });
        let seen =
            ask(&other, Method::POST, &format!("{USERS}/.search"), search).await?.must(200)?;
        ensure!(seen.body["totalResults"] == 0, "{filter}: {}", seen.body);
    }
    let seen = ask(&other, Method::POST, "/scim/v2/.search", json!({})).await?.must(200)?;
    ensure!(seen.body["totalResults"] == 1, "its administrator: {}", seen.body);
    ensure!(identities.changes("acme").await?.len() == before);

    // Who did it is told, by bulk as well.
    let job = json!({"Operations": [{"method": "POST", "path": "/Users", "bulkId": "1", "data": {"userName": "by bulk"}}]});
    ask(&acme, Method::POST, "/scim/v2/Bulk", job).await?.must(200)?;
    let sql = "SELECT payload FROM outbox WHERE tenant_id = 'acme' AND topic = 'audit' ORDER BY id DESC LIMIT 1";
    let row = identities.db.row(sql, &[]).await?.context("no event")?;
    let event: Value = serde_json::from_str(&row.text("payload")?)?;
    ensure!(event["actor_id"] == "okta" && event["source_ip"] == "127.0.0.1", "{event}");

    // Discovery is for everybody; what is not there, and what is too large, is told in SCIM.
    for path in ["ServiceProviderConfig", "ResourceTypes", "ResourceTypes/User", "Schemas"] {
        let seen = service.get(&format!("/scim/v2/{path}")).await?.must(200)?;
        ensure!(seen.header("content-type") == "application/scim+json");
    }
    let large = json!({"userName": "x".repeat(1 << 20)});
    for answer in [
        ask(&acme, Method::POST, USERS, large).await?.must(413)?,
        ask(&acme, Method::GET, "/scim/v2/Nothing", Value::Null).await?.must(404)?,
        ask(&acme, Method::POST, "/scim/v2/Schemas", json!({})).await?.must(405)?,
    ] {
        ensure!(
            answer.body["schemas"][0] == "urn:ietf:params:scim:api:messages:2.0:Error",
            "{}",
            answer.body
        );
        ensure!(answer.body["status"] == answer.status.as_str(), "{}", answer.body);
    }
    service.stop().await
}
