//! Operators and functions, and what they take.

use super::{
    checker::{Checker, Fault, Outcome, RESULT, fault, nearest, table_name},
    kind::Kind,
};
use cel::{
    IdedExpr,
    common::ast::{CallExpr, Expr, LiteralValue, operators as op},
};

/// Functions of a value: `f(x)`; `size` may be written both ways.
const GLOBAL: [&str; 4] = ["size", "string", "int", "double"];

/// Functions of a value: `x.f(y)`.
const MEMBERS: [&str; 4] = ["size", "contains", "startsWith", "endsWith"];

/// Ways to go through a list, which the parser writes out. What is left of them was written wrongly.
const MACROS: [&str; 7] = ["has", "all", "exists", "exists_one", "existsOne", "map", "filter"];

impl Checker {
    pub(super) fn called(&mut self, part: &IdedExpr, call: &CallExpr) -> Outcome {
        match (&call.target, call.func_name.as_str(), call.args.as_slice()) {
            (Some(target), name, arguments) => self.member(part, target, name, arguments),
            (None, op::CONDITIONAL, [condition, one, other]) => {
                self.truth(condition)?;
                let (one, kind) = (self.value(one)?, self.value(other)?);
                one.with(kind).ok_or_else(|| fault(part, "both sides of the : are of one kind; make them so"))
            }
            (None, op::LOGICAL_AND | op::LOGICAL_OR, [one, other]) => {
                self.truth(one)?;
                self.truth(other)
            }
            (None, op::LOGICAL_NOT | op::NOT_STRICTLY_FALSE, [one]) => self.truth(one),
            (None, op::NEGATE, [one]) => self.negated(part, one),
            (None, op::INDEX, [of, index]) => self.indexed(part, of, index),
            (None, op::IN, [one, of]) => self.contained(part, one, of),
            (None, op::EQUALS | op::NOT_EQUALS, [one, other]) => self.equal(part, one, other),
            (None, op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS, [one, other]) => {
                self.ordered(part, &call.func_name, one, other)
            }
            (None, op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::MODULO, [one, other]) => {
                self.counted(part, &call.func_name, one, other)
            }
            (None, op::OPT_INDEX | op::OPT_SELECT, _) => {
                Err(fault(part, "optional fields are not offered; write has(x.y) && x.y"))
            }
            (None, name, arguments) => self.global(part, name, arguments),
        }
    }

    fn global(&mut self, part: &IdedExpr, name: &str, arguments: &[IdedExpr]) -> Outcome {
        let [argument] = arguments else { return Err(unknown(part, name, &GLOBAL)) };
        if !GLOBAL.contains(&name) {
            return Err(unknown(part, name, &GLOBAL));
        }
        let kind = self.value(argument)?;
        let fits = match name {
            "size" => has_size(&kind),
            _ => {
                kind == Kind::Any || kind == Kind::Text || kind.is_number() || (name == "string" && kind == Kind::Bool)
            }
        };
        match name {
            _ if !fits => Err(fault(part, format!("{name} does not take {kind}; give it something else"))),
            "string" => Ok(Kind::Text),
            "double" => Ok(Kind::Double),
            _ => Ok(Kind::Int),
        }
    }

    fn member(&mut self, part: &IdedExpr, target: &IdedExpr, name: &str, arguments: &[IdedExpr]) -> Outcome {
        if !MEMBERS.contains(&name) {
            return Err(unknown(part, name, &MEMBERS));
        }
        let kind = self.value(target)?;
        match arguments {
            [] if name == "size" && has_size(&kind) => Ok(Kind::Int),
            [argument] if name != "size" => {
                let argument = self.value(argument)?;
                match (kind.may_be(&Kind::Text), argument.may_be(&Kind::Text)) {
                    (true, true) => Ok(Kind::Bool),
                    (false, _) => Err(fault(part, format!("{name} is asked of a text, not of {kind}; use in or =="))),
                    _ => Err(fault(part, format!("{name} takes a text, not {argument}; write one in quotes"))),
                }
            }
            _ => Err(fault(part, format!("{name} does not go with these arguments; write x.size() or x.contains(y)"))),
        }
    }

    fn negated(&mut self, part: &IdedExpr, one: &IdedExpr) -> Outcome {
        match self.value(one)? {
            kind @ (Kind::Int | Kind::Double | Kind::Any) => Ok(kind),
            kind => Err(fault(part, format!("- does not take {kind}; write a number"))),
        }
    }

