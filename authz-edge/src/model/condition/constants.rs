//! Constant arguments: computed or tried when a condition is compiled, so that a mistake in one is
//! found then and an evaluation does not repeat the work.

use std::sync::Arc;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};
use cel::common::types::CelString;
use cel::common::value::{CowVal, Val};
use cel::{Context, Env, ExecutionError, Value};

use super::check::{Checker, Slot, unsupported};
use super::error::{ConditionError, shortened};
use super::{functions, pattern};

impl Checker<'_> {
    /// The functions; the condition calls some.
    pub(super) fn env(&mut self) -> Arc<Env> {
        Arc::clone(self.env.get_or_insert_with(&mut *self.functions))
    }

    /// The value of an expression that reads no input.
    pub(super) fn evaluate(
        &mut self,
        function: &str,
        expr: Expr,
    ) -> Result<Box<dyn Val>, ConditionError> {
        let context = Context::with_env(self.env());
        let expr = unplaced(expr);
        let value = Value::resolve_val(&expr, &context).map(CowVal::into_owned);
        value.map_err(|error| {
            let message = match error {
                ExecutionError::FunctionError { message, .. } => shortened(&message, 200),
                _ => "it is of another type".to_owned(),
            };
            ConditionError::Constant { function: function.to_owned(), message }
        })
    }

    /// Replaces the pattern of `matches` by a slot with what it is prepared to.
    pub(super) fn fold_pattern(&mut self, call: &mut CallExpr) -> Result<(), ConditionError> {
        let function = call.func_name.clone();
        let pattern = string_argument(call)
            .ok_or_else(|| unsupported("a pattern of `matches` that is not constant"))?;
        let prepared = pattern::prepare(pattern)
            .map_err(|message| ConditionError::Constant { function: function.clone(), message })?;
        let literal = |text: String| unplaced(Expr::Literal(LiteralValue::String(text.into())));
        let trial = CallExpr {
            func_name: function.clone(),
            target: Some(Box::new(literal(String::new()))),
            args: vec![literal(prepared.text.clone())],
        };
        self.evaluate(&function, Expr::Call(trial))?;
        let value = Box::new(CelString::from(prepared.text));
        let slot = self.slot(Slot::Constant { value, weight: prepared.weight });
        call.args = vec![unplaced(slot)];
        Ok(())
    }

    /// Tries the constant time zone of a getter, so that a misspelt one is found when written.
    pub(super) fn check_zone(&mut self, call: &CallExpr) -> Result<(), ConditionError> {
        let zero = unplaced(Expr::Literal(LiteralValue::Int(0.into())));
        let epoch = CallExpr { func_name: "timestamp".to_owned(), target: None, args: vec![zero] };
        let trial = CallExpr {
            func_name: call.func_name.clone(),
            target: Some(Box::new(unplaced(Expr::Call(epoch)))),
            args: call.args.clone(),
        };
        self.evaluate(&call.func_name, Expr::Call(trial)).map(drop)
    }
}

/// Refuses a duration that is not constant, or not one as a whole.
pub(super) fn check_duration(call: &CallExpr) -> Result<(), ConditionError> {
    let text = string_argument(call)
        .ok_or_else(|| unsupported("a `duration` that is not a constant string"))?;
    if functions::is_duration(text) {
        return Ok(());
    }
    Err(ConditionError::Constant {
        function: call.func_name.clone(),
        message: "write it as 1h30m, 45s or 1.5s".to_owned(),
    })
}

/// Wraps a call, see [`functions::UTC`].
pub(super) fn in_utc(expr: &mut Expr) {
    let inner = unplaced(std::mem::take(expr));
    *expr = Expr::Call(CallExpr {
        func_name: functions::UTC.to_owned(),
        target: None,
        args: vec![inner],
    });
}

/// An expression of which no position is asked.
fn unplaced(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

fn string_argument(call: &CallExpr) -> Option<&str> {
    match &call.args.first()?.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}
