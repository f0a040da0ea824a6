//! Users and groups as a directory provisions them (SCIM).

use serde_json::{Value, json};

use super::bed::Bed;
use super::on_each_database;

on_each_database!(
    users_are_provisioned_found_and_changed,
    groups_hold_users_and_groups,
    what_is_searched_for_is_compared_as_its_attribute_wants,
);

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const USERS: &str = "/scim/v2/Users";
const GROUPS: &str = "/scim/v2/Groups";

async fn user(bed: &Bed, name: &str, more: Value) -> String {
    let mut body = json!({"schemas": [USER],
        "userName": name, "emails": [{"value": format!("{name}@x.y"), "primary": true}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    bed.post(USERS, body).await.must(201).id()
}

/// What a filter finds, by their names, in the order of the answer.
async fn found(bed: &Bed, what: &str, filter: &str, more: &str) -> Vec<String> {
    let filter: String = form_urlencoded::byte_serialize(filter.as_bytes()).collect();
    let answer = bed.get(&format!("{what}?filter={filter}{more}")).await.must(200);
    let name = if what == USERS { "userName" } else { "displayName" };
    let all = answer.body["Resources"].as_array().unwrap();
    assert_eq!(answer.body["totalResults"], all.len());
    all.iter().map(|one| one[name].as_str().unwrap().to_owned()).collect()
}

async fn users_are_provisioned_found_and_changed(bed: &Bed) {
    let more = json!({"externalId": "X-1", "nickName": "A%_a", "title": "Gräfin",
        "name": {"givenName": "Ada", "familyName": "Lovelace"}});
    let ada = user(bed, "Ada", more).await;
    let one = format!("{USERS}/{ada}");
    let seen = bed.get(&one).await.must(200);
    assert_eq!(seen.body["name"]["familyName"], "Lovelace");
    assert_eq!(seen.body["externalId"], "X-1");
    let taken = json!({"schemas": [USER], "userName": "ADA"});
    bed.post(USERS, taken).await.must(409);
    let patch = json!({"schemas": [PATCH],
        "Operations": [{"op": "replace", "path": "name.givenName", "value": "Augusta"},
            {"op": "add", "path": "emails", "value": [{"value": "second@x.y", "type": "work"}]},
            {"op": "replace", "value": {"active": false}}]});
    let patched = bed.patch(&one, patch).await.must(200);
    assert_eq!(patched.body["name"]["givenName"], "Augusta");
    assert_eq!(patched.body["active"], false);
    assert_eq!(found(bed, USERS, "emails.value eq \"second@x.y\"", "").await, ["Ada"]);
    assert_eq!(found(bed, USERS, "active eq false", "").await, ["Ada"]);
    bed.delete(&one).await.must(204);
    bed.get(&one).await.must(404);
    bed.changes("acme").await;
}

async fn groups_hold_users_and_groups(bed: &Bed) {
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(user(bed, name, json!({})).await);
    }
    let group = |name: &str, members: Value| json!({"schemas": [GROUP], "displayName": name, "members": members});
    let members: Vec<_> = ids[..2].iter().map(|id| json!({ "value": id })).collect();
    let inner = bed.post(GROUPS, group("inner", json!(members))).await.must(201).id();
    let members = json!([{ "value": inner }, { "value": ids[2] }]);
    let outer = bed.post(GROUPS, group("outer", members)).await.must(201).id();
    // Who is in a group is in all that this is in.
    let seen = bed.get(&format!("{USERS}/{}", ids[0])).await.must(200);
    let groups: Vec<_> = seen.body["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| (group["display"].as_str().unwrap(), group["type"].as_str().unwrap()))
        .collect();
    assert_eq!(groups, [("inner", "direct"), ("outer", "indirect")]);
    let filter = format!("members.value eq \"{inner}\"");
    assert_eq!(found(bed, GROUPS, &filter, "").await, ["outer"]);
    let patch = |operation: Value| json!({"schemas": [PATCH], "Operations": [operation]});
    let ring = json!({"op": "add", "path": "members", "value": [{ "value": outer }]});
    bed.patch(&format!("{GROUPS}/{inner}"), patch(ring)).await.must(400);
    let remove = json!({"op": "remove", "path": format!("members[value eq \"{}\"]", ids[0])});
    bed.patch(&format!("{GROUPS}/{inner}"), patch(remove)).await;
    let seen = bed.get(&format!("{USERS}/{}", ids[0])).await.must(200);
    assert!(seen.body["groups"].as_array().is_none_or(Vec::is_empty), "{}", seen.text);
    let left = bed.get(&format!("{GROUPS}/{inner}")).await.must(200);
    assert_eq!(left.body["members"][0]["value"], ids[1]);
    bed.delete(&format!("{GROUPS}/{inner}")).await.must(204);
    let left = bed.get(&format!("{GROUPS}/{outer}")).await.must(200);
    assert_eq!(left.body["members"].as_array().unwrap().len(), 1);
    bed.changes("acme").await;
}

async fn what_is_searched_for_is_compared_as_its_attribute_wants(bed: &Bed) {
    for (name, more) in [
        ("Zoë", json!({"externalId": "e", "title": "one"})),
        ("adam", json!({"externalId": "E", "title": "TWO"})),
        ("Bob", json!({"externalId": "e ", "title": "50%"})),
        ("_x", json!({"title": "a_b"})),
    ] {
        user(bed, name, more).await;
        bed.step(chrono::Duration::microseconds(1));
    }
    let users = async |filter: &str| found(bed, USERS, filter, "&sortBy=userName").await;
    assert_eq!(users("userName eq \"ZOË\"").await, ["Zoë"]);
    assert_eq!(users("userName sw \"A\" and title pr").await, ["adam"]);
    assert_eq!(users("externalId eq \"e\"").await, ["Zoë"], "byte for byte");
    assert_eq!(users("title co \"%\"").await, ["Bob"]);
    assert_eq!(users("title eq \"two\"").await, ["adam"]);
    assert_eq!(users("title co \"_\"").await, ["_x"]);
    assert_eq!(users("userName pr and title pr").await, ["_x", "adam", "Bob", "Zoë"]);
    let since = "meta.created ge \"2026-11-22T14:03:07.123457Z\" and title pr";
    assert_eq!(users(since).await, ["_x", "adam", "Bob"]);
    let since = "meta.created lt \"2026-11-22T14:03:07.123457Z\" and title pr";
    assert_eq!(users(since).await, ["Zoë"]);
    let order = "&sortBy=meta.created&sortOrder=descending";
    let newest = found(bed, USERS, "title pr", order).await;
    assert_eq!(newest, ["_x", "Bob", "adam", "Zoë"]);
}
