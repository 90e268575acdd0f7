//! Expressions: `allow_if`, a condition over a request, its caller and its route, in CEL.
//!
//! Compiled and checked when the file is read: every name, every kind, and a bound for its work. While a request waits it
//! is only walked over, and whatever goes wrong then means no. [docs/authorisation.md](../../../docs/authorisation.md) has
//! the names and functions.

mod calls;
mod checker;
mod kind;
mod values;

use super::Identity;
use cel::{Context, Env, ExecutionError, ParseErrors, Program, Value, common::types::CelBool};
use std::{fmt, sync::Arc, thread};
pub use values::Facts;
use values::{UNREADABLE, View};

/// Longest text of an expression, in bytes.
const LONGEST: usize = 2_048;

/// Most brackets and operators that may be open at one place: the parser calls itself for each.
const MOST_OPEN: usize = 32;

/// Stack of the parser, in bytes. Twelve brackets that nobody closes take more than 2 MiB of it in a debug build, where it
/// tries to make sense of them.
const STACK: usize = 64 << 20;

/// The functions that expressions may call. Made once for all expressions of a file; a copy is a reference count.
#[derive(Clone)]
pub struct Language(Arc<Env>);

/// A condition that was checked.
pub(super) struct Expression {
    program: Program,
    language: Language,
}

/// Why the answer is no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// The condition is false.
    False,
    /// It asks for something that is not there.
    Missing,
    /// A claim is of another kind than it needs.
    Kind,
    /// A parameter that is given twice, or a header that is no text.
    Unreadable,
    /// More work than a request may cause.
    Work,
    /// A division by zero, a number that is too large.
    Failed,
}

impl Default for Language {
    fn default() -> Self {
        Self(Arc::new(Env::stdlib()))
    }
}

impl Expression {
    /// Read and check.
    ///
    /// # Errors
    /// What is wrong, and where in the text; what would be right.
    pub(super) fn compile(text: &str, language: &Language) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("longer than {LONGEST} bytes, too much work for a request; shorten it"));
        }
        if text.trim().is_empty() {
            return Err("empty; write a condition: \"admin\" in consumer.roles".to_owned());
        }
        if is_deep(text) {
            return Err(
                "too many brackets or fields inside each other, too much work for a request; shorten it".to_owned()
            );
        }
        let program = parsed(text, language)?;
        checker::check(program.expression()).map_err(|fault| {
            let (start, _) = program.source_info().offset_for(fault.part).unwrap_or_default();
            let before = text.get(..start as usize).map_or(0, |before| before.chars().count());
            format!("{}: {}", place(text, before + fault.skip), fault.reason)
        })?;
        Ok(Self { program, language: language.clone() })
    }

    /// Whether it is true.
    ///
    /// # Errors
    /// It is not, or nobody can say.
    pub(super) fn holds(&self, facts: &Facts<'_>, identity: &Identity) -> Result<(), Denied> {
        let view = View::new(facts, identity);
        let mut context = Context::with_env(self.language.0.clone());
        context.set_variable_resolver(&view);
        let result = Value::resolve_val(self.program.expression(), &context);
        if view.is_exhausted() {
            return Err(Denied::Work);
        }
        match result.map(|value| value.downcast_ref::<CelBool>().map(|truth| *truth.inner())) {
            Ok(Some(true)) => Ok(()),
            Ok(Some(false)) => Err(Denied::False),
            Ok(None) => Err(Denied::Kind),
            Err(error) => Err(Denied::by(&error)),
        }
    }
}

impl Denied {
    fn by(error: &ExecutionError) -> Self {
        match error {
            ExecutionError::NoSuchKey(_) | ExecutionError::UndeclaredReference(_) => Self::Missing,
            ExecutionError::IndexOutOfBounds(_) => Self::Missing,
            ExecutionError::FunctionError { function, .. } if function == UNREADABLE => Self::Unreadable,
            ExecutionError::NoSuchOverload(_)
            | ExecutionError::UnexpectedType { .. }
            | ExecutionError::ValuesNotComparable(..)
            | ExecutionError::UnsupportedKeyType(_)
            | ExecutionError::UnsupportedBinaryOperator(..) => Self::Kind,
            _ => Self::Failed,
        }
    }

    /// For the log, after the name of the key.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::False => "is false",
            Self::Missing => "asks for something that is not there",
            Self::Kind => "meets a claim of another kind",
            Self::Unreadable => "meets a parameter that is given twice, or a header that is no text",
            Self::Work => "would be too much work",
            Self::Failed => "cannot be decided",
        }
    }
}

/// Before the parser sees it. Texts are not told apart: one with so many brackets is refused too.
fn is_deep(text: &str) -> bool {
    let (mut open, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' | b'?' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => (),
        }
        deepest = deepest.max(open);
    }
    deepest > MOST_OPEN
}

/// On a stack of its own: it is not ours, calls itself, and what it cannot read must not end the process.
fn parsed(text: &str, language: &Language) -> Result<Program, String> {
    let parse = || language.0.compile(text).map_err(|errors| unparsed(text, &errors));
    let outcome = thread::scope(|scope| {
        let parser = thread::Builder::new().name("allow_if".to_owned()).stack_size(STACK).spawn_scoped(scope, parse);
        parser.map(|parser| parser.join())
    });
    let unreadable = || "no expression that can be read; write CEL: \"admin\" in consumer.roles".to_owned();
    outcome.map_err(|error| format!("no thread to read it on: {error}"))?.unwrap_or_else(|_| Err(unreadable()))
}

/// The parser's own words would repeat the text, and speak of tokens.
fn unparsed(text: &str, errors: &ParseErrors) -> String {
    let first = errors.errors.first().map(|error| error.pos).unwrap_or_default();
    let (line, column) = (usize::try_from(first.0).unwrap_or(1), usize::try_from(first.1).unwrap_or(0));
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(|line| line.chars().count()).sum();
    format!("{}: no expression can go on so; write CEL: \"admin\" in consumer.roles", place(text, before + column))
}

/// `offset` in characters.
fn place(text: &str, offset: usize) -> String {
    let before: Vec<char> = text.chars().take(offset).collect();
    let line = before.iter().filter(|letter| **letter == '\n').count();
    let column = before.iter().rev().take_while(|letter| **letter != '\n').count();
    match line {
        0 => format!("at column {}", column + 1),
        _ => format!("at line {}, column {}", line + 1, column + 1),
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its text may hold what a variable said.
        f.write_str("Expression")
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Language")
    }
}

#[cfg(test)]
#[path = "expression_tests.rs"]
mod tests;
