//! The tree of segments behind a [`Table`](super::Table).

use super::{Conflict, Near, Target, conditions::Conditions, near::Miss, pattern::Segment};
use foldhash::fast::FixedState;
use http::{HeaderMap, Method};
use std::collections::HashMap;

/// By a name out of the file. Callers can only ask for names, not add any, so the hash needs no defence against them.
pub(super) type Names<V> = HashMap<Box<str>, V, FixedState>;

/// What stands at one place of the tree.
#[derive(Debug)]
pub(super) struct Node<T> {
    literal: Names<Node<T>>,
    free: Option<Box<Node<T>>>,
    /// Routes that end here.
    here: Vec<Entry<T>>,
    /// Routes that take everything from here on.
    below: Vec<Entry<T>>,
    /// The first route that came this way, to be named where a path gets lost here.
    sample: Option<T>,
}

/// One route at its place; the most specific stand first.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) methods: Box<[Method]>,
    pub(super) conditions: Conditions,
    pub(super) value: T,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { literal: Names::default(), free: None, here: Vec::new(), below: Vec::new(), sample: None }
    }
}

impl<T: Clone> Node<T> {
    /// Put an entry at its place below this node.
    pub(super) fn insert(&mut self, path: Box<[Segment]>, prefix: bool, entry: Entry<T>) -> Result<(), Conflict<T>> {
        let mut node = self;
        for segment in path {
            node = match segment {
                Segment::Literal(text) => node.literal.entry(text).or_default(),
                Segment::Free(_) => node.free.get_or_insert_default(),
            };
            node.sample.get_or_insert_with(|| entry.value.clone());
        }
        let entries = if prefix { &mut node.below } else { &mut node.here };
        if let Some(other) = entries.iter().find(|other| other.takes_the_same(&entry)) {
            return Err(Conflict { first: other.value.clone(), second: entry.value });
        }
        entries.push(entry);
        entries.sort_by(Entry::compare);
        Ok(())
    }
}

impl<T> Entry<T> {
    /// Nothing in a request could tell which of the two is meant.
    fn takes_the_same(&self, other: &Self) -> bool {
        let methods = match (self.methods.is_empty(), other.methods.is_empty()) {
            (true, true) => true,
            (false, false) => self.methods.iter().any(|method| other.methods.contains(method)),
            _ => false,
        };
        methods && self.conditions == other.conditions
    }

    /// By what they say, never by their order in the file. A route that names methods is more specific than one that
    /// takes them all, and one that names HEAD more than one that takes it because it takes GET.
    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let methods = |entry: &Self| (entry.methods.is_empty(), !entry.methods.contains(&Method::HEAD));
        methods(self)
            .cmp(&methods(other))
            .then_with(|| self.conditions.rank().cmp(&other.conditions.rank()))
            .then_with(|| self.conditions.cmp(&other.conditions))
    }

    fn accepts(&self, method: &Method) -> bool {
        // RFC 9110 section 9.3.2: HEAD is GET without the body.
        self.methods.is_empty()
            || self.methods.contains(method)
            || (method == Method::HEAD && self.methods.contains(&Method::GET))
    }
}

/// One look for a target through the trees of its host.
pub(super) struct Search<'s, 't, T> {
    method: &'s Method,
    headers: &'s HeaderMap,
    path: &'s str,
    query: Option<&'s str>,
    /// Methods of routes that take everything but the method.
    allowed: Vec<Method>,
    /// The deepest node that was reached, where nothing was found.
    lost: Option<(usize, Near<'t, T>)>,
    /// A route that takes everything but a header or a parameter.
    unmet: Option<Near<'t, T>>,
}

impl<'s, 't, T> Search<'s, 't, T> {
    pub(super) fn new(target: &'s Target, method: &'s Method, headers: &'s HeaderMap) -> Self {
        let (path, query) = (target.path(), target.query());
        Self { method, headers, path, query, allowed: Vec::new(), lost: None, unmet: None }
    }

    /// Literal before free before "everything below": the first hit on the way back up is the most specific.
    pub(super) fn descend(&mut self, tree: &'t Node<T>) -> Option<&'t T> {
        let path = self.path.strip_prefix('/');
        self.step(tree, path, 0)
    }

    fn step(&mut self, node: &'t Node<T>, rest: Option<&'s str>, depth: usize) -> Option<&'t T> {
        let deeper = match rest {
            None => self.choose(&node.here),
            Some(rest) => {
                // Not `split_once`: its search for a character costs a fifth of a look-up.
                let slash = memchr::memchr(b'/', rest.as_bytes());
                let (segment, tail) = slash.and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
                let tail = tail.strip_prefix('/');
                let literal = node.literal.get(segment);
                let free = node.free.as_deref().filter(|_| !segment.is_empty());
                let found = literal.and_then(|child| self.step(child, tail, depth + 1));
                found.or_else(|| free.and_then(|child| self.step(child, tail, depth + 1)))
            }
        };
        let found = deeper.or_else(|| self.choose(&node.below));
        if found.is_none() {
            self.remember(node, rest, depth);
        }
        found
    }

    fn choose(&mut self, entries: &'t [Entry<T>]) -> Option<&'t T> {
        for entry in entries {
            match entry.conditions.check(self.headers, self.query) {
                Ok(()) if entry.accepts(self.method) => return Some(&entry.value),
                Ok(()) => self.allowed.extend(entry.methods.iter().cloned()),
                Err(missed) if entry.accepts(self.method) => {
                    self.unmet.get_or_insert(Near { value: &entry.value, missed });
                }
                Err(_) => (),
            }
        }
        None
    }

    fn remember(&mut self, node: &'t Node<T>, rest: Option<&str>, depth: usize) {
        let Some(value) = node.sample.as_ref().filter(|_| self.lost.as_ref().is_none_or(|(known, _)| *known < depth))
        else {
            return;
        };
        let missed = rest.map_or(Miss::TooShort, |rest| Miss::segment(rest.split('/').next().unwrap_or_default()));
        self.lost = Some((depth, Near { value, missed }));
    }

    /// For `Allow`, where only the method was wrong.
    pub(super) fn allowed(&mut self) -> Option<Vec<Method>> {
        let mut methods = std::mem::take(&mut self.allowed);
        if methods.contains(&Method::GET) {
            methods.push(Method::HEAD);
        }
        methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        methods.dedup();
        (!methods.is_empty()).then_some(methods)
    }

    /// For the log line of a 404.
    pub(super) fn nearest(self) -> Option<Near<'t, T>> {
        self.unmet.or_else(|| self.lost.map(|(_, near)| near))
    }
}
