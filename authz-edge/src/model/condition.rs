//! Conditions of permissions, in CEL (the Common Expression Language, `cel-spec`).
//!
//! A condition sees `subject.{type,id,properties}`, `resource.{type,id,properties}`,
//! `action.{name,properties}` and `context`, nothing else: there is no clock, so time comes in by
//! `context`. It is checked when written and can only fail towards "grants nothing" afterwards.
//!
//! What differs from other CEL implementations, or surprises:
//! - An absent member is [`Undecided`], not false; `has(resource.properties.x)` asks. Of
//!   `has(a.b.c)` only `c` may be absent. A member that is `null` is present.
//! - `false && error` and `error && false` are false, `true || error` and `error || true` are true,
//!   whichever side fails; every other mix with an error is undecided. `all` and `exists` likewise.
//! - A JSON number without fraction and exponent is an int (a uint above 2^63 - 1), any other a
//!   double. `==`, `<` and `in` compare ints and doubles by value (`5 == 5.0`), but arithmetic does
//!   not mix them: `context.n + 1` needs an int, `double(context.n) + 1.0` takes both.
//! - `matches` takes a constant pattern of RE2's meaning (`\d`, `\w`, `\s` and `\b` are ASCII) and
//!   is a search: anchor it with `^` and `$`. `duration` takes a constant too.
//! - `getHours()` and its kin count in UTC or in the zone that they are given; `getMonth`,
//!   `getDayOfMonth` and `getDayOfYear` start at 0, `getDayOfWeek` with Sunday as 0.
//!
//! The interpreter has no limit of its own, so an evaluation is bounded before it starts: its worst
//! case is computed from the expression and the sizes of the members that it reads, and beyond
//! [`MAX_STEPS`] it is undecided. Callers bound those sizes (16 KiB of JSON for each `properties`
//! and for `context`).

mod check;
mod constants;
mod cost;
mod error;
mod functions;
mod inputs;
mod path;
mod pattern;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use cel::common::types::CelBool;
use cel::{Context, Env, IdedExpr, Value};

pub use error::{ConditionError, Undecided};
pub use inputs::{Inputs, Overlay, Precedence};

use value::Values;

/// The longest condition, in bytes.
pub const MAX_BYTES: usize = 2048;
/// The deepest nesting of expressions, parentheses included.
pub const MAX_DEPTH: usize = 32;
/// The most expressions in a condition, counted after its macros are expanded.
pub const MAX_NODES: usize = 512;
/// How deep `all`, `exists`, `exists_one`, `filter` and `map` nest.
pub const MAX_LOOPS: usize = 2;
/// The most steps that one evaluation may take at worst. A step is one operation, or one JSON value
/// or 16 bytes of a string that an operation looks at or copies: 20 ns as a rule, up to 80 ns where
/// objects are copied. Enough to compare two lists of 200 strings each with each.
pub const MAX_STEPS: u64 = 100_000;
/// The most steps that the conditions of one decision may take together at worst, with what looking at
/// each of them costs: 5 ms as a rule, up to 20 ms where objects are copied. Enough for two of the dearest
/// conditions, or for all of the largest view if each compares a few members.
pub const MAX_DECISION_STEPS: u64 = 250_000;

/// What any condition takes beside its expressions, in steps: its values and its context are made.
const SETUP: u64 = 16;

/// Compiles conditions that share one table of functions, which takes 30 KB and some 50 µs to
/// build: keep one and clone it.
#[derive(Clone)]
pub struct Compiler {
    functions: Arc<Env>,
}

impl Compiler {
    /// Builds the table.
    pub fn new() -> Self {
        Self { functions: Arc::new(functions::environment()) }
    }

    /// Parses and checks a condition. Takes up to some milliseconds and 1 MiB of stack for the
    /// worst text, some 30 µs for a usual one.
    ///
    /// # Errors
    /// The first limit, name or construct that is not allowed, see [`ConditionError`].
    pub fn compile(&self, text: &str) -> Result<Condition, ConditionError> {
        Condition::new(text, &mut || Arc::clone(&self.functions))
    }
}

impl Default for Compiler {
    fn default() -> Self {
        Self::new()
    }
}

/// The steps that are left to the conditions of one decision.
#[derive(Debug)]
pub struct Budget(u64);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_DECISION_STEPS)
    }
}

