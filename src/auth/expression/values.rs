//! What an expression sees of a request: nothing is made before it is looked at.

use super::super::{Identity, jwt::Claims};
use cel::{
    ExecutionError,
    common::{
        traits::{Container, Indexer},
        types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt, MAP_TYPE, Type},
        value::{CowVal, Val},
    },
    context::VariableResolver,
};
use http::{HeaderMap, HeaderName, Method};
use serde_json::Value;
use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// Work that one evaluation may cause: values that are made of claims, and each 64 bytes of text that is handed over.
/// A claim of 1,000 entries that is looked at once takes 1,000.
const MOST_WORK: u32 = 20_000;

/// How deep claims may lie in each other.
const DEEPEST: usize = 16;

/// Where a text of a table is not one text: given twice, or no UTF-8. The word is for [`super::Denied`].
pub(super) const UNREADABLE: &str = "unreadable";

/// What a rule may look at, beside the caller.
#[derive(Clone, Copy)]
pub struct Facts<'r> {
    /// The request's method.
    pub method: &'r Method,
    /// Its path, normalised.
    pub path: &'r str,
    /// Host in small letters, without a port.
    pub host: &'r str,
    /// `http` or `https`, as the caller used it.
    pub scheme: &'r str,
    /// What follows the `?`.
    pub query: Option<&'r str>,
    /// What the caller sent.
    pub headers: &'r HeaderMap,
    /// Names whose values are nobody's word: for a rule they are not there.
    pub is_hidden: &'r (dyn Fn(&HeaderName) -> bool + Sync),
    /// Whether the service may read a header of this name differently, or not at all: then nothing can be said about it.
    pub is_doubtful: &'r (dyn Fn(&HeaderName) -> bool + Sync),
    /// Where the caller is.
    pub client: IpAddr,
    /// The route's name.
    pub route: &'r str,
    /// The name of its service, where it has one.
    pub service: Option<&'r str>,
    /// Seconds since 1970.
    pub now: u64,
}

/// A request and its caller, for one evaluation.
pub(super) struct View<'r> {
    facts: &'r Facts<'r>,
    identity: &'r Identity,
    work_left: AtomicU32,
}

impl fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers and query may be secret.
        write!(f, "Facts({} {} of {})", self.method, self.path, self.client)
    }
}

impl<'r> View<'r> {
    pub(super) fn new(facts: &'r Facts<'r>, identity: &'r Identity) -> Self {
        Self { facts, identity, work_left: AtomicU32::new(MOST_WORK) }
    }

    /// Whether the evaluation wanted more than it may have.
    pub(super) fn is_exhausted(&self) -> bool {
        self.work_left.load(Relaxed) == 0
    }

    /// One value, with so many bytes of text.
    fn spend(&self, bytes: usize) -> Option<()> {
        let cost = 1 + (bytes / 64) as u32;
        // Alone on its thread: the atomic is for a trait that asks for `Sync`.
        let left = self.work_left.load(Relaxed).saturating_sub(cost);
        self.work_left.store(left, Relaxed);
        (left > 0).then_some(())
    }

    fn text<'b>(&self, text: &'b str) -> Option<CowVal<'b, 'b>> {
        self.spend(text.len())?;
        Some(CowVal::owned(CelString::from(text)))
    }

    fn words<'b>(&self, words: &'b [Box<str>]) -> Option<CowVal<'b, 'b>> {
        let word = |word: &'b str| {
            self.spend(word.len())?;
            Some(Box::new(CelString::from(word)) as Box<dyn Val + 'b>)
        };
        let words = words.iter().map(|one| word(one)).collect::<Option<Vec<_>>>()?;
        Some(CowVal::owned(CelList::from(words)))
    }

    /// A claim, as deep as it goes.
    fn claim<'v>(&self, claim: &'v Value, depth: usize) -> Result<Box<dyn Val + 'v>, ExecutionError> {
        let too_much = || ExecutionError::function_error("claims", "too many or too deep");
        let bytes = claim.as_str().map_or(0, str::len);
        self.spend(bytes).filter(|()| depth < DEEPEST).ok_or_else(too_much)?;
        Ok(match claim {
            Value::Null => Box::new(CelNull),
            Value::Bool(truth) => Box::new(CelBool::from(*truth)),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(whole), _) => Box::new(CelInt::from(whole)),
                (None, Some(large)) => Box::new(CelUInt::from(large)),
                (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
            },
            Value::String(text) => Box::new(CelString::from(text.as_str())),
            Value::Array(entries) => {
                let entries = entries.iter().map(|entry| self.claim(entry, depth + 1));
                Box::new(CelList::from(entries.collect::<Result<Vec<_>, _>>()?))
            }
            Value::Object(fields) => {
                let field = |(name, value): (&'v String, &'v Value)| {
                    Ok((CelMapKey::String(name.as_str().into()), self.claim(value, depth + 1)?))
                };
                Box::new(CelMap::from(fields.iter().map(field).collect::<Result<HashMap<_, _>, _>>()?))
            }
        })
    }

    fn header(&self, name: &str) -> Result<Option<CelString<'r>>, ExecutionError> {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { return Ok(None) };
        if (self.facts.is_hidden)(&name) {
            return Ok(None);
        }
        if (self.facts.is_doubtful)(&name) {
            return Err(ExecutionError::function_error(UNREADABLE, "spelled in two ways, or taken away"));
        }
        let mut lines = self.facts.headers.get_all(&name).iter().map(|value| str::from_utf8(value.as_bytes()));
        let unreadable = |_| ExecutionError::function_error(UNREADABLE, "no UTF-8");
        let Some(first) = lines.next() else { return Ok(None) };
        let first = first.map_err(unreadable)?;
        // RFC 9110 section 5.3: several lines mean the same as one with commas.
        let rest = lines.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        let bytes = first.len() + rest.iter().map(|line| line.len()).sum::<usize>();
        self.spend(bytes).ok_or_else(|| ExecutionError::function_error("headers", "too much"))?;
        Ok(Some(match rest.as_slice() {
            [] => CelString::from(first),
            _ => CelString::from([&[first], rest.as_slice()].concat().join(", ")),
        }))
    }

    fn parameter(&self, name: &str) -> Result<Option<CelString<'r>>, ExecutionError> {
        let query = self.facts.query.unwrap_or_default();
        // Each look goes through the whole query.
        self.spend(query.len()).ok_or_else(|| ExecutionError::function_error("query", "too much"))?;
        let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(known, _)| known == name);
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some((_, value)), None) => Ok(Some(CelString::from(value))),
            // The service may read the other one.
            _ => Err(ExecutionError::function_error(UNREADABLE, "given twice")),
        }
    }
}

