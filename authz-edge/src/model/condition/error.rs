//! Why a text is no condition, and why a condition is undecided.

use cel::{ExecutionError, ParseErrors, Value};

use super::check::Slot;
use super::{MAX_BYTES, MAX_DEPTH, MAX_LOOPS, MAX_NODES};

/// Why a text is not accepted as a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// Longer than [`MAX_BYTES`].
    #[error("the condition has {0} bytes; the limit is {MAX_BYTES}")]
    TooLong(usize),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("the condition is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// More expressions than [`MAX_NODES`].
    #[error("the condition has more than {MAX_NODES} expressions, counting those of its macros")]
    TooLarge,
    /// Macros nested deeper than [`MAX_LOOPS`].
    #[error("all, exists, exists_one, filter and map nest at most {MAX_LOOPS} deep")]
    TooManyLoops,
    /// Not CEL.
    #[error("{message}{}", at(*.position))]
    Syntax {
        /// What the parser found.
        message: String,
        /// Line and column, from 1, if known.
        position: Option<(usize, usize)>,
    },
    /// A variable that a condition does not have.
    #[error("unknown variable `{0}`; a condition sees subject, resource, action and context")]
    UnknownVariable(String),
    /// A member that its variable does not have, or a variable that is no value by itself.
    #[error(
        "`{0}` is not readable: subject and resource have type, id and properties, \
         action has name and properties"
    )]
    UnknownMember(String),
    /// A function that conditions do not have.
    #[error("unknown function `{0}`")]
    UnknownFunction(String),
    /// A function called in a way that it does not have.
    #[error("wrong call of `{function}`: write {usage}")]
    Arguments {
        /// The function.
        function: String,
        /// How it is called.
        usage: &'static str,
    },
    /// A constant argument that its function does not take.
    #[error("`{function}` does not take this constant: {message}")]
    Constant {
        /// The function.
        function: String,
        /// What is wrong.
        message: String,
    },
    /// CEL that conditions do not have.
    #[error("{0}")]
    Unsupported(String),
}

fn at(position: Option<(usize, usize)>) -> String {
    position.map_or_else(String::new, |(line, column)| format!(" at {line}:{column}"))
}

impl ConditionError {
    pub(super) fn from_parser(errors: &ParseErrors) -> Self {
        let too_deep = |message: &str| message.contains("Recursion limit of");
        if errors.errors.iter().any(|error| too_deep(&error.msg)) {
            return Self::TooDeep;
        }
        // They come ordered by position; the later ones are mostly consequences.
        let Some(error) = errors.errors.first() else {
            return Self::Syntax { message: "syntax error".into(), position: None };
        };
        let position = match (usize::try_from(error.pos.0), usize::try_from(error.pos.1)) {
            (Ok(line), Ok(column)) if line > 0 => Some((line, column)),
            _ => None,
        };
        Self::Syntax { message: shortened(&error.msg, 200), position }
    }
}

/// Why a condition neither holds nor fails. Names what the condition reads, and types, not values
/// (apart from keys that the inputs themselves contain).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// A member is absent.
    #[error("`{0}` is absent")]
    Absent(String),
    /// An operator or function does not take values of these types.
    #[error("{0}")]
    Types(String),
    /// Overflow, or a division by zero.
    #[error("{0}")]
    Arithmetic(&'static str),
    /// A list has no such index.
    #[error("an index is out of bounds")]
    OutOfBounds,
    /// A function failed on its argument.
    #[error("`{function}` failed: {message}")]
    Function {
        /// The function.
        function: String,
        /// How.
        message: String,
    },
    /// The result is of another type.
    #[error("the result is of type {0}, not a boolean")]
    NotBoolean(String),
    /// The worst case exceeds [`super::MAX_STEPS`] with inputs of this size.
    #[error("could take {steps} steps with inputs of this size; the limit is {limit}")]
    TooCostly {
        /// The worst case.
        steps: u64,
        /// The limit.
        limit: u64,
    },
    /// The conditions of one decision could together exceed [`super::MAX_DECISION_STEPS`].
    #[error("the conditions of this decision could take too many steps together")]
    OverBudget,
    /// An input is JSON nested deeper than parsers accept.
    #[error("an input is nested too deep")]
    TooDeep,
    /// Anything else.
    #[error("the evaluation failed: {0}")]
    Failed(&'static str),
}

impl Undecided {
    /// From an error of the interpreter. Its own texts print whole values, so only names and types
    /// are taken from it.
    pub(super) fn from_execution(error: ExecutionError, slots: &[Slot]) -> Self {
        match error {
            ExecutionError::UndeclaredReference(name) => {
                let slot = super::value::slot_index(&name).and_then(|index| slots.get(index));
                Self::Absent(slot.map_or_else(|| name.to_string(), Slot::reads))
            }
            ExecutionError::NoSuchKey(key) => Self::Absent(shortened(&key, 64)),
            ExecutionError::NoSuchOverload(overload) => {
                Self::mismatch(overload.function(), overload.argument_types())
            }
            ExecutionError::UnsupportedBinaryOperator(name, left, right) => {
                Self::mismatch(name, &[type_name(&left), type_name(&right)])
            }
            ExecutionError::ValuesNotComparable(left, right) => {
                Self::mismatch("comparison", &[type_name(&left), type_name(&right)])
            }
            ExecutionError::UnexpectedType { got, want } => {
                Self::Types(format!("found a value of type {got} instead of {want}"))
            }
            ExecutionError::UnsupportedKeyType(key) => {
                Self::Types(format!("a value of type {} is no key", type_name(&key)))
            }
            ExecutionError::UnsupportedIndex(index, _) => {
                Self::Types(format!("a value of type {} is no index", type_name(&index)))
            }
            ExecutionError::IndexOutOfBounds(_) => Self::OutOfBounds,
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                Self::Arithmetic("division by zero")
            }
            ExecutionError::Overflow(..) => Self::Arithmetic("a number is out of range"),
            ExecutionError::FunctionError { function, message } => {
                Self::Function { function, message: shortened(&message, 100) }
            }
            ExecutionError::DuplicateKey(_) => Self::Failed("a map has a key twice"),
            _ => Self::Failed("the interpreter refused it"),
        }
    }

    fn mismatch(function: &str, types: &[String]) -> Self {
        let name = match function.trim_matches(['_', '@']) {
            "add" => "+",
            "sub" => "-",
            "mul" => "*",
            "div" => "/",
            "rem" => "%",
            name => name,
        };
        Self::Types(format!("`{name}` does not take ({})", types.join(", ")))
    }
}

/// The type's name in CEL.
fn type_name(value: &Value) -> String {
    match value {
        Value::Float(_) => "double".to_owned(),
        other => other.type_of().to_string(),
    }
}

/// The first `limit` bytes or somewhat fewer, on a character's boundary.
pub(super) fn shortened(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(limit)])
}
