//! The route table, and what it refuses.

use serde_json::{Value, json};
use service_kit::config::Source;

use super::world::{config, routes};
use crate::ext_authz::config::{ExtAuthzConfig, RouteConfig};
use crate::ext_authz::host::{self, HostRule};
use crate::ext_authz::table::Table;

fn map(table: &Table, method: &str, host: &str, path: &str) -> Option<String> {
    let mapped = table.find(method, host, path)?;
    Some(format!("{} {}", mapped.action, mapped.resource))
}

/// A route whose action is its name.
fn route(name: &str, over: &Value) -> Value {
    let mut route = json!({
        "path": "/{id}", "tenant": "token", "subject": "token", "action": name,
        "resource": {"type": "t", "id": "{id}"},
    });
    route.as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
    route
}

#[test]
fn the_first_route_that_fits_counts() {
    let routes = json!([
        route("admin", &json!({"path": "/admin", "resource": {"type": "t", "id": "fixed"}})),
        route("exact", &json!({"host": "a.example.com", "methods": ["GET", "HEAD"]})),
        route("below", &json!({"host": "*.example.com"})),
        route("mapped", &json!({"host": "other.net", "action": {"GET": "see"}})),
        route("any", &json!({"methods": ["GET", "PUT"]})),
    ]);
    let table = Table::new(&config(&routes)).unwrap();
    for (method, host, path, expected) in [
        ("GET", "a.example.com", "/admin", Some("admin t:fixed")),
        ("GET", "a.example.com", "/1", Some("exact t:1")),
        ("HEAD", "A.Example.COM:8443", "/1", Some("exact t:1")),
        ("POST", "a.example.com", "/1", Some("below t:1")),
        ("GET", "b.c.example.com", "/1", Some("below t:1")),
        ("GET", "example.com", "/1", Some("any t:1")),
        ("GET", "a.example.com.evil.net", "/1", Some("any t:1")),
        ("GET", "evilexample.com", "/1", Some("any t:1")),
        ("DELETE", "example.com", "/1", None),
        ("GET", "other.net", "/1", Some("see t:1")),
        // It fits the route that has no action for it, so a later one is not tried.
        ("PUT", "other.net", "/1", None),
        // Spelled so that a stricter route might be missed.
        ("GET", "a.example.com.", "/1", None),
        ("GET", "x@a.example.com", "/1", None),
        ("GET", "a.example.com:80:80", "/1", None),
        ("GET", "", "/1", None),
        ("GET", "[::1]:80", "/1", Some("any t:1")),
    ] {
        assert_eq!(map(&table, method, host, path).as_deref(), expected, "{method} {host} {path}");
    }
}

#[test]
fn without_routes_nothing_is_mapped() {
    let table = Table::new(&config(&json!([]))).unwrap();
    assert_eq!(map(&table, "GET", "h", "/"), None);
}

#[test]
fn hosts_are_plain_or_none() {
    for (host, expected) in [
        ("H", Some("h")),
        ("h:65535", Some("h")),
        ("10.0.0.1:80", Some("10.0.0.1")),
        ("[2001:DB8::1]", Some("[2001:db8::1]")),
        ("h:", None),
        ("h:+1", None),
        ("h:65536", None),
        ("h..i", None),
        ("h/i", None),
        ("h,i", None),
        ("é", None),
        ("[::1", None),
        ("[h]", None),
        ("[::1]x", None),
    ] {
        assert_eq!(host::plain(host).as_deref(), expected, "{host}");
    }
    for rule in ["", "*", "*.", "A.b", "a.b:80", "a.*", "*.*.b", ".b", "b."] {
        assert!(HostRule::parse(rule).is_err(), "{rule}");
    }
}

#[test]
fn a_bad_configuration_is_refused_by_its_key() {
    for (over, key) in [
        (json!({"host": "A"}), "host"),
        (json!({"methods": []}), "methods"),
        (json!({"methods": ["GET", "put"]}), "methods[1]"),
        (json!({"path": "docs"}), "path"),
        (json!({"tenant": "Not One"}), "tenant"),
        (json!({"subject": {"type": "user", "id": "*"}}), "subject.id"),
        (json!({"subject": {"type": "user", "id": ""}}), "subject.id"),
        (json!({"subject": {"type": "team", "id": "t"}}), "subject.type"),
        (json!({"action": ""}), "action"),
        (json!({"action": {}}), "action"),
        (json!({"action": {"GET": ""}}), "action.GET"),
        (json!({"action": {"get": "read"}}), "action.get"),
        (json!({"resource": {"type": "", "id": "x"}}), "resource.type"),
        (json!({"resource": {"type": "t", "id": "{other}"}}), "resource.id"),
        (json!({"context": ["x-a", "x b"]}), "context[1]"),
        (json!({"context": ["Authorization"]}), "context[0]"),
    ] {
        let routes = json!([route("fine", &json!({})), route("bad", &over)]);
        let error = config(&routes).validate().unwrap_err();
        assert_eq!(error.key(), format!("ext_authz.routes[1].{key}"), "{over}");
    }
    config(&routes()).validate().unwrap();
    let mut low = config(&routes());
    low.deadline_ms = 0;
    assert_eq!(low.validate().unwrap_err().key(), "ext_authz.deadline_ms");
}

#[test]
fn unknown_keys_and_words_are_refused() {
    for over in [
        json!({"hosts": "a"}),
        json!({"subject": "tokens"}),
        json!({"subject": {"type": "user", "id": "a", "x": 1}}),
        json!({"subject": {"type": "group", "id": "a"}}),
        json!({"resource": {"type": "t", "id": "a", "x": 1}}),
        json!({"tenant": null}),
    ] {
        assert!(serde_json::from_value::<RouteConfig>(route("x", &over)).is_err(), "{over}");
    }
}

/// As in the example that users start from; each form of each key once.
const YAML: &str = r#"
ext_authz:
  listen: "127.0.0.1:8112"
  max_connections: 256
  max_concurrent_streams: 1024
  max_message_bytes: 1048576
  deadline_ms: 1000
  tls: {}
  routes:
    - host: "*.example.com"
      path: /v1/documents/{id}
      tenant: token
      subject: token
      action: {GET: read, PUT: write}
      resource: {type: document, id: "{id}"}
    - methods: [GET, HEAD]
      path: /public/{path..}
      tenant: acme
      subject: {type: user, id: guest}
      action: read
      resource: {type: page, id: "{path}"}
      context: [x-region]
"#;

#[test]
fn the_section_is_read_from_yaml_and_a_wrong_key_is_named() {
    #[derive(Debug, serde::Deserialize)]
    struct All {
        ext_authz: ExtAuthzConfig,
    }
    let load = |defaults: &str| {
        let source = Source { defaults, file: None, env_prefix: "X__", env: Vec::new() };
        service_kit::config::load::<All>(&source)
    };
    let section = load(YAML).unwrap().ext_authz;
    section.validate().unwrap();
    let table = Table::new(&section).unwrap();
    let found = map(&table, "PUT", "a.example.com", "/v1/documents/7");
    assert_eq!(found.as_deref(), Some("write document:7"));
    let found = map(&table, "HEAD", "localhost:80", "/public/a/b");
    assert_eq!(found.as_deref(), Some("read page:a/b"));
    let error = load(&YAML.replace("subject: token", "subject: tokens")).unwrap_err();
    assert_eq!(error.key(), "ext_authz.routes[0].subject");
}
