//! Checks a parsed condition, and prepares it: members that it reads become slots, found once per
//! evaluation; constant timestamps and durations are computed.

use std::sync::Arc;

use cel::Env;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators,
};
use cel::common::value::Val;
use cel::parser::Parser;

use super::constants::{check_duration, in_utc};
use super::error::{ConditionError, shortened};
use super::functions::{self, Kind, Refused, Style};
use super::inputs::Inputs;
use super::path::{self, Found, Path};
use super::value::slot_name;
use super::{MAX_BYTES, MAX_DEPTH, MAX_LOOPS, MAX_NODES};

/// What a variable `@n` of a prepared condition stands for.
pub(super) enum Slot {
    /// The member at a path.
    Read(Path),
    /// Whether there is a member at a path.
    Has(Path),
    /// A value known when the condition was compiled, and its size in steps.
    Constant {
        /// The value.
        value: Box<dyn Val>,
        /// Of a pattern, what it expands to.
        weight: u64,
    },
}

impl Slot {
    /// What it looks for, for messages: of `has(a.b)` it is `a` whose absence is an error.
    pub(super) fn reads(&self) -> String {
        match self {
            Self::Read(path) => path.text.to_string(),
            Self::Has(path) => path.parent().to_owned(),
            Self::Constant { .. } => "a constant".to_owned(),
        }
    }

    /// What it looks for, if the inputs lack it.
    pub(super) fn missing(&self, inputs: &Inputs<'_>) -> Option<&str> {
        match self {
            Self::Read(path) => matches!(path.find(inputs), Found::Absent).then_some(&*path.text),
            Self::Has(path) => match path.has(inputs) {
                Some(true) => None,
                Some(false) => Some(&*path.text),
                None => Some(path.parent()),
            },
            Self::Constant { .. } => None,
        }
    }
}

/// A condition that passed.
pub(super) struct Checked {
    pub(super) expr: IdedExpr,
    pub(super) slots: Vec<Slot>,
    /// Expressions, as parsed.
    pub(super) nodes: usize,
    /// The functions, if it calls any; operators and macros are none.
    pub(super) env: Option<Arc<Env>>,
}

/// Parses and checks `text`. The functions are asked for at most once, and only if it calls some.
pub(super) fn check(
    text: &str,
    functions: &mut dyn FnMut() -> Arc<Env>,
) -> Result<Checked, ConditionError> {
    if text.len() > MAX_BYTES {
        return Err(ConditionError::TooLong(text.len()));
    }
    let depth = u16::try_from(MAX_DEPTH).expect("the depth is small");
    let parsed = Parser::new().max_recursion_depth(depth).parse(text);
    let mut expr = parsed.map_err(|errors| ConditionError::from_parser(&errors))?;
    if never_boolean(&expr.expr) {
        let message = "the condition is never true or false: compare its value with something";
        return Err(ConditionError::Unsupported(message.to_owned()));
    }
    let mut checker =
        Checker { slots: Vec::new(), scope: Vec::new(), nodes: 0, env: None, functions };
    checker.visit(&mut expr, 1)?;
    let Checker { slots, nodes, env, .. } = checker;
    Ok(Checked { expr, slots, nodes, env })
}

/// Whether the value cannot be a boolean, whatever the inputs.
fn never_boolean(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(literal) => !matches!(literal, LiteralValue::Boolean(_)),
        Expr::List(_) | Expr::Map(_) => true,
        Expr::Call(call) => matches!(
            call.func_name.as_str(),
            operators::ADD
                | operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO
                | operators::NEGATE
        ),
        Expr::Comprehension(comprehension) => matches!(comprehension.accu_init.expr, Expr::List(_)),
        _ => false,
    }
}

/// A check under way.
pub(super) struct Checker<'f> {
    slots: Vec<Slot>,
    /// Variables of the macros around.
    scope: Vec<String>,
    nodes: usize,
    /// What `functions` returned, if it was asked.
    pub(super) env: Option<Arc<Env>>,
    /// Builds or shares the functions.
    pub(super) functions: &'f mut dyn FnMut() -> Arc<Env>,
}

