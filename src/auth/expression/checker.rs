//! What can be wrong with an expression before a request comes: names, kinds, and how much work it is.

use super::kind::{FIELDS, Kind, ROOTS, Table};
use cel::{
    IdedExpr,
    common::ast::{ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, MapExpr, SelectExpr},
};
use http::HeaderName;

/// Most parts of an expression; `all` and its kin count as eight or so.
const MOST_PARTS: usize = 256;

/// How deep parts may lie in each other: each level is a call when it is evaluated.
const DEEPEST: usize = 32;

/// The name that `all` and its kin give to what they have found so far.
pub(super) const RESULT: &str = "@result";

/// What is wrong, and with which part.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) part: u64,
    /// Letters from its beginning: the parser has a field begin at its dot.
    pub(super) skip: usize,
    pub(super) reason: String,
}

pub(super) type Outcome = Result<Kind, Fault>;

/// Walks over the parts.
#[derive(Default)]
pub(super) struct Checker {
    parts: usize,
    depth: usize,
    in_loop: bool,
    /// Names that `all` and its kin give, the innermost last.
    names: Vec<(String, Kind)>,
}

/// Whether a request can be asked this.
///
/// # Errors
/// The first part that it cannot be asked.
pub(super) fn check(expression: &IdedExpr) -> Result<(), Fault> {
    let kind = Checker::default().kind_of(expression)?;
    match kind.may_be(&Kind::Bool) {
        true => Ok(()),
        false => Err(fault(expression, format!("the result is {kind}; write what is true or false"))),
    }
}

pub(super) fn fault(part: &IdedExpr, reason: impl Into<String>) -> Fault {
    Fault { part: part.id, skip: 0, reason: reason.into() }
}

impl Checker {
    /// Of any part, each counted.
    pub(super) fn kind_of(&mut self, part: &IdedExpr) -> Outcome {
        self.parts += 1;
        if self.parts > MOST_PARTS {
            return Err(fault(part, format!("more than {MOST_PARTS} parts, too much work for a request; shorten it")));
        }
        if self.depth >= DEEPEST {
            return Err(fault(part, format!("more than {DEEPEST} levels, too much work for a request; shorten it")));
        }
        self.depth += 1;
        let kind = self.kind_of_one(part);
        self.depth -= 1;
        kind
    }

    /// Of a part that has to be a value by itself.
    pub(super) fn value(&mut self, part: &IdedExpr) -> Outcome {
        let kind = self.kind_of(part)?;
        match &kind {
            _ if kind.is_value() => Ok(kind),
            Kind::Group(name) => Err(fault(part, format!("{name} is no value; name one of its fields"))),
            _ => Err(fault(part, format!("{kind} are no value; name one of them: [\"name\"]"))),
        }
    }

    /// Of a part that has to be true or false.
    pub(super) fn truth(&mut self, part: &IdedExpr) -> Outcome {
        let kind = self.value(part)?;
        match kind.may_be(&Kind::Bool) {
            true => Ok(Kind::Bool),
            false => Err(fault(part, format!("{kind} stands where true or false has to; compare it with something"))),
        }
    }

    fn kind_of_one(&mut self, part: &IdedExpr) -> Outcome {
        match &part.expr {
            Expr::Literal(literal) => Ok(literal_kind(literal)),
            Expr::Ident(name) => self.named(part, name),
            Expr::Select(select) => self.selected(part, select),
            Expr::Call(call) => self.called(part, call),
            Expr::List(list) => self.listed(part, list),
            Expr::Map(map) => self.mapped(part, map),
            Expr::Comprehension(each) => self.each(part, each),
            Expr::Struct(_) => Err(fault(part, "there are no messages here; write a map: {\"name\": value}")),
            Expr::Unspecified => Err(fault(part, "nothing stands here; write a value")),
        }
    }

    fn named(&self, part: &IdedExpr, name: &str) -> Outcome {
        let given = self.names.iter().rev().find(|(known, _)| known == name).map(|(_, kind)| kind.clone());
        let unknown = || fault(part, format!("no such name: {name:?}; {}", nearest(name, &ROOTS)));
        given.or_else(|| Kind::of_root(name)).ok_or_else(unknown)
    }

    fn selected(&mut self, part: &IdedExpr, select: &SelectExpr) -> Outcome {
        let kind = match self.kind_of(&select.operand)? {
            Kind::Group(group) => {
                let known = FIELDS.iter().find(|(name, _)| *name == group).map_or(&[][..], |(_, fields)| fields);
                if !known.contains(&select.field.as_str()) {
                    let nearest = nearest(&select.field, known);
                    let fault = fault(part, format!("{group} has no field {:?}; {nearest}", select.field));
                    return Err(Fault { skip: 1, ..fault });
                }
                Kind::of_field(group, &select.field)
            }
            Kind::Table(table) => {
                table_name(part, table, &select.field)?;
                Kind::Text
            }
            Kind::Claims | Kind::Any | Kind::Nothing => Kind::Any,
            Kind::Map(values) => *values,
            kind => return Err(fault(part, format!("{kind} has no fields; take .{} away", select.field))),
        };
        Ok(if select.test { Kind::Bool } else { kind })
    }

