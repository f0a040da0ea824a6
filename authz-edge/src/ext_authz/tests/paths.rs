//! Paths: nothing that could be read in two ways is allowed.

use proptest::prelude::*;

use crate::ext_authz::path::{Pattern, Segments};
use crate::ext_authz::template::Template;

fn captured(pattern: &str, path: &str) -> Option<Vec<String>> {
    let pattern = Pattern::parse(pattern).unwrap();
    let path = Segments::parse(path)?;
    let captures = pattern.matches(&path)?;
    Some(captures.iter().map(|(name, value)| format!("{name}={value}")).collect())
}

#[test]
fn paths_of_the_form_are_decoded_and_captured() {
    for (pattern, path, expected) in [
        ("/", "/", Some(vec![])),
        ("/", "/?a=//..", Some(vec![])),
        ("/", "/a", None),
        ("/a", "/", None),
        ("/a/{x}", "/a/b", Some(vec!["x=b"])),
        ("/a/{x}", "/a/b%20c", Some(vec!["x=b c"])),
        ("/a/{x}", "/a/%C3%A9@:+", Some(vec!["x=é@:+"])),
        ("/a/{x}", "/a/{x}", None),
        ("/a/{x}", "/a", None),
        ("/a/{x}", "/a/b/c", None),
        ("/{x}/b/{y}", "/1/b/2", Some(vec!["x=1", "y=2"])),
        ("/{x}/b/{y}", "/1/c/2", None),
        ("/a/{x..}", "/a", None),
        ("/a/{x..}", "/a/b", Some(vec!["x=b"])),
        ("/a/{x..}", "/a/b/c", Some(vec!["x=b/c"])),
        ("/{y}/{x..}", "/a/b/c", Some(vec!["y=a", "x=b/c"])),
        ("/a/{x..}", "/b/c", None),
    ] {
        let expected =
            expected.map(|all: Vec<&str>| all.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(captured(pattern, path), expected, "{pattern} {path}");
    }
}

#[test]
fn what_two_servers_may_read_differently_is_no_path() {
    for path in [
        "",
        "a",
        "*",
        "//",
        "/a//b",
        "/a/",
        "/.",
        "/..",
        "/a/../b",
        "/a/./b",
        "/a/..",
        "/%2e%2e/b",
        "/%2E%2E",
        "/.%2e/",
        "/a/%2e",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/a;b",
        "/a;",
        "/..;/b",
        "/a%3bb",
        "/%252e%252e",
        "/a%25b",
        "/%61",
        "/a%7Eb",
        "/a%",
        "/a%4",
        "/a%zz",
        "/a%+1",
        "/%ff",
        "/%c0%af",
        "/%c0%ae%c0%ae",
        "/%00",
        "/a%0a",
        "/a%7f",
        "/%C2%85",
        "/a b",
        "/a#b",
        "/a%23b",
        "/a%3fb",
        "/é",
        "/a\"b",
        "/a|b",
        "http://h/a",
        "/a\r\n",
    ] {
        assert_eq!(Segments::parse(path), None, "{path}");
    }
    assert_eq!(Segments::parse(&format!("/{}", "a".repeat(8 << 10))), None);
}

#[test]
fn patterns_and_templates_that_cannot_work_are_refused() {
    for pattern in [
        "",
        "a",
        "//",
        "/a/",
        "/a//b",
        "/..",
        "/a%20b",
        "/a;b",
        "/{",
        "/{}",
        "/{A}",
        "/x{a}",
        "/{a}{b}",
        "/{a}/{a}",
        "/{a..}/b",
        "/{a}/{a..}",
        "/{a..}/{b..}",
        "/{..}",
        "/a?b",
    ] {
        assert!(Pattern::parse(pattern).is_err(), "{pattern}");
    }
    let pattern = Pattern::parse("/{a}/{b}/{rest..}").unwrap();
    for template in [
        "",
        "{c}",
        "{a}{b}",
        "{a}-{b}",
        "{rest}/{a}",
        "{a",
        "a}",
        "{a}/{b}-{rest}",
        "*",
        "{a..}",
        "a{",
        "\u{7}{a}",
    ] {
        assert!(Template::parse(template, &pattern).is_err(), "{template}");
    }
    for template in ["fixed", "{a}", "x-{a}", "{b}/{a}", "{a}/v1/{b}/{rest}", "{rest}/x"] {
        assert!(Template::parse(template, &pattern).is_ok(), "{template}");
    }
}

/// Text that attackers try, among text that is plain.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z0-9._~-]{1,3}",
        1 => prop::sample::select(vec![
            "/", "//", ".", "..", "%2e", "%2E%2e", "%2f", "%2F", "%5c", "\\", ";", "%3b", "%25",
            "%252e", "%00", "%", "%61", "docs", "%64ocs", "%c3%a9", "%ff", "%20", "@", ":", "é", " ",
            "/../", "/./", "?", "#", "%3f", "%23", "*",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// The one way to spell a segment, as far as the alphabet above goes.
fn spell(segment: &str) -> String {
    let spelled = segment.bytes().map(|b| match b {
        b if b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&b) => {
            char::from(b).to_string()
        }
        b => format!("%{b:02x}"),
    });
    spelled.collect()
}

/// The same path with each escape of `!$&'()*+,=:@` undone, in lower case: escapes of these alone are
/// two spellings of one path to every server.
fn settle(path: &str) -> String {
    let mut settled = path.to_owned();
    for b in b"!$&'()*+,=:@" {
        for escape in [format!("%{b:02x}"), format!("%{b:02X}")] {
            settled = settled.replace(&escape, &char::from(*b).to_string());
        }
    }
    settled.split('%').enumerate().fold(String::new(), |all, (at, part)| match at {
        0 => part.to_owned(),
        _ => format!("{all}%{}{}", part[..2].to_ascii_lowercase(), &part[2..]),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn only_the_mapped_form_matches_byte_for_byte(id in hostile()) {
        let (pattern, path) = (Pattern::parse("/v1/docs/{id}").unwrap(), format!("/v1/docs/{id}"));
        let plain = path.split('?').next().unwrap_or_default();
        let Some(segments) = Segments::parse(&path) else { return Ok(()) };
        let Some(captures) = pattern.matches(&segments) else { return Ok(()) };
        let value = &captures[0].1;
        prop_assert_eq!(settle(plain), format!("/v1/docs/{}", spell(value)));
        prop_assert!(**value != *"." && **value != *"..");
        prop_assert!(!value.contains(['/', '\\', ';', '%', '?', '#', '\0']));
    }

    #[test]
    fn a_path_that_matches_anything_holds_nothing_hostile(text in hostile()) {
        let (pattern, path) = (Pattern::parse("/{rest..}").unwrap(), format!("/{text}"));
        let plain = path.split('?').next().unwrap_or_default().to_ascii_lowercase();
        if Segments::parse(&path).is_some_and(|segments| pattern.matches(&segments).is_some()) {
            for hostile in ["//", "/./", "/../", "%2e", "%2f", "%5c", "%25", "%3b", ";", "\\", "%00"] {
                prop_assert!(!plain.contains(hostile), "{} in {}", hostile, path);
            }
            prop_assert!(!plain.ends_with("/..") && !plain.ends_with("/.") && !plain.ends_with('/'));
        }
    }

    #[test]
    fn every_id_that_may_stand_in_a_path_comes_back(id in "[^/\\\\;%?#\\p{Cc}]{1,20}") {
        prop_assume!(id != "." && id != "..");
        let (pattern, path) = (Pattern::parse("/d/{id}").unwrap(), format!("/d/{}", spell(&id)));
        let segments = Segments::parse(&path).unwrap();
        prop_assert_eq!(&*pattern.matches(&segments).unwrap()[0].1, id);
    }

    #[test]
    fn two_paths_never_make_one_id(one in parts(), two in parts()) {
        let pattern = Pattern::parse("/{a}/{b}/{rest..}").unwrap();
        let template = Template::parse("x-{a}-/v/{b}/{rest}", &pattern).unwrap();
        let id = |path: &str| {
            let segments = Segments::parse(path).unwrap();
            template.fill(&pattern.matches(&segments).unwrap())
        };
        prop_assert_eq!(id(&one) == id(&two), one == two);
    }
}

fn parts() -> impl Strategy<Value = String> {
    prop::collection::vec("[av-]{1,2}", 3..6).prop_map(|parts| format!("/{}", parts.join("/")))
}
