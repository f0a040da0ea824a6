//! The worst case of an evaluation, from the expression and the sizes of what it reads.
//!
//! Every branch counts, and every operator counts what it would copy into an error: the
//! interpreter's errors hold their operands, and comparing an int with a list, even by `==` or
//! `in`, makes and drops such an error. What an evaluation builds is counted as it is built, so the
//! bound is one on memory too (some 100 bytes a step).

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};

use super::functions::{self, Kind};
use super::pattern;
use super::value::{Size, Values, slot_index};

/// Calling a function or comparing, apart from what it looks at.
const CALL: u64 = 4;
/// One round of a macro, apart from its body: it binds two variables.
const ROUND: u64 = 6;
/// Parsing a timestamp or looking up a time zone.
const PARSE: u64 = 20;

/// The most steps that evaluating `expr` can take. Costs some 20 ns per expression.
pub(super) fn steps<'e>(expr: &'e Expr, values: &'e Values<'_>) -> u64 {
    let mut meter = Meter { values, scope: Vec::new() };
    meter.visit(expr).steps.saturating_add(values.conversion())
}

struct Meter<'e, 'i> {
    values: &'e Values<'i>,
    scope: Vec<(&'e str, Size)>,
}

/// What an expression takes at most, and how large its value is at most.
#[derive(Clone, Copy)]
struct Work {
    steps: u64,
    size: Size,
}

impl Work {
    fn new(steps: u64, size: Size) -> Self {
        Self { steps, size }
    }
}

fn sum(steps: impl IntoIterator<Item = u64>) -> u64 {
    steps.into_iter().fold(0, u64::saturating_add)
}

impl<'e> Meter<'e, '_> {
    fn visit(&mut self, expr: &'e Expr) -> Work {
        match expr {
            Expr::Literal(LiteralValue::String(text)) => Work::new(1, Size::text(text.len())),
            Expr::Literal(_) | Expr::Unspecified => Work::new(1, Size::ONE),
            Expr::Ident(name) => Work::new(1, self.variable(name)),
            Expr::Select(select) => {
                let operand = self.visit(&select.operand.expr);
                Work::new(sum([operand.steps, 2]), Size::within(operand.size.item))
            }
            Expr::List(list) => self.collect(list.elements.iter().map(|element| &element.expr)),
            Expr::Map(map) => {
                self.collect(map.entries.iter().flat_map(|entry| match &entry.expr {
                    EntryExpr::MapEntry(entry) => [&entry.key.expr, &entry.value.expr],
                    // Not in maps.
                    EntryExpr::StructField(field) => [&field.value.expr, &field.value.expr],
                }))
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            // The checker lets none pass.
            Expr::Struct(_) => Work::new(u64::MAX, Size::ONE),
        }
    }

    fn variable(&self, name: &str) -> Size {
        if let Some(slot) = slot_index(name) {
            return self.values.size(slot);
        }
        let bound = self.scope.iter().rev().find(|(bound, _)| *bound == name);
        bound.map_or(Size::ONE, |(_, size)| *size)
    }

    /// A literal list or map: every item is copied into it.
    fn collect(&mut self, items: impl Iterator<Item = &'e Expr>) -> Work {
        let mut work = Work::new(2, Size::ONE);
        for item in items {
            let Work { steps, size } = self.visit(item);
            work.steps = sum([work.steps, steps, size.total]);
            work.size.total = sum([work.size.total, size.total]);
            work.size.len += 1;
            work.size.item = work.size.item.max(size.total);
        }
        work
    }

    fn call(&mut self, call: &'e CallExpr) -> Work {
        let mut operands = [Work::new(0, Size { total: 0, ..Size::ONE }); 3];
        let exprs = call.target.as_deref().into_iter().chain(&call.args);
        for (operand, expr) in operands.iter_mut().zip(exprs) {
            *operand = self.visit(&expr.expr);
        }
        let [a, b, c] = operands;
        let steps = sum([a.steps, b.steps, c.steps]);
        let totals = sum([a.size.total, b.size.total]);
        let (own, size) = match call.func_name.as_str() {
            operators::LOGICAL_AND | operators::LOGICAL_OR | operators::NOT_STRICTLY_FALSE => {
                (1, Size::ONE)
            }
            operators::LOGICAL_NOT | operators::NEGATE => (CALL, Size::ONE),
            operators::CONDITIONAL => (1, larger(b.size, c.size)),
            operators::INDEX => {
                // A fractional index fails with a copy of the list; a literal is none.
                let copied = if is_literal(&call.args) { b.size.total } else { totals };
                (sum([2, copied]), Size::within(a.size.item))
            }
            operators::IN => {
                let compared = b.size.len.saturating_mul(a.size.total);
                (sum([CALL, totals, compared]), Size::ONE)
            }
            operators::ADD => (sum([2, totals]), joined(a.size, b.size)),
            name => match functions::kind(name) {
                Some(Kind::ToString) => (sum([CALL, totals]), Size::within(sum([a.size.total, 2]))),
                Some(Kind::Timestamp | Kind::Duration | Kind::Getter | Kind::Utc) => {
                    (sum([PARSE, totals]), Size::ONE)
                }
                Some(Kind::Matches) => (pattern::steps(b.size.total, a.size.total), Size::ONE),
                Some(Kind::Scan) | None => (sum([CALL, totals]), Size::ONE),
            },
        };
        Work::new(sum([steps, own]), size)
    }

    fn comprehension(&mut self, comprehension: &'e ComprehensionExpr) -> Work {
        let range = self.visit(&comprehension.iter_range.expr);
        let depth = self.scope.len();
        self.scope.push((&comprehension.iter_var, Size::within(range.size.item)));
        self.scope.push((&comprehension.accu_var, Size::ONE));
        let (round, size) = match &comprehension.accu_init.expr {
            Expr::List(_) => self.append(comprehension, range.size),
            _ => (self.visit(&comprehension.loop_step.expr).steps, Size::ONE),
        };
        let condition = self.visit(&comprehension.loop_cond.expr).steps;
        self.scope.truncate(depth);
        let rounds = range.size.len.saturating_mul(sum([ROUND, condition, round]));
        // Each element is copied when it is bound.
        Work::new(sum([range.steps, range.size.total, rounds, CALL]), size)
    }

    /// One round of `map` or `filter`, and the size of what they make.
    fn append(&mut self, comprehension: &'e ComprehensionExpr, range: Size) -> (u64, Size) {
        let Some((guard, item)) = appended(&comprehension.loop_step.expr) else {
            return (u64::MAX, Size::ONE);
        };
        let guard = guard.map_or(0, |guard| self.visit(guard).steps);
        let made = self.visit(item);
        let round = sum([guard, made.steps, made.size.total, made.size.total]);
        if matches!(item, Expr::Ident(name) if *name == comprehension.iter_var) {
            return (round, range);
        }
        let total = sum([1, range.len.saturating_mul(made.size.total)]);
        (round, Size { total, len: range.len, item: made.size.total })
    }
}

/// The `guard` and `item` of `@result + [item]` or `guard ? @result + [item] : @result`.
fn appended(step: &Expr) -> Option<(Option<&Expr>, &Expr)> {
    let Expr::Call(call) = step else { return None };
    match (call.func_name.as_str(), &call.args[..]) {
        (operators::ADD, [_, list]) => match &list.expr {
            Expr::List(list) => list.elements.first().map(|item| (None, &item.expr)),
            _ => None,
        },
        (operators::CONDITIONAL, [guard, step, _]) => {
            appended(&step.expr).map(|(_, item)| (Some(&guard.expr), item))
        }
        _ => None,
    }
}

fn is_literal(args: &[cel::IdedExpr]) -> bool {
    matches!(args.last().map(|arg| &arg.expr), Some(Expr::Literal(_)))
}

fn larger(a: Size, b: Size) -> Size {
    Size { total: a.total.max(b.total), len: a.len.max(b.len), item: a.item.max(b.item) }
}

fn joined(a: Size, b: Size) -> Size {
    Size { total: sum([a.total, b.total]), len: sum([a.len, b.len]), item: a.item.max(b.item) }
}