    fn listed(&mut self, part: &IdedExpr, list: &ListExpr) -> Outcome {
        if !list.optional_indices.is_empty() {
            return Err(fault(part, "optional entries are not offered; take the ? away"));
        }
        let mut entries = Kind::Nothing;
        for entry in &list.elements {
            let kind = self.value(entry)?;
            entries = entries.with(kind).ok_or_else(|| fault(entry, "entries of one list are of one kind"))?;
        }
        Ok(Kind::list(entries))
    }

    fn mapped(&mut self, part: &IdedExpr, map: &MapExpr) -> Outcome {
        let mut values = Kind::Nothing;
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                return Err(fault(part, "not a map; write {\"a\": 1}"));
            };
            if entry.optional || !matches!(&entry.key.expr, Expr::Literal(LiteralValue::String(_))) {
                return Err(fault(&entry.key, "keys of a map are texts; write {\"name\": value}"));
            }
            let kind = self.value(&entry.value)?;
            values = values.with(kind).ok_or_else(|| fault(&entry.value, "values of one map are of one kind"))?;
        }
        Ok(Kind::Map(Box::new(values)))
    }

    /// `all`, `exists`, `exists_one`, `map` and `filter`, as the parser has written them out.
    fn each(&mut self, part: &IdedExpr, each: &ComprehensionExpr) -> Outcome {
        let range = self.kind_of(&each.iter_range)?;
        if matches!(each.iter_range.expr, Expr::Comprehension(_)) {
            let reason = "one map or filter behind another multiplies the work; write one with both conditions";
            return Err(fault(part, reason));
        }
        let entry = match range {
            Kind::List(entries) if *entries == Kind::Nothing => Kind::Any,
            Kind::List(entries) => *entries,
            Kind::Map(_) => Kind::Text,
            Kind::Any => Kind::Any,
            kind => return Err(fault(part, format!("not to be gone through: {kind}; only lists and maps are"))),
        };
        if self.in_loop {
            let reason = "all, exists, map and filter inside each other multiply the work; write them side by side";
            return Err(fault(part, reason));
        }
        let taken = |name: &str| ROOTS.contains(&name) || self.names.iter().any(|(known, _)| known == name);
        if each.iter_var2.is_some() || taken(&each.iter_var) {
            return Err(fault(part, format!("{:?} means something else already; choose another name", each.iter_var)));
        }
        let begun = self.kind_of(&each.accu_init)?;
        self.in_loop = true;
        self.names.push((each.iter_var.clone(), entry));
        self.names.push((RESULT.to_owned(), begun));
        let kind = self.rounds(each);
        self.names.truncate(self.names.len().saturating_sub(2));
        self.in_loop = false;
        kind
    }

    fn rounds(&mut self, each: &ComprehensionExpr) -> Outcome {
        self.truth(&each.loop_cond)?;
        let found = self.kind_of(&each.loop_step)?;
        if let Some((_, kind)) = self.names.last_mut() {
            *kind = found;
        }
        self.kind_of(&each.result)
    }
}

/// A name that is looked up in a table, where it is written down.
pub(super) fn table_name(part: &IdedExpr, table: Table, name: &str) -> Result<(), Fault> {
    let wrong = |right: &str| Err(fault(part, format!("no header can be called {name:?}; {right}")));
    match table {
        Table::Query => Ok(()),
        Table::Headers if HeaderName::from_bytes(name.as_bytes()).is_err() => wrong("use letters, digits and -"),
        Table::Headers if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            wrong(&format!("here they are in small letters: {:?}", name.to_ascii_lowercase()))
        }
        Table::Headers => Ok(()),
    }
}

/// What was meant, or what there is.
pub(super) fn nearest(wrong: &str, known: &[&str]) -> String {
    match known.iter().map(|name| (strsim::damerau_levenshtein(wrong, name), *name)).min() {
        Some((distance, name)) if distance <= 1 + wrong.len() / 4 && distance < wrong.len() => {
            format!("did you mean {name:?}?")
        }
        _ => format!("known: {}", known.join(", ")),
    }
}

fn literal_kind(literal: &LiteralValue) -> Kind {
    match literal {
        LiteralValue::Boolean(_) => Kind::Bool,
        LiteralValue::Bytes(_) => Kind::Bytes,
        LiteralValue::Double(_) => Kind::Double,
        LiteralValue::Int(_) => Kind::Int,
        LiteralValue::Null => Kind::Null,
        LiteralValue::String(_) => Kind::Text,
        LiteralValue::UInt(_) => Kind::Uint,
    }
}
