use super::{
    Near, Pattern, Target,
    near::Miss,
    node::{Entry, Names, Node, Search},
    pattern::Host,
};
use http::{HeaderMap, Method};

/// Longest host that is looked up, in bytes: no name in the DNS is longer (RFC 1035 section 2.3.4).
const LONGEST_HOST: usize = 253;

/// Most trees of other hosts that a 404 looks into for what was near.
const OTHER_HOSTS: usize = 8;

/// From a [`Target`] to a `T`. The most specific pattern wins, whatever the order in the file.
///
/// Generic over its value, so that routing knows nothing of policies. A tree of segments per host: the cost of a search
/// depends on the depth of the path, not on the number of routes.
#[derive(Debug)]
pub struct Table<T> {
    exact: Names<Node<T>>,
    /// By `.example.com`.
    suffixes: Names<Node<T>>,
    any: Node<T>,
}

/// What a table says about a target.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'t, T> {
    /// The most specific route.
    Route(&'t T),
    /// The path exists for these methods only.
    WrongMethod(Vec<Method>),
    /// Nothing matches; this came closest.
    None(Option<Near<'t, T>>),
}

/// Two patterns that can never be told apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict<T> {
    /// The one already in the table.
    pub first: T,
    /// The one that could never be reached.
    pub second: T,
}

impl<T: Clone> Table<T> {
    /// Build a table.
    ///
    /// # Errors
    /// Every pair that can never be told apart.
    pub fn build(patterns: impl IntoIterator<Item = (Pattern, T)>) -> Result<Self, Vec<Conflict<T>>> {
        let mut table = Self { exact: Names::default(), suffixes: Names::default(), any: Node::default() };
        let mut conflicts = Vec::new();
        for (pattern, value) in patterns {
            let tree = match pattern.host {
                Host::Exact(name) => table.exact.entry(name).or_default(),
                Host::Suffix(name) => table.suffixes.entry(name).or_default(),
                Host::Any => &mut table.any,
            };
            let entry = Entry { methods: pattern.methods, conditions: pattern.conditions, value };
            conflicts.extend(tree.insert(pattern.segments, pattern.prefix, entry).err());
        }
        if conflicts.is_empty() { Ok(table) } else { Err(conflicts) }
    }
}

impl<T> Table<T> {
    /// The most specific route: host, then path segment by segment, then method, headers and query.
    ///
    /// `method` is asked for apart from the target's own, because a preflight speaks for another.
    pub fn find(&self, target: &Target, method: &Method, headers: &HeaderMap) -> Found<'_, T> {
        let mut search = Search::new(target, method, headers);
        if let Some(value) = self.trees(target.host()).find_map(|tree| search.descend(tree)) {
            return Found::Route(value);
        }
        match search.allowed() {
            Some(methods) => Found::WrongMethod(methods),
            None => Found::None(search.nearest().or_else(|| self.on_other_hosts(target, method, headers))),
        }
    }

    /// The trees of a host, the most specific first.
    fn trees<'t, 'h>(&'t self, host: &'h str) -> impl Iterator<Item = &'t Node<T>> + use<'t, 'h, T> {
        let host = if host.len() <= LONGEST_HOST { host } else { "" };
        let exact = if self.exact.is_empty() { None } else { self.exact.get(host) };
        let dots = host.match_indices('.').filter(|_| !self.suffixes.is_empty());
        let suffixes = dots.filter(|(at, _)| *at > 0).filter_map(move |(at, _)| self.suffixes.get(host.get(at..)?));
        exact.into_iter().chain(suffixes).chain([&self.any])
    }

    fn on_other_hosts(&self, target: &Target, method: &Method, headers: &HeaderMap) -> Option<Near<'_, T>> {
        let mut search = Search::new(target, method, headers);
        let trees = self.exact.values().chain(self.suffixes.values()).take(OTHER_HOSTS);
        let value = trees.into_iter().find_map(|tree| search.descend(tree))?;
        Some(Near { value, missed: Miss::Host })
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
