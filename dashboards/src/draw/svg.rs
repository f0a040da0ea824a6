//! Elements of SVG, as text: shapes, and words that fit where they stand.

use std::fmt::Write as _;

/// A font's letters are so wide, as a part of their size, in the mean.
const LETTER: f64 = 0.55;

/// Grey tones of the light theme.
pub(super) const INK: &str = "#1f2430";
pub(super) const FAINT: &str = "#5b6474";
pub(super) const RULE: &str = "#e3e6eb";

/// A place on the picture, in pixels from its upper left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Frame {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) w: f64,
    pub(super) h: f64,
}

impl Frame {
    pub(super) fn right(&self) -> f64 {
        self.x + self.w
    }

    pub(super) fn bottom(&self) -> f64 {
        self.y + self.h
    }
}

/// How words stand at their place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Words {
    pub(super) size: f64,
    pub(super) fill: &'static str,
    pub(super) anchor: &'static str,
    pub(super) is_bold: bool,
}

impl Words {
    pub(super) const fn new(size: f64, fill: &'static str) -> Self {
        Self { size, fill, anchor: "start", is_bold: false }
    }

    pub(super) const fn bold(self) -> Self {
        Self { is_bold: true, ..self }
    }

    pub(super) const fn anchored(self, anchor: &'static str) -> Self {
        Self { anchor, ..self }
    }
}

/// What was drawn so far.
#[derive(Debug, Default)]
pub(super) struct Svg(String);

impl Svg {
    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a text cannot fail.
        let _ = self.0.write_fmt(element);
        self.0.push('\n');
    }

    pub(super) fn rect(&mut self, Frame { x, y, w, h }: Frame, fill: &str, more: &str) {
        let [x, y, w, h] = [x, y, w, h].map(near);
        self.add(format_args!(
            r#"<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="{fill}"{more}/>"#
        ));
    }

    /// A horizontal line.
    pub(super) fn rule(&mut self, x: f64, y: f64, w: f64) {
        let [x, y, w] = [x, y, w].map(near);
        self.add(format_args!(r#"<path d="M{x} {y}h{w}" stroke="{RULE}" fill="none"/>"#));
    }

    /// Words at a place, as they are.
    pub(super) fn text(&mut self, (x, y): (f64, f64), words: Words, text: &str) {
        let ([x, y], size) = ([x, y].map(near), near(words.size));
        let Words { fill, anchor, is_bold, .. } = words;
        let anchor = match anchor {
            "start" => String::new(),
            _ => format!(r#" text-anchor="{anchor}""#),
        };
        let weight = if is_bold { r#" font-weight="600""# } else { "" };
        let text = escaped(text);
        self.add(format_args!(
            r#"<text x="{x}" y="{y}" font-size="{size}" fill="{fill}"{anchor}{weight}>{text}</text>"#
        ));
    }

    /// A path with such attributes.
    pub(super) fn path(&mut self, d: &str, attributes: &str) {
        if !d.is_empty() {
            self.add(format_args!(r#"<path d="{d}" {attributes}/>"#));
        }
    }

    /// A whole document of that size, told to whoever cannot see it as `label`.
    pub(super) fn document(self, (w, h): (f64, f64), label: &str) -> String {
        let ([w, h], label) = ([w, h].map(near), escaped(label));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" \
             role=\"img\" font-family=\"Inter, Helvetica, Arial, sans-serif\">\n<title>{label}</title>\n{}</svg>\n",
            self.0
        )
    }
}

/// A length to a tenth of a pixel.
pub(super) fn near(length: f64) -> String {
    let text = format!("{length:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Text as it may stand between tags and in attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars().filter(|letter| !letter.is_control()) {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// How wide words will be, nearly: every reader has a font of its own.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(|_| size * LETTER).sum()
}

/// As much of a text as fits, with a sign that there is more.
pub(super) fn fitted(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut short = String::new();
    for letter in text.chars() {
        if width(&short, size) + 2.0 * size * LETTER > room {
            break;
        }
        short.push(letter);
    }
    short.trim_end().to_owned() + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_becomes_markup() {
        let mut svg = Svg::default();
        svg.text((1.0, 2.05), Words::new(12.0, INK), "a<b> & \"c\"\u{7}");
        let text = svg.document((10.0, 20.0), "<x>");
        assert!(text.contains(">a&lt;b&gt; &amp; &quot;c&quot;</text>"), "{text}");
        assert!(text.contains("<title>&lt;x&gt;</title>"), "{text}");
    }

    #[test]
    fn words_end_where_their_room_does() {
        assert_eq!(fitted("short", 10.0, 100.0), "short");
        let cut = fitted("much too long for so little room", 10.0, 60.0);
        assert!(cut.ends_with('…') && width(&cut, 10.0) <= 60.0, "{cut}");
    }

    #[test]
    fn lengths_are_short() {
        assert_eq!([1.0, 1.26, -0.04, 10.06].map(near), ["1", "1.3", "0", "10.1"]);
    }
}
