//! Queries that are kept parsed.

use std::sync::Arc;

use foldhash::fast::FixedState;
use moka::sync::Cache;

use super::super::store::GraphError;
use super::parse::parse;
use super::plan::Plan;
use super::types::Types;

/// All texts that are kept, in bytes; parsed they are a few times as large.
const BYTES: u64 = 1 << 20;

/// Plans by their texts. What is asked once does not push out what is asked often.
pub(super) struct Plans(Cache<Box<str>, Arc<Plan>, FixedState>);

impl Plans {
    pub(super) fn new() -> Self {
        #[allow(clippy::borrowed_box, reason = "what moka hands over")]
        let weight = |text: &Box<str>, _: &Arc<Plan>| u32::try_from(text.len()).unwrap_or(u32::MAX);
        let cache = Cache::builder().max_capacity(BYTES).weigher(weight);
        Self(cache.build_with_hasher(FixedState::default()))
    }

    /// The plan of a text, for these predicates. Texts without variables mostly have values in them, and
    /// seldom come again: they are not kept.
    ///
    /// # Errors
    /// As [`parse`].
    pub(super) fn get(&self, text: &str, types: &Arc<Types>) -> Result<Arc<Plan>, GraphError> {
        let known = self.0.get(text).filter(|plan| Arc::ptr_eq(&plan.types, types));
        if let Some(plan) = known {
            return Ok(plan);
        }
        let plan = Arc::new(parse(text, types)?);
        if !plan.params.is_empty() {
            self.0.insert(text.into(), Arc::clone(&plan));
        }
        Ok(plan)
    }
}
