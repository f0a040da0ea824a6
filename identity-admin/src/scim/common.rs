//! What the database decides of both users and groups.

use super::filter::{Operand, Operator, Test};
use super::schema::Place;
use crate::db::{Value as Param, exact};

/// What a condition in SQL needs.
type Condition = (String, Vec<Param>);

/// The attribute of the core that is compared with a text for equality. Some databases compare without the space at
/// the ends of texts: those are left to us.
pub(super) fn equal(test: &Test) -> Option<(&'static str, &str)> {
    text(test).filter(|(_, text)| text.trim_end() == *text)
}

fn text(test: &Test) -> Option<(&'static str, &str)> {
    match test {
        Test { place, operator: Operator::Equal, operand: Operand::Text(text) }
            if place.extension.is_none() =>
        {
            Some((place.attribute.name, text))
        }
        _ => None,
    }
}

/// What holds of no row: what is asked for has a form that nothing has.
pub(super) fn nothing() -> Condition {
    ("1 = 0".to_owned(), Vec::new())
}

/// Whether a test asks for an attribute of the core by a text that ends with a space, which no name does.
pub(super) fn is_padded(test: &Test, name: &str) -> bool {
    text(test).is_some_and(|(of, text)| of == name && text.trim_end() != text)
}

/// Of attributes that all resources have.
pub(super) fn condition(test: &Test) -> Option<Condition> {
    match equal(test) {
        Some(("id", id)) => return Some(("id = ?".to_owned(), vec![id.into()])),
        Some(("externalId", id)) => {
            return Some(("external_id = ?".to_owned(), vec![exact(Some(id))]));
        }
        _ => {}
    }
    let Operand::Time(time) = test.operand else { return None };
    let operator = match test.operator {
        Operator::Equal => "=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        _ => return None,
    };
    let column = column(&test.place)?;
    Some((format!("{column} {operator} ?"), vec![time.into()]))
}

/// Of whether a user is active.
pub(super) fn active(test: &Test) -> Option<Condition> {
    match test {
        Test { place, operator: Operator::Equal, operand: Operand::Boolean(active) }
            if place.attribute.name == "active" =>
        {
            Some(("is_active = ?".to_owned(), vec![(*active).into()]))
        }
        _ => None,
    }
}

/// The column that sorts as an attribute does that all resources have.
pub(super) fn column(place: &Place) -> Option<&'static str> {
    match (place.attribute.name, place.part.map(|part| part.name)) {
        ("id", _) => Some("id"),
        ("meta", Some("created")) => Some("created_at"),
        ("meta", Some("lastModified")) => Some("updated_at"),
        _ => None,
    }
}
