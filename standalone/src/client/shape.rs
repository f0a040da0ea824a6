//! How things look in tables.

use comfy_table::{Cell as Field, ColumnConstraint, ContentArrangement, Table, presets};
use serde_json::Value;

use super::text::{cell, plain};

/// Blanks between columns.
const GAP: u16 = 2;

/// What a cell holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell {
    /// The member of that name.
    At(&'static str),
    /// What is made of the whole, which is then made plain.
    Of(fn(&Value) -> String),
}

impl Cell {
    /// Its text, which a terminal may see.
    pub(crate) fn of(self, value: &Value) -> String {
        match self {
            Self::At(name) => value.get(name).map(cell).unwrap_or_default(),
            Self::Of(text) => plain(&text(value)),
        }
    }
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    cell: Cell,
    /// Whether it is never broken: ids are copied.
    is_whole: bool,
    /// Whether it is left out where it does not fit.
    is_extra: bool,
}

impl Column {
    /// The member of that name.
    pub(crate) const fn at(title: &'static str, member: &'static str) -> Self {
        Self { title, cell: Cell::At(member), is_whole: false, is_extra: false }
    }

    /// The same, never broken.
    pub(crate) const fn id(title: &'static str, member: &'static str) -> Self {
        Self { title, cell: Cell::At(member), is_whole: true, is_extra: false }
    }

    /// The same column, left out where the terminal is too narrow.
    pub(crate) const fn extra(self) -> Self {
        Self { is_extra: true, ..self }
    }

    /// What is made of the whole.
    pub(crate) const fn of(title: &'static str, text: fn(&Value) -> String) -> Self {
        Self { title, cell: Cell::Of(text), is_whole: false, is_extra: false }
    }
}

/// How a kind of thing looks in a list.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) columns: &'static [Column],
    /// What names one.
    pub(crate) id: Cell,
}

impl Shape {
    /// An entry's cells.
    pub(crate) fn row(&self, value: &Value) -> Vec<String> {
        self.columns.iter().map(|column| column.cell.of(value)).collect()
    }
}

/// Makes tables of a width; of any width where there is no terminal.
pub(crate) struct Tables {
    pub(crate) width: Option<u16>,
}

impl Tables {
    /// A list.
    pub(crate) fn rows(&self, shape: &Shape, rows: &[Vec<String>]) -> String {
        // A column in which nothing stands says nothing.
        let is_empty = |at: usize| rows.iter().all(|row| row.get(at).is_none_or(String::is_empty));
        let mut shown: Vec<usize> =
            (0..shape.columns.len()).filter(|at| *at == 0 || !is_empty(*at)).collect();
        loop {
            let mut table = self.of(shape, &shown, rows);
            let extra = shown.iter().rposition(|at| shape.columns[*at].is_extra);
            match extra {
                Some(extra) if !self.fits(&mut table) => shown.remove(extra),
                _ => return finished(table),
            };
        }
    }

