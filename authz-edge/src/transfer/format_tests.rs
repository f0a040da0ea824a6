use super::*;

const FILE: [&str; 8] = [
    r#"{"header":{"format":"triad.graph","version":1,"tenant":"acme","epoch":"00000000000000ab","revision":42}}"#,
    r#"{"role":{"id":"reader","name":"Readers","permissions":[{"action":"read","on":{"type":"doc"}}]}}"#,
    r#"{"subject":{"type":"user","id":"ann","attributes":{"level":3},"active":false}}"#,
    r#"{"subject":{"type":"team","id":"eng"}}"#,
    r#"{"resource":{"type":"doc","id":"d-1"}}"#,
    r#"{"relationship":{"relation":"member_of","subject":{"type":"user","id":"ann"},"team":"eng"}}"#,
    r#"{"relationship":{"relation":"has_role","subject":{"type":"team","id":"eng"},"role":"reader","on":{"type":"doc","id":"d-1"},"expires_at":"2030-01-01T00:00:00Z"}}"#,
    r#"{"end":{"roles":1,"subjects":2,"resources":1,"relationships":2}}"#,
];

fn take(lines: &[&str]) -> Result<Position, (usize, String)> {
    let mut position = Position::default();
    for (at, line) in lines.iter().enumerate() {
        position.take(line.as_bytes()).map_err(|error| (at + 1, error))?;
    }
    Ok(position)
}

#[test]
fn lines_are_written_as_they_are_read() {
    let mut position = Position::default();
    for text in FILE {
        let line = position.take(text.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&line).unwrap(), text);
    }
    assert!(position.is_ended());
    assert_eq!(position.counts().total(), 6);
}

#[test]
fn a_file_that_is_cut_or_holed_has_no_end() {
    for at in 0..FILE.len() {
        assert!(!take(&FILE[..at]).unwrap().is_ended(), "cut at {at}");
        let mut holed = FILE.to_vec();
        holed.remove(at);
        assert!(!take(&holed).is_ok_and(|position| position.is_ended()), "without line {at}");
    }
}

#[test]
fn lines_out_of_place_are_refused() {
    for (from, to) in [(1, 2), (2, 4), (4, 6), (1, 5)] {
        let mut swapped = FILE.to_vec();
        swapped.swap(from, to);
        let (_, error) = take(&swapped).unwrap_err();
        assert!(error.contains("in this order"), "{error}");
    }
    let twice = [FILE[0], FILE[0]];
    assert_eq!(take(&twice).unwrap_err(), (2, "a second header".to_owned()));
    let mut more = FILE.to_vec();
    more.push(FILE[5]);
    assert_eq!(take(&more).unwrap_err(), (9, "a line behind the end".to_owned()));
}

#[test]
fn what_is_unknown_or_breaks_a_rule_is_named() {
    for (bad, part) in [
        (r#"{"robot":{"id":"x"}}"#, "unknown variant `robot`"),
        (r#"{"role":{"id":"r","permissions":[],"x":1}}"#, "unknown field `x`"),
        (r#"{"role":{"id":"","permissions":[]}}"#, "id:"),
        (r#"{"role":{"id":"r","permissions":[{"action":"a","condition":"1 +"}]}}"#, "condition"),
        (r#"{"subject":{"type":"robot","id":"x"}}"#, "unknown variant `robot`"),
        (r#"{"resource":{"type":"doc","id":"*"}}"#, "id:"),
        (r#"{"relationship":{"relation":"owns"}}"#, "unknown variant `owns`"),
        (r#"{"role":{"id":"r","permissions":[]}} {}"#, "trailing"),
        ("", "EOF"),
    ] {
        let (line, error) = take(&[FILE[0], bad]).unwrap_err();
        assert!(line == 2 && error.contains(part), "{bad}: {error}");
    }
    let large = format!(
        r#"{{"resource":{{"type":"doc","id":"d","attributes":{{"a":"{}"}}}}}}"#,
        "x".repeat(crate::model::MAX_PROPERTIES_BYTES)
    );
    assert!(take(&[FILE[0], &large]).unwrap_err().1.starts_with("attributes"));
    for (from, to) in [("triad.graph", "other"), ("\"version\":1", "\"version\":2")] {
        assert!(take(&[&FILE[0].replace(from, to)]).is_err());
    }
}

#[test]
fn a_position_is_found_again_from_its_counts() {
    for at in 1..FILE.len() - 1 {
        let before = take(&FILE[..at]).unwrap();
        let mut again = Position::behind(before.counts());
        for line in &FILE[at..] {
            again.take(line.as_bytes()).unwrap();
        }
        assert!(again.is_ended());
        let mut behind = Position::behind(take(&FILE[..7]).unwrap().counts());
        assert!(behind.take(FILE[at].as_bytes()).is_ok() == (at > 4));
    }
}
