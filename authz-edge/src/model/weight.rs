//! What is held, in bytes, roughly: for caches that are bounded by weight.
//!
//! What several hold is divided among them when it is weighed: who made the first of many pays most, which
//! errs on the safe side.

use std::sync::Arc;

use serde_json::Value;

use super::Properties;

/// Attributes: each member's name, and its value as JSON would be written.
#[must_use]
pub fn share_of(attributes: &Option<Arc<Properties>>) -> usize {
    attributes.as_ref().map_or(0, |attributes| {
        let members = attributes.iter().map(|(name, value)| name.len() + 64 + value_bytes(value));
        members.sum::<usize>() / Arc::strong_count(attributes).max(1)
    })
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| 32 + value_bytes(item)).sum(),
        Value::Object(map) => map.iter().map(|(name, v)| name.len() + 64 + value_bytes(v)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Condition;
    use super::super::view::{
        Covers, Grant, HeldRole, Holding, NEVER, RoleGrants, Standing, SubjectView,
    };
    use super::*;

    fn role() -> Arc<RoleGrants> {
        let compile = |n: usize| Condition::compile(&format!("context.a{n} == {n}")).unwrap();
        let grant = |n| Grant { covers: Covers::All, condition: Some(compile(n)) };
        Arc::new(RoleGrants::new((0..100).map(|n| ("read".into(), grant(n)))))
    }

    fn view(role: &Arc<RoleGrants>, attributes: Option<Arc<Properties>>) -> SubjectView {
        let everywhere = Holding { covers: Covers::All, until: NEVER };
        let roles = vec![HeldRole::new(Arc::clone(role), [everywhere])];
        SubjectView { standing: Standing::Active, attributes, roles }
    }

    #[test]
    fn a_view_weighs_its_conditions_and_many_weigh_those_that_they_share_once() {
        let role = role();
        let conditions = role.of("read").iter().filter_map(|grant| grant.condition.as_ref());
        let summed: usize = conditions.map(Condition::weight).sum();
        let views: Vec<_> = (0..10).map(|_| view(&role, None)).collect();
        drop(role);
        let all: usize = views.iter().map(SubjectView::bytes).sum();
        assert!(all >= summed && all < 2 * summed, "{all} of {summed}");
        let alone = view(&self::role(), None);
        let alone = alone.bytes();
        assert!(alone >= summed, "{alone} of {summed}");
    }

    #[test]
    fn attributes_are_weighed_in_parts_by_those_that_hold_them() {
        let text = Value::from("x".repeat(16 << 10));
        let attributes = Some(Arc::new(Properties::from_iter([("text".to_owned(), text)])));
        let alone = share_of(&attributes);
        assert!(alone >= 16 << 10);
        let held = [attributes.clone(), attributes.clone(), attributes];
        assert_eq!(held.iter().map(share_of).sum::<usize>() / 3 * 3, alone / 3 * 3);
    }
}