impl VariableResolver for View<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let facts = self.facts;
        match name {
            "request.method" => self.text(facts.method.as_str()),
            "request.path" => self.text(facts.path),
            "request.host" => self.text(facts.host),
            "request.scheme" => self.text(facts.scheme),
            "request.client" => Some(CowVal::owned(CelString::from(facts.client.to_string()))),
            "route.id" => self.text(facts.route),
            "route.service" => self.text(facts.service?),
            "consumer.id" => self.text(self.identity.id()?),
            "consumer.roles" => self.words(self.identity.roles()),
            "consumer.permissions" => self.words(self.identity.permissions()),
            "now" => Some(CowVal::owned(CelInt::from(i64::try_from(facts.now).unwrap_or(i64::MAX)))),
            "request.headers" => Some(CowVal::owned(Lookup { view: self, of: Of::Headers })),
            "request.query" => Some(CowVal::owned(Lookup { view: self, of: Of::Query })),
            "claims" => Some(CowVal::owned(Lookup { view: self, of: Of::Claims(self.identity.claims()) })),
            // Only for `has(consumer.id)`: with its field a name is looked up at once.
            "request" => Some(CowVal::owned(Lookup { view: self, of: Of::Group("request.") })),
            "consumer" => Some(CowVal::owned(Lookup { view: self, of: Of::Group("consumer.") })),
            "route" => Some(CowVal::owned(Lookup { view: self, of: Of::Group("route.") })),
            _ => None,
        }
    }
}

/// Something with names in it, which makes a value when it is asked for one.
#[derive(Clone, Copy)]
struct Lookup<'v> {
    view: &'v View<'v>,
    of: Of<'v>,
}

#[derive(Clone, Copy)]
enum Of<'v> {
    Headers,
    Query,
    Claims(&'v Claims),
    Group(&'static str),
}

impl<'v> Lookup<'v> {
    fn find(&self, name: &str) -> Result<Option<CowVal<'v, 'v>>, ExecutionError> {
        Ok(match self.of {
            Of::Headers => self.view.header(name)?.map(CowVal::owned),
            Of::Query => self.view.parameter(name)?.map(CowVal::owned),
            Of::Claims(claims) => match claims.get(name) {
                None => None,
                Some(claim) => Some(CowVal::Owned(self.view.claim(claim, 0)?)),
            },
            Of::Group(group) => self.view.resolve(&format!("{group}{name}")),
        })
    }
}

fn name_of(key: &dyn Val) -> Result<&str, ExecutionError> {
    let other = || ExecutionError::UnexpectedType { got: key.get_type().name().to_owned(), want: "string".to_owned() };
    key.downcast_ref::<CelString<'_>>().map(CelString::inner).ok_or_else(other)
}

impl Indexer for Lookup<'_> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = name_of(key)?;
        match self.find(name)? {
            Some(value) => Ok(CowVal::Owned(value.into_owned())),
            None => Err(ExecutionError::no_such_key(name)),
        }
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(key).map(CowVal::into_owned)
    }
}

impl Container for Lookup<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        let name = name_of(key)?;
        match self.of {
            // Whatever it is, it need not be made.
            Of::Claims(claims) => Ok(claims.contains_key(name)),
            _ => self.find(name).map(|found| found.is_some()),
        }
    }
}

impl Val for Lookup<'_> {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }
}

impl fmt::Debug for Lookup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookup")
    }
}