    fn indexed(&mut self, part: &IdedExpr, of: &IdedExpr, index: &IdedExpr) -> Outcome {
        let (of, by) = (self.kind_of(of)?, self.value(index)?);
        let written = match &index.expr {
            Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
            _ => None,
        };
        match of {
            Kind::Table(table) if by.may_be(&Kind::Text) => {
                written.map_or(Ok(()), |name| table_name(index, table, name))?;
                Ok(Kind::Text)
            }
            Kind::Claims if by.may_be(&Kind::Text) => Ok(Kind::Any),
            Kind::Map(values) if by.may_be(&Kind::Text) => Ok(*values),
            Kind::List(entries) if by.is_number() || by == Kind::Any => Ok(*entries),
            Kind::Any => Ok(Kind::Any),
            Kind::Group(name) => Err(fault(part, format!("write {name}.field, without brackets"))),
            of => Err(fault(part, format!("[{by}] does not go with {of}; lists take numbers, all else texts"))),
        }
    }

    fn contained(&mut self, part: &IdedExpr, one: &IdedExpr, of: &IdedExpr) -> Outcome {
        let (one, of) = (self.value(one)?, self.kind_of(of)?);
        let fits = match &of {
            Kind::List(entries) => one.may_equal(entries),
            Kind::Table(_) | Kind::Claims | Kind::Map(_) => one.may_be(&Kind::Text),
            Kind::Any => true,
            _ => false,
        };
        match fits {
            true => Ok(Kind::Bool),
            false if of == Kind::Text => Err(fault(part, "in looks into lists; for texts write x.contains(y)")),
            false => Err(fault(part, format!("{one} is never in {of}; write value in [list of its kind]"))),
        }
    }

    fn equal(&mut self, part: &IdedExpr, one: &IdedExpr, other: &IdedExpr) -> Outcome {
        let (one, other) = (self.value(one)?, self.value(other)?);
        match one.may_equal(&other) {
            true => Ok(Kind::Bool),
            false => Err(fault(part, format!("{one} is never equal to {other}; compare what is of one kind"))),
        }
    }

    fn ordered(&mut self, part: &IdedExpr, name: &str, one: &IdedExpr, other: &IdedExpr) -> Outcome {
        let (one, other) = (self.value(one)?, self.value(other)?);
        let has_order = |kind: &Kind| kind.is_number() || matches!(kind, Kind::Text | Kind::Any | Kind::Nothing);
        match has_order(&one) && has_order(&other) && one.may_equal(&other) {
            true => Ok(Kind::Bool),
            false => {
                let sign = name.trim_matches('_');
                Err(fault(part, format!("{sign} does not go with {one} and {other}; compare numbers, or texts")))
            }
        }
    }

    fn counted(&mut self, part: &IdedExpr, name: &str, one: &IdedExpr, other: &IdedExpr) -> Outcome {
        // How `map` and `filter` collect; nothing else may make lists longer.
        let collects = name == op::ADD && matches!(&one.expr, Expr::Ident(name) if name == RESULT);
        let (one, other) = (self.value(one)?, self.value(other)?);
        let texts = name == op::ADD && one.may_be(&Kind::Text) && other.may_be(&Kind::Text);
        let counts = |kind: &Kind| kind.is_number() || *kind == Kind::Any;
        let whole = name != op::MODULO || (one != Kind::Double && other != Kind::Double);
        match (one, other) {
            (Kind::List(found), Kind::List(more)) if collects => {
                found.with(*more).map(Kind::list).ok_or_else(|| fault(part, "entries of one list are of one kind"))
            }
            (Kind::Any, kind) | (kind, Kind::Any) if texts || (counts(&kind) && whole) => Ok(Kind::Any),
            (one, other) if one == other && (texts || (counts(&one) && whole)) => Ok(one),
            (one, other) => {
                let sign = name.trim_matches('_');
                let right = "both sides are whole numbers (1), or numbers (1.0), or for + texts";
                Err(fault(part, format!("{sign} does not go with {one} and {other}; {right}")))
            }
        }
    }
}

fn has_size(kind: &Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Bytes | Kind::List(_) | Kind::Map(_) | Kind::Any)
}

fn unknown(part: &IdedExpr, name: &str, known: &[&str]) -> Fault {
    match name {
        "matches" => fault(part, "matches is not offered, its work has no bound; use startsWith, endsWith or contains"),
        _ if MACROS.contains(&name) => {
            fault(part, format!("{name} is written list.{name}(x, condition); has is has(claims.x)"))
        }
        _ if known.contains(&name) => fault(part, format!("{name} takes one argument; write {name}(x)")),
        _ => fault(part, format!("no such function: {name:?}; {}", nearest(name, known))),
    }
}