    fn of(&self, shape: &Shape, shown: &[usize], rows: &[Vec<String>]) -> Table {
        let mut table = self.table();
        table.set_header(shown.iter().map(|at| shape.columns[*at].title));
        for row in rows {
            table.add_row(shown.iter().map(|at| Field::new(&row[*at])));
        }
        for (place, at) in shown.iter().enumerate() {
            if let Some(column) = table.column_mut(place).filter(|_| shape.columns[*at].is_whole) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        table
    }

    /// Whether no cell of a table has to be broken.
    fn fits(&self, table: &mut Table) -> bool {
        let Some(width) = self.width else { return true };
        let gaps = usize::from(GAP) * table.column_count().saturating_sub(1);
        let widths = table.column_max_content_widths();
        widths.into_iter().map(usize::from).sum::<usize>() + gaps <= usize::from(width)
    }

    /// One thing: a line for each of its members, the id first.
    pub(crate) fn details(&self, value: &Value) -> String {
        let Value::Object(members) = value else { return cell(value) };
        let (first, rest): (Vec<_>, Vec<_>) = members.iter().partition(|(name, _)| *name == "id");
        let mut table = self.table();
        for (name, value) in first.into_iter().chain(rest) {
            let text = cell(value);
            if !text.is_empty() {
                table.add_row([Field::new(plain(&name.replace('_', " "))), Field::new(text)]);
            }
        }
        if let Some(column) = table.column_mut(0) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        finished(table)
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        match self.width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        table
    }
}

/// A table's text: columns stand two spaces apart, and no line has blanks at its end.
fn finished(mut table: Table) -> String {
    let last = table.column_count().saturating_sub(1);
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if at == last { 0 } else { GAP }));
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHAPE: Shape = Shape {
        columns: &[
            Column::id("ID", "id"),
            Column::at("NAME", "name"),
            Column::at("NOTE", "note"),
            Column::of("BOTH", |value| format!("{}\n{}", value["id"], value["name"])),
        ],
        id: Cell::At("id"),
    };

    fn rows(values: &[Value], width: Option<u16>) -> String {
        Tables { width }
            .rows(&SHAPE, &values.iter().map(|value| SHAPE.row(value)).collect::<Vec<_>>())
    }

    #[test]
    fn columns_stand_apart_and_empty_ones_are_left_out() {
        let table =
            rows(&[json!({"id": "u-1", "name": "Ada"}), json!({"id": "u-22", "name": 7})], None);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "ID    NAME  BOTH");
        assert_eq!(lines[1], "u-1   Ada   \"u-1\"\\n\"Ada\"");
        assert_eq!(lines[2], "u-22  7     \"u-22\"\\n7");
        let table = rows(&[json!({"id": "u-1", "note": "x"})], None);
        assert!(table.starts_with("ID   NOTE"), "{table}");
    }

    #[test]
    fn data_writes_no_commands_into_a_table() {
        let table = rows(&[json!({"id": "a\u{1b}[31m", "name": "x\ny\u{9b}"})], None);
        assert!(table.chars().all(|c| c == '\n' || !c.is_control()), "{table:?}");
        assert_eq!(table.lines().count(), 2, "{table}");
    }

    #[test]
    fn wide_cells_are_broken_and_ids_are_not() {
        let id = "0".repeat(36);
        let name = "word ".repeat(30);
        let table = rows(&[json!({"id": id, "name": name})], Some(80));
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(table.lines().count() > 3 && table.contains(&id), "{table}");
    }

    #[test]
    fn what_is_extra_is_left_out_where_it_does_not_fit() {
        const WIDE: Shape = Shape {
            columns: &[
                Column::at("A", "a"),
                Column::at("B", "b").extra(),
                Column::at("C", "c").extra(),
            ],
            id: Cell::At("a"),
        };
        let row = WIDE.row(&json!({"a": "x".repeat(10), "b": "y".repeat(10), "c": "z".repeat(10)}));
        let titles = |width| {
            let table = Tables { width }.rows(&WIDE, std::slice::from_ref(&row));
            table.lines().next().unwrap().split_whitespace().collect::<String>()
        };
        assert_eq!(titles(None), "ABC");
        assert_eq!(titles(Some(34)), "ABC");
        let table = Tables { width: Some(34) }.rows(&WIDE, std::slice::from_ref(&row));
        assert_eq!(table.lines().count(), 2, "nothing is broken that fits: {table}");
        assert_eq!(titles(Some(33)), "AB");
        assert_eq!(titles(Some(12)), "A");
    }

    #[test]
    fn one_thing_is_a_line_a_member() {
        let value = json!({"created_at": "now", "id": "u-1", "user_name": "ada", "attributes": {}, "email": null});
        let details = Tables { width: None }.details(&value);
        assert_eq!(details, "id          u-1\ncreated at  now\nuser name   ada");
    }
}
