//! Filters, paths and patches on resources, without a database.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::accept::{self, Resource};
use super::apply::apply;
use super::fault::{Fault, Kind};
use super::filter::Filter;
use super::project::Shown;
use super::schemas::{ENTERPRISE, GROUP, USER};
use super::{parse, patch};

fn object(value: Value) -> Resource {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn ada() -> Resource {
    object(json!({
        "schemas": [USER.core.id, ENTERPRISE], "id": "u1", "userName": "Ada",
        "name": {"familyName": "Lovelace", "givenName": "Ada"}, "active": true,
        "emails": [
            {"value": "ada@work.example", "type": "work", "primary": true},
            {"value": "ada@home.example", "type": "home"},
        ],
        "meta": {"lastModified": "2026-11-26T12:00:00.000001Z"},
        (ENTERPRISE): {"department": "Engines", "manager": {"value": "u0"}},
    }))
}

fn holds(text: &str) -> bool {
    parse::filter(&USER, text).unwrap_or_else(|why| panic!("{text}: {why}")).holds(&ada())
}

#[test]
fn filters_say_what_rfc_7644_has_them_say() {
    for text in [
        r#"userName eq "ada""#,
        r#"USERNAME Eq "ADA""#,
        r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "A""#,
        r#"name.familyName co "LACE""#,
        r#"name.familyName ew "lace" and name.givenName ne "Eve""#,
        r#"title pr or active eq true"#,
        r#"not (title pr)"#,
        r#"not(title pr) and not ( active eq false )"#,
        r#"title eq null"#,
        r#"title ne "x""#,
        r#"emails pr"#,
        r#"emails eq "ada@home.example""#,
        r#"emails.type eq "home""#,
        r#"emails[type eq "work" and value co "@work.example"]"#,
        r#"emails[type eq "work" and primary eq true] and active eq true"#,
        r#"meta.lastModified gt "2026-11-26T12:00:00Z""#,
        r#"meta.lastModified le "2026-11-26T13:00:00.000001+01:00""#,
        r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "engines""#,
        r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq "u0""#,
        r#"userName gt "abc" and userName lt "b""#,
        // `and` binds closer: the first alternative is false, and the second true.
        r#"title pr and title pr or userName eq "ada""#,
        r#"userName eq "ada" or title pr and title pr"#,
        r#"(userName eq "ada" or title pr) and active eq true"#,
        r#"schemas eq "urn:ietf:params:scim:schemas:core:2.0:User""#,
        r#"name.givenName eq "\u0041da""#,
        r#"id eq "u1""#,
        // As providers write it.
        r#"active eq "True""#,
        r#"emails[primary eq "True"].value eq "ada@work.example""#,
        r#"department eq "engines" and manager eq "u0""#,
    ] {
        assert!(holds(text), "{text}");
    }
    for text in [
        r#"userName ne "ADA""#,
        r#"title pr"#,
        r#"title co "x""#,
        r#"title le "x""#,
        r#"emails ne "ada@home.example""#,
        r#"emails[type eq "home" and value co "@work.example"]"#,
        r#"emails[type eq "home" and primary eq true]"#,
        r#"id eq "U1""#,
        r#"(userName eq "ada" or title pr) and title pr"#,
        r#"active eq false"#,
        r#"emails[primary eq "True"].value eq "ada@home.example""#,
        r#"meta.lastModified gt "2026-11-26T12:00:00.000001Z""#,
    ] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn what_is_no_filter_is_refused_with_its_place() {
    let nested = format!("{}title pr{}", "(".repeat(40), ")".repeat(40));
    for (text, why) in [
        ("", "attribute is missing at character 1"),
        ("userName", "operator is missing"),
        ("userName eq", "value is missing"),
        ("userName eq ada", "value is missing"),
        (r#"userName eq "ada"#, "value is missing"),
        (r#"userName is "ada""#, "operator is missing at character 10"),
        (r#"shoeSize eq "9""#, "no attribute shoeSize"),
        (r#"name.shoeSize eq "9""#, "no attribute name.shoeSize"),
        (r#"userName eq "ada" and"#, "attribute is missing"),
        (r#"userName eq "ada" title pr"#, "left over"),
        (r#"(userName eq "ada""#, ") is missing"),
        (r#"emails[type eq "work""#, "] is missing"),
        (r#"emails[type[value pr]]"#, "brackets follow"),
        (r#"userName[value eq "x"]"#, "brackets follow"),
        (r#"name eq "x""#, "name: it has parts"),
        (r#"active gt true"#, "active: it is true or false"),
        (r#"active eq "maybe""#, "active: it is true or false"),
        (r#"emails[type eq "work"].shoeSize eq "9""#, "no attribute shoeSize"),
        (r#"emails[type eq "work"].value"#, "operator is missing"),
        (r#"userName eq 9"#, "userName: it is compared with a text"),
        (r#"meta.created gt "yesterday""#, "created: it is compared with a time"),
        (r#"userName eq {"a": 1}"#, "value is missing"),
        (&nested, "nested too deeply"),
        (&"x".repeat(5000), "longer than"),
    ] {
        let refused = parse::filter(&USER, text).expect_err(text);
        assert!(refused.contains(why), "{text}: {refused}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_parser(text in "[a-zA-Z:.\"\\\\()\\[\\] éneotadr0-9]{0,60}") {
        let _ = parse::filter(&USER, &text);
        let _ = parse::path(&USER, &text);
    }

    #[test]
    fn a_value_between_quotes_is_found_whatever_it_holds(value in "\\PC{1,20}") {
        let mut user = ada();
        user.insert("title".to_owned(), value.as_str().into());
        let text = format!("title eq {}", Value::from(value));
        prop_assert!(parse::filter(&USER, &text).unwrap().holds(&user));
    }

    #[test]
    fn and_or_and_not_are_those_of_logic(a: bool, b: bool, c: bool) {
        let said = |truth: bool| if truth { "userName pr" } else { "title pr" };
        let text = format!("not ({}) or {} and {}", said(a), said(b), said(c));
        prop_assert_eq!(holds(&text), !a || b && c, "{}", text);
    }
}

fn patched(resource: Resource, operations: impl Into<Value>) -> Result<Value, Fault> {
    let operations: Value = operations.into();
    let operations = patch::read(&USER, json!({ "Operations": operations }))?;
    let mut resource = resource;
    apply(&operations, &mut resource)
        .map_err(|refused| Fault::new(Kind::NoTarget, refused.to_string()))?;
    Ok(resource.into())
}

#[test]
fn operations_do_what_rfc_7644_has_them_do() {
    let home = json!({"value": "ada@home.example", "type": "home"});
    for (operation, at, expected) in [
        (json!({"op": "add", "path": "title", "value": "Countess"}), "/title", json!("Countess")),
        (json!({"op": "Add", "value": {"title": "Countess"}}), "/title", json!("Countess")),
        (
            json!({"op": "replace", "path": "name", "value": {"givenName": "A"}}),
            "/name",
            json!({"familyName": "Lovelace", "givenName": "A"}),
        ),
        (json!({"op": "replace", "value": {"name.givenName": "A"}}), "/name/givenName", json!("A")),
        (
            json!({"op": "remove", "path": "name.givenName"}),
            "/name",
            json!({"familyName": "Lovelace"}),
        ),
        (json!({"op": "remove", "path": "name"}), "/name", Value::Null),
        (json!({"op": "Replace", "path": "active", "value": "False"}), "/active", json!(false)),
        (json!({"op": "replace", "path": "emails", "value": [home]}), "/emails", json!([home])),
        (json!({"op": "add", "path": "emails", "value": [home]}), "/emails/2", Value::Null),
        (
            json!({"op": "add", "path": "emails", "value": {"value": "c@d", "primary": true}}),
            "/emails",
            json!([{"value": "ada@work.example", "type": "work", "primary": false}, home,
                {"value": "c@d", "primary": true}]),
        ),
        (
            json!({"op": "replace", "path": "emails[type eq \"work\"].value", "value": "w@x"}),
            "/emails/0",
            json!({"value": "w@x", "type": "work", "primary": true}),
        ),
        (
            json!({"op": "replace", "path": "emails[type eq \"work\"]", "value": {"value": "w@x"}}),
            "/emails/0",
            json!({"value": "w@x"}),
        ),
        (
            json!({"op": "add", "path": "emails[type eq \"other\"].value", "value": "o@x"}),
            "/emails/2",
            json!({"value": "o@x", "type": "other"}),
        ),
        (json!({"op": "remove", "path": "emails[type eq \"work\"]"}), "/emails", json!([home])),
        (json!({"op": "remove", "path": "emails[type eq \"none\"]"}), "/emails/1", home.clone()),
        (
            json!({"op": "remove", "path": "emails", "value": [{"value": "ada@work.example"}]}),
            "/emails",
            json!([home]),
        ),
        (json!({"op": "remove", "path": "emails"}), "/emails", Value::Null),
        (
            json!({"op": "remove", "path": "emails.type"}),
            "/emails/1",
            json!({"value": "ada@home.example"}),
        ),
        (
            json!({"op": "replace", "path": "emails[type eq \"home\"].primary", "value": true}),
            "/emails/0/primary",
            json!(false),
        ),
        (
            json!({"op": "add", "path": format!("{ENTERPRISE}:division"), "value": "D"}),
            "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
            json!({"department": "Engines", "division": "D", "manager": {"value": "u0"}}),
        ),
        (
            json!({"op": "replace", "path": format!("{ENTERPRISE}:manager"), "value": "u9"}),
            "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/manager",
            json!({"value": "u9"}),
        ),
        (
            json!({"op": "remove", "path": ENTERPRISE}),
            "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
            Value::Null,
        ),
        (json!({"op": "replace", "value": {"id": "other", "title": "T"}}), "/id", json!("u1")),
        (json!({"op": "replace", "path": "title", "value": null}), "/title", Value::Null),
    ] {
        let said = operation.to_string();
        let user =
            patched(ada(), json!([operation])).unwrap_or_else(|fault| panic!("{said}: {fault:?}"));
        assert_eq!(user.pointer(at).unwrap_or(&Value::Null), &expected, "{said}");
    }
}

#[test]
fn what_providers_send_is_understood() {
    let manager = "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/manager";
    for (operation, at, expected) in [
        // Nobody is removed by a removal of nobody.
        (json!({"op": "remove", "path": "emails", "value": []}), "/emails/1/type", json!("home")),
        (
            json!({"op": "remove", "path": "emails", "value": [null]}),
            "/emails/1/type",
            json!("home"),
        ),
        (
            json!({"op": "Replace", "path": "phoneNumbers[type eq \"work\"].value", "value": "1"}),
            "/phoneNumbers",
            json!([{"type": "work", "value": "1"}]),
        ),
        (
            json!({"op": "Add", "path": "roles[primary eq \"True\"].value", "value": "r"}),
            "/roles",
            json!([{"primary": true, "value": "r"}]),
        ),
        (
            json!({"op": "Remove", "path": "emails[type eq \"work\"].value"}),
            "/emails",
            json!([{"value": "ada@home.example", "type": "home"}]),
        ),
        (
            json!({"op": "Replace", "path": "emails[type eq \"work\"].value", "value": ""}),
            "/emails/1",
            Value::Null,
        ),
        (
            json!({"op": "Add", "path": "manager", "value": [{"value": "u9"}]}),
            manager,
            json!({"value": "u9"}),
        ),
    ] {
        let said = operation.to_string();
        let user =
            patched(ada(), json!([operation])).unwrap_or_else(|fault| panic!("{said}: {fault:?}"));
        assert_eq!(user.pointer(at).unwrap_or(&Value::Null), &expected, "{said}");
    }
    let group = accept::resource(
        &GROUP,
        json!({"displayName": "G", "members": [], "schemas": [GROUP.core.id,
        "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"]}),
    )
    .unwrap();
    assert_eq!(group["members"], json!([]), "that it is empty is said");
    for nobody in [json!([{"display": "Ada"}]), json!([{}]), json!([{"value": ""}])] {
        let body = json!({"displayName": "G", "members": nobody});
        assert_eq!(accept::resource(&GROUP, body).expect_err("nobody").kind, Kind::InvalidValue);
        let remove = json!({"Operations": [{"op": "remove", "path": "members", "value": nobody}]});
        assert_eq!(patch::read(&GROUP, remove).expect_err("nobody").kind, Kind::InvalidValue);
    }
    let remove = json!({"Operations": [{"op": "remove", "path": "members", "value": []}]});
    assert_eq!(patch::read(&GROUP, remove), Ok(Vec::new()));
}

#[test]
fn a_patch_does_no_more_than_it_may_cost() {
    let phones: Vec<_> = (0..300).map(|n| json!({"value": n.to_string()})).collect();
    let long = "x".repeat(20_000);
    for value in
        [json!({"phoneNumbers": phones}), json!({"title": long}), json!({"emails.display": long})]
    {
        let fault = patched(ada(), json!([{"op": "add", "value": value}])).expect_err("too much");
        assert_eq!(fault.kind, Kind::InvalidValue, "{}", fault.detail);
    }
    let keys = (0..1100).map(|n| (format!("phoneNumbers[type eq \"{n}\"].value"), json!("1")));
    let keys: Resource = keys.collect();
    assert_eq!(
        patched(ada(), json!([{"op": "add", "value": keys}])).expect_err("too many").kind,
        Kind::TooMany
    );
    // Each is small, and all of them are not.
    let some = (0..300)
        .map(|n| json!({"op": "add", "path": "phoneNumbers", "value": [{"value": n.to_string()}]}));
    assert!(patched(ada(), some.collect::<Value>()).is_err());
    let some = (0..40).map(|n| {
        json!({"op": "add", "path": "phoneNumbers",
        "value": [{"value": n.to_string(), "display": "x".repeat(1000)}]})
    });
    assert!(patched(ada(), some.collect::<Value>()).is_err());
    let names = vec!["emails.value".to_owned(); 300];
    assert!(Shown::read(&USER, &names, &[]).is_err());
}

#[test]
fn operations_that_cannot_be_done_are_refused_by_kind() {
    for (operation, kind) in [
        (json!({"op": "remove"}), Kind::NoTarget),
        (json!({"op": "move", "path": "title"}), Kind::InvalidSyntax),
        (json!({"op": "add", "path": "shoeSize", "value": 9}), Kind::InvalidPath),
        (json!({"op": "add", "path": "emails[type eq]", "value": {}}), Kind::InvalidPath),
        (json!({"op": "add", "path": "title", "value": 9}), Kind::InvalidValue),
        (json!({"op": "add", "path": "title"}), Kind::InvalidValue),
        (json!({"op": "add", "value": "x"}), Kind::InvalidValue),
        (json!({"op": "replace", "path": "active", "value": "maybe"}), Kind::InvalidValue),
        (
            json!({"op": "replace", "path": "emails", "value": [{"shoeSize": 9}]}),
            Kind::InvalidSyntax,
        ),
        (json!({"op": "replace", "path": "id", "value": "x"}), Kind::Mutability),
        (json!({"op": "add", "path": "groups", "value": [{"value": "g"}]}), Kind::Mutability),
        (json!({"op": "remove", "path": "userName"}), Kind::Mutability),
        (json!({"op": "remove", "path": "active"}), Kind::Mutability),
        (json!({"op": "replace", "path": "userName", "value": ""}), Kind::Mutability),
        (
            json!({"op": "replace", "path": "emails[type eq \"none\"]", "value": {"value": "x@y"}}),
            Kind::NoTarget,
        ),
        (
            json!({"op": "replace", "path": "emails[type sw \"none\"].value", "value": "x@y"}),
            Kind::NoTarget,
        ),
        (json!({"op": "remove", "path": "name[familyName eq \"X\"]"}), Kind::InvalidPath),
        (
            json!({"op": "remove", "path": format!("{ENTERPRISE}:manager[value eq \"x\"]")}),
            Kind::InvalidPath,
        ),
    ] {
        let said = operation.to_string();
        let fault = patched(ada(), json!([operation])).expect_err(&said);
        assert_eq!(fault.kind, kind, "{said}: {}", fault.detail);
    }
    let members = json!({"Operations": [{"op": "replace", "path": "members[value eq \"x\"].value", "value": "y"}]});
    assert_eq!(patch::read(&GROUP, members).expect_err("immutable").kind, Kind::Mutability);
}

#[test]
fn resources_are_taken_by_their_schema() {
    let taken = accept::resource(
        &USER,
        json!({
            "schemas": [USER.core.id], "USERNAME": "ada", "id": "mine", "meta": {"version": "W/\"9\""},
            "groups": [{"value": "g"}], "emails": {"value": "a@b"}, "active": "TRUE", "title": null, "roles": [],
            "unknown": [], "name": {"givenName": "", "familyName": "L"},
            (ENTERPRISE): {"manager": {"$ref": "https://x.example/scim/v2/Users/u0"}},
        }),
    );
    assert_eq!(
        Value::Object(taken.unwrap()),
        json!({
            "userName": "ada", "emails": [{"value": "a@b"}], "active": true, "name": {"familyName": "L"}, "roles": [],
            (ENTERPRISE): {"manager": {"value": "u0"}},
        })
    );
    for (body, kind) in [
        (json!([]), Kind::InvalidSyntax),
        (json!({"userName": "a", "username": "b"}), Kind::InvalidSyntax),
        (json!({"userName": "a", "shoeSize": 9}), Kind::InvalidSyntax),
        (json!({"userName": "a", "schemas": ["urn:of:something:else"]}), Kind::InvalidSyntax),
        (json!({"active": true}), Kind::InvalidValue),
        (json!({"userName": "a", "name": "b"}), Kind::InvalidValue),
        (
            json!({"userName": "a", "emails": [{"value": "a@b", "primary": true}, {"value": "c@d", "primary": true}]}),
            Kind::InvalidValue,
        ),
        (
            json!({"userName": "a", "x509Certificates": [{"value": "no base64!"}]}),
            Kind::InvalidValue,
        ),
        (
            json!({"userName": "a", (ENTERPRISE): {"manager": {"value": "u1", "$ref": "/Users/u2"}}}),
            Kind::InvalidValue,
        ),
    ] {
        let said = body.to_string();
        assert_eq!(accept::resource(&USER, body).expect_err(&said).kind, kind, "{said}");
    }
}

fn shown(only: &[&str], without: &[&str]) -> Vec<String> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let shown = Shown::read(&USER, &owned(only), &owned(without)).unwrap().of(&USER, ada());
    shown
        .into_iter()
        .map(|(name, value)| match value {
            Value::Object(parts) => {
                let parts: Vec<_> = parts.into_iter().map(|(name, _)| name).collect();
                format!("{name}({})", parts.join(" "))
            }
            _ => name,
        })
        .collect()
}

#[test]
fn what_is_asked_for_is_shown() {
    assert_eq!(shown(&["userName"], &[]), ["id", "schemas", "userName"]);
    assert_eq!(
        shown(&["name.givenName", "EMAILS"], &[]),
        ["emails", "id", "name(givenName)", "schemas"]
    );
    let department = format!("{ENTERPRISE}:department");
    assert_eq!(shown(&[&department], &[]), ["id", "schemas", &format!("{ENTERPRISE}(department)")]);
    let rest = shown(&[], &["emails", "id", "name.familyName", ENTERPRISE]);
    assert_eq!(
        rest,
        ["active", "id", "meta(lastModified)", "name(givenName)", "schemas", "userName"]
    );
    let names = ["userName".to_owned()];
    assert!(Shown::read(&USER, &names, &names).is_err());
    assert!(Shown::read(&USER, &["shoeSize".to_owned()], &[]).is_err());
    let members = Shown::read(&GROUP, &[], &["members".to_owned()]).unwrap();
    assert!(!members.wants("members") && Shown::default().wants("members"));
}

#[test]
fn a_password_is_never_shown() {
    let mut user = ada();
    user.insert("password".to_owned(), "correct horse".into());
    for only in [vec![], vec!["password".to_owned()]] {
        let shown = Shown::read(&USER, &only, &[]).unwrap().of(&USER, user.clone());
        assert!(!shown.contains_key("password"));
    }
}

#[test]
fn a_filter_knows_what_it_reads() {
    let filter: Filter = parse::filter(&USER, r#"not (title pr or groups.value eq "g")"#).unwrap();
    assert!(filter.reads("groups") && !filter.reads("emails"));
}
