//! Constant patterns of `matches`.
//!
//! The interpreter hands a pattern to the `regex` crate and compiles it again for each match, with a
//! limit of 10 MB on the result. Matching is linear in the text, but compiling is not in the
//! pattern: `\w{20}` takes milliseconds, most of it for Unicode's classes. So patterns are bounded
//! by what they expand to, and their classes are those of RE2, the syntax of the CEL
//! specification, which are ASCII.

/// The longest pattern, in bytes.
const MAX_BYTES: usize = 256;
/// The most that a pattern expands to: characters and classes, each as often as it is repeated.
const MAX_WEIGHT: u64 = 400;
/// A class that may contain almost all of Unicode, or any character.
const WIDE: u64 = 4;

/// Bounds and rewrites a pattern. Whether it is one is for the interpreter to say.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn prepare(pattern: &str) -> Result<Prepared, String> {
    if pattern.len() > MAX_BYTES {
        return Err(format!("the pattern has {} bytes; the limit is {MAX_BYTES}", pattern.len()));
    }
    let prepared = Scanner::new(pattern).scan()?;
    if prepared.weight > MAX_WEIGHT {
        return Err(format!(
            "the pattern expands to {} characters and classes; the limit is {MAX_WEIGHT}",
            prepared.weight
        ));
    }
    Ok(prepared)
}

/// The steps (see [`super::MAX_STEPS`]) that one match takes, of a pattern of that weight on a text
/// of that size: the pattern is compiled, then each part of the text may meet each part of it.
pub(super) fn steps(weight: u64, text: u64) -> u64 {
    400_u64.saturating_add(weight.saturating_mul(text.saturating_mul(2).saturating_add(60)))
}

/// A pattern as the interpreter is to see it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) text: String,
    /// How many characters and classes it expands to, wide ones counted [`WIDE`] times.
    pub(super) weight: u64,
}

struct Scanner<'p> {
    rest: &'p str,
    rewritten: String,
    /// The weight of each open group so far, the whole pattern first.
    groups: Vec<u64>,
    /// The weight of the last item, which a repetition repeats. Included in its group.
    last: u64,
}

impl<'p> Scanner<'p> {
    fn new(pattern: &'p str) -> Self {
        Self { rest: pattern, rewritten: String::new(), groups: vec![0], last: 0 }
    }

    /// Copies and weighs the pattern item by item. What is no pattern is left to the interpreter.
    fn scan(mut self) -> Result<Prepared, String> {
        while let Some(next) = self.rest.chars().next() {
            match next {
                '\\' => {
                    let weight = self.escape(false)?;
                    self.item(weight);
                }
                '[' => self.class()?,
                '(' => self.open()?,
                ')' => {
                    self.copy(1);
                    let group = if self.groups.len() > 1 { self.groups.pop() } else { None };
                    self.item(group.unwrap_or(0));
                }
                '{' => self.repetition(),
                '.' => {
                    self.copy(1);
                    self.item(WIDE);
                }
                // They repeat in place, and `{` may follow.
                '*' | '+' | '?' => self.copy(1),
                other => {
                    self.copy(other.len_utf8());
                    self.item(1);
                }
            }
        }
        let weight = self.groups.iter().fold(0, |sum: u64, group| sum.saturating_add(*group));
        Ok(Prepared { text: self.rewritten, weight })
    }

    fn copy(&mut self, bytes: usize) {
        let (copied, rest) = self.rest.split_at(bytes);
        self.rewritten.push_str(copied);
        self.rest = rest;
    }

    fn item(&mut self, weight: u64) {
        self.last = weight;
        if let Some(group) = self.groups.last_mut() {
            *group = group.saturating_add(weight);
        }
    }

    fn open(&mut self) -> Result<(), String> {
        let flags = self.rest.strip_prefix("(?").unwrap_or("");
        let flags = flags.split(|c: char| !c.is_ascii_alphabetic() && c != '-').next();
        // It allows comments, which could hide what follows from this scan.
        if flags.is_some_and(|flags| flags.contains('x')) {
            return Err("the flag x is not available in patterns".to_owned());
        }
        self.copy(1);
        self.groups.push(0);
        Ok(())
    }

    /// `{n}`, `{n,}` or `{n,m}`: the last item is there that often.
    fn repetition(&mut self) {
        let end = self.rest.find('}').map_or(self.rest.len(), |end| end + 1);
        let numbers = self.rest[..end].split(|c: char| !c.is_ascii_digit());
        let times = numbers.filter_map(|number| number.parse::<u64>().ok()).max().unwrap_or(1);
        let more = self.last.saturating_mul(times.saturating_sub(1));
        self.copy(end);
        let last = self.last;
        self.item(more);
        self.last = last.saturating_add(more);
    }

    /// An escape, with RE2's meaning. Returns its weight.
    fn escape(&mut self, in_class: bool) -> Result<u64, String> {
        let escaped = self.rest[1..].chars().next().ok_or("the pattern ends in a backslash")?;
        let bytes = 1 + escaped.len_utf8();
        let class = match escaped {
            'd' => "[0-9]",
            'D' => "[^0-9]",
            'w' => "[0-9A-Za-z_]",
            'W' => "[^0-9A-Za-z_]",
            's' => "[\\t\\n\\f\\r ]",
            'S' => "[^\\t\\n\\f\\r ]",
            'b' if !in_class => "(?-u:\\b)",
            'p' | 'P' | 'B' => return Err(format!("\\{escaped} is not available in patterns")),
            'x' | 'u' | 'U' if self.rest[bytes..].starts_with('{') => {
                let end = self.rest.find('}').map_or(self.rest.len(), |end| end + 1);
                self.copy(end);
                return Ok(WIDE);
            }
            _ => {
                self.copy(bytes);
                return Ok(1);
            }
        };
        self.rewritten.push_str(class);
        self.rest = &self.rest[bytes..];
        Ok(if escaped.is_ascii_uppercase() { WIDE } else { 1 })
    }

    /// A bracketed class, nested ones included.
    fn class(&mut self) -> Result<(), String> {
        let (mut depth, mut weight) = (0_u32, 1);
        let before = self.rest.len();
        while let Some(next) = self.rest.chars().next() {
            match next {
                '\\' => weight = weight.max(self.escape(true)?),
                '[' => {
                    depth += 1;
                    self.copy(1);
                    if self.rest.starts_with('^') {
                        weight = WIDE;
                        self.copy(1);
                    }
                    // A closing bracket that comes first stands for itself.
                    if self.rest.starts_with(']') {
                        self.copy(1);
                    }
                }
                ']' => {
                    depth -= 1;
                    self.copy(1);
                    if depth == 0 {
                        break;
                    }
                }
                other => {
                    if !other.is_ascii() {
                        weight = WIDE;
                    }
                    self.copy(other.len_utf8());
                }
            }
        }
        self.item(weight + (before - self.rest.len()) as u64 / 16);
        Ok(())
    }
}