impl Budget {
    /// The steps that were taken.
    #[must_use]
    pub fn spent(&self) -> u64 {
        MAX_DECISION_STEPS - self.0
    }

    /// Takes `steps`; where they are too many, what finding that out has cost.
    fn take(&mut self, steps: u64, found_out: u64) -> Result<(), Undecided> {
        let fits = steps <= self.0;
        self.0 = self.0.saturating_sub(if fits { steps } else { found_out });
        fits.then_some(()).ok_or(Undecided::OverBudget)
    }
}

/// A compiled condition. Cheap to clone.
#[derive(Clone)]
pub struct Condition(Arc<Compiled>);

struct Compiled {
    text: Box<str>,
    checked: check::Checked,
    env: Arc<Env>,
}

impl Condition {
    /// [`Compiler::compile`] with a table of its own: for one condition. Many should share a
    /// [`Compiler`], since each that calls a function keeps its table.
    ///
    /// # Errors
    /// As [`Compiler::compile`].
    pub fn compile(text: &str) -> Result<Self, ConditionError> {
        Self::new(text, &mut || Arc::new(functions::environment()))
    }

    fn new(text: &str, functions: &mut dyn FnMut() -> Arc<Env>) -> Result<Self, ConditionError> {
        let mut checked = check::check(text, functions)?;
        let env = checked.env.take().unwrap_or_default();
        Ok(Self(Arc::new(Compiled { text: text.into(), checked, env })))
    }

    /// The condition as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The members that it reads or asks for and `inputs` lack, as an author would write them; not those
    /// that it names by a value.
    #[must_use]
    pub fn missing(&self, inputs: &Inputs<'_>) -> Vec<&str> {
        self.0.checked.slots.iter().filter_map(|slot| slot.missing(inputs)).collect()
    }

    /// About how many bytes it holds, for caches that are bounded by weight; without the table of
    /// functions.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of::<Compiled>() + self.0.text.len() + self.0.checked.nodes * size_of::<IdedExpr>()
    }

    /// Its part of [`Condition::weight`]: who made the first of many holders pays most, which errs on the
    /// safe side.
    #[must_use]
    pub fn share(&self) -> usize {
        self.weight() / Arc::strong_count(&self.0).max(1)
    }

    /// Whether the condition holds, by itself.
    ///
    /// # Errors
    /// As [`Condition::holds_within`].
    pub fn holds(&self, inputs: &Inputs<'_>) -> Result<bool, Undecided> {
        self.holds_within(inputs, &mut Budget::default())
    }

    /// Whether the condition holds. Only members that it reads are looked at: two comparisons of
    /// strings take half a microsecond. A `matches` compiles its pattern, which takes tens.
    ///
    /// # Errors
    /// [`Undecided`] when it evaluates to no boolean, fails, or could exceed [`MAX_STEPS`]: it
    /// grants nothing then. [`Undecided::OverBudget`] when it could exceed `budget`: then nobody knows.
    pub fn holds_within(
        &self,
        inputs: &Inputs<'_>,
        budget: &mut Budget,
    ) -> Result<bool, Undecided> {
        let Compiled { checked, env, .. } = &*self.0;
        // Before anything is looked at: a step for each expression, whose cost is computed below.
        budget.take(SETUP.saturating_add(checked.nodes as u64), 0)?;
        let values = Values::find(&checked.slots, inputs)?;
        let (steps, measured) = (cost::steps(&checked.expr.expr, &values), values.conversion());
        if steps > MAX_STEPS {
            budget.take(measured, measured)?;
            return Err(Undecided::TooCostly { steps, limit: MAX_STEPS });
        }
        budget.take(steps, measured)?;
        let mut context = Context::with_env(Arc::clone(env));
        context.set_variable_resolver(&values);
        let result = Value::resolve_val(&checked.expr, &context)
            .map_err(|error| Undecided::from_execution(error, &checked.slots))?;
        match result.downcast_ref::<CelBool>() {
            Some(holds) => Ok(*holds.inner()),
            None => Err(Undecided::NotBoolean(result.get_type().name().to_owned())),
        }
    }
}

/// Conditions are equal when they are written alike.
impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Condition {}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.text()).finish()
    }
}
