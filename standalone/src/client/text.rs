//! Text that others wrote, as a terminal may see it.

use std::fmt::Write as _;

use serde_json::Value;

/// Whether a terminal could take a character for a command, or show what follows in another order or not at all.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text with every hidden character written out: a line break as `\n`, an escape as `\u{1b}`.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => plain.push_str("\\n"),
            '\r' => plain.push_str("\\r"),
            '\t' => plain.push_str("\\t"),
            c if is_hidden(c) => {
                // Writing to a String does not fail.
                let _ = write!(plain, "\\u{{{:x}}}", u32::from(c));
            }
            c => plain.push(c),
        }
    }
    plain
}

/// JSON text with every hidden character as `\u…`, which JSON takes for the same; serde writes only those below
/// U+0020 so.
pub(crate) fn plain_json(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hidden(c) && c != '\n' {
            // None of them is beyond the basic plane. Writing to a String does not fail.
            let _ = write!(plain, "\\u{:04x}", u32::from(c));
        } else {
            plain.push(c);
        }
    }
    plain
}

/// A value as a cell shows it: texts and numbers as they are, what has parts as JSON.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().map(cell).collect::<Vec<_>>().join(", ")
        }
        Value::Object(members) if members.is_empty() => String::new(),
        other => plain(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_others_wrote_commands_a_terminal() {
        let evil = "a\u{1b}[2Jb\u{9b}c\r\nd\te\u{202e}f\u{200b}g\u{7f}";
        let shown = "a\\u{1b}[2Jb\\u{9b}c\\r\\nd\\te\\u{202e}f\\u{200b}g\\u{7f}";
        assert_eq!(plain(evil), shown);
        assert_eq!(plain("Zoë 名前 🙂"), "Zoë 名前 🙂");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = json!({"a\u{9b}": "x\u{7f}\u{202e}\n\u{1b}", "b": [1, "é"]});
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let plain = plain_json(&text);
            assert!(!plain.chars().any(|c| is_hidden(c) && c != '\n'), "{plain:?}");
            assert_eq!(serde_json::from_str::<Value>(&plain).unwrap(), value);
        }
    }

    #[test]
    fn cells_are_short() {
        for (value, shown) in [
            (json!(null), ""),
            (json!("x\n"), "x\\n"),
            (json!(true), "true"),
            (json!(3), "3"),
            (json!([]), ""),
            (json!(["a", "b"]), "a, b"),
            (json!({}), ""),
            (json!({"a": 1}), "{\"a\":1}"),
        ] {
            assert_eq!(cell(&value), shown);
        }
    }
}