impl Checker<'_> {
    fn visit(&mut self, node: &mut IdedExpr, depth: usize) -> Result<(), ConditionError> {
        if self.fold_path(&mut node.expr, depth)? {
            return Ok(());
        }
        self.count(1, depth)?;
        match &mut node.expr {
            Expr::Literal(LiteralValue::Bytes(_)) => Err(unsupported("bytes: no input has any")),
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) if self.scope.contains(name) => Ok(()),
            Expr::Ident(name) => Err(ConditionError::UnknownVariable(name.clone())),
            Expr::Select(select) => self.visit(&mut select.operand, depth + 1),
            Expr::List(list) => {
                list.elements.iter_mut().try_for_each(|item| self.visit(item, depth + 1))
            }
            Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&mut entry.key, depth + 1)?;
                    self.visit(&mut entry.value, depth + 1)
                }
                EntryExpr::StructField(_) => Err(unsupported("messages")),
            }),
            Expr::Call(_) => self.call(&mut node.expr, depth),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, depth),
            Expr::Struct(message) => Err(unsupported(&format!(
                "messages such as `{}`",
                shortened(&message.type_name, 64)
            ))),
            Expr::Unspecified => Err(unsupported("an empty expression")),
        }
    }

    fn count(&mut self, nodes: usize, depth: usize) -> Result<(), ConditionError> {
        self.nodes += nodes;
        if depth > MAX_DEPTH {
            return Err(ConditionError::TooDeep);
        }
        if self.nodes > MAX_NODES {
            return Err(ConditionError::TooLarge);
        }
        Ok(())
    }

    /// Replaces a path from a variable by its slot.
    fn fold_path(&mut self, expr: &mut Expr, depth: usize) -> Result<bool, ConditionError> {
        let Some(names) = path::names(expr) else { return Ok(false) };
        self.count(names.len(), depth + names.len() - 1)?;
        let path = Path::new(&names)?;
        let test = matches!(expr, Expr::Select(select) if select.test);
        *expr = self.slot(if test { Slot::Has(path) } else { Slot::Read(path) });
        Ok(true)
    }

    /// The variable that stands for a slot; one per path.
    pub(super) fn slot(&mut self, slot: Slot) -> Expr {
        let same = |known: &Slot| match (known, &slot) {
            (Slot::Read(a), Slot::Read(b)) | (Slot::Has(a), Slot::Has(b)) => a == b,
            _ => false,
        };
        let index = self.slots.iter().position(same).unwrap_or_else(|| {
            self.slots.push(slot);
            self.slots.len() - 1
        });
        Expr::Ident(slot_name(index))
    }

    fn call(&mut self, expr: &mut Expr, depth: usize) -> Result<(), ConditionError> {
        let Expr::Call(call) = expr else { return Ok(()) };
        if is_operator(call) {
            return call.args.iter_mut().try_for_each(|arg| self.visit(arg, depth + 1));
        }
        let style = if call.target.is_some() { Style::Member } else { Style::Global };
        let kind = functions::lookup(&call.func_name, style, call.args.len())
            .map_err(|refused| refusal(refused, &call.func_name))?;
        let constant = call.args.first().is_some_and(|arg| matches!(arg.expr, Expr::Literal(_)));
        match kind {
            Kind::Matches => self.fold_pattern(call)?,
            Kind::Getter if constant => self.check_zone(call)?,
            Kind::Duration => check_duration(call)?,
            _ => {}
        }
        self.env();
        if let Some(target) = &mut call.target {
            self.visit(target, depth + 1)?;
        }
        // A slot made by `fold_pattern` is no expression of the author's.
        if kind != Kind::Matches {
            call.args.iter_mut().try_for_each(|arg| self.visit(arg, depth + 1))?;
        }
        if kind == Kind::Timestamp {
            in_utc(expr);
        }
        if constant && matches!(kind, Kind::Timestamp | Kind::Duration) {
            let name = if kind == Kind::Timestamp { "timestamp" } else { "duration" };
            let value = self.evaluate(name, std::mem::take(expr))?;
            *expr = self.slot(Slot::Constant { value, weight: 1 });
        }
        Ok(())
    }

    fn comprehension(
        &mut self,
        comprehension: &mut ComprehensionExpr,
        depth: usize,
    ) -> Result<(), ConditionError> {
        let name = &comprehension.iter_var;
        if name.contains(['.', '@']) || path::ROOTS.contains(&name.as_str()) {
            return Err(unsupported(&format!(
                "`{}` as the variable of a macro",
                shortened(name, 64)
            )));
        }
        // Two names for each macro around.
        if self.scope.len() >= 2 * MAX_LOOPS {
            return Err(ConditionError::TooManyLoops);
        }
        self.visit(&mut comprehension.iter_range, depth + 1)?;
        self.visit(&mut comprehension.accu_init, depth + 1)?;
        self.scope.push(comprehension.iter_var.clone());
        self.scope.push(comprehension.accu_var.clone());
        self.visit(&mut comprehension.loop_cond, depth + 1)?;
        self.visit(&mut comprehension.loop_step, depth + 1)?;
        self.visit(&mut comprehension.result, depth + 1)?;
        self.scope.truncate(self.scope.len() - 2);
        Ok(())
    }
}

fn is_operator(call: &CallExpr) -> bool {
    let name = call.func_name.as_str();
    let operator = matches!(
        name,
        operators::CONDITIONAL
            | operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::NOT_STRICTLY_FALSE
            | operators::NEGATE
            | operators::INDEX
    );
    call.target.is_none() && (operator || is_binary(name))
}

fn is_binary(name: &str) -> bool {
    matches!(
        name,
        operators::SUBSTRACT
            | operators::ADD
            | operators::MULTIPLY
            | operators::DIVIDE
            | operators::MODULO
            | operators::EQUALS
            | operators::NOT_EQUALS
            | operators::GREATER_EQUALS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::LESS
            | operators::IN
    )
}

fn refusal(refused: Refused, name: &str) -> ConditionError {
    let function = shortened(name, 64);
    match refused {
        Refused::Unknown => ConditionError::UnknownFunction(function),
        Refused::Usage(usage) => ConditionError::Arguments { function, usage },
    }
}

pub(super) fn unsupported(what: &str) -> ConditionError {
    ConditionError::Unsupported(format!("conditions do not have {what}"))
}
