use super::{
    ClaimsConfig, consumers::sha256_in_hex, consumers_config::ConsumerConfig, jwt::Claims, revocation::LONGEST_ID,
};
use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use serde_json::Value;
use std::{borrow::Cow, sync::atomic::AtomicU64};

/// What a header cannot carry as it is. Bytes beyond ASCII are always encoded, as UTF-8.
const HIDDEN: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// Who is calling, with what the service is told about them. Built once per token, shared by its requests.
#[derive(Debug)]
pub struct Identity {
    id: Option<Box<str>>,
    username: Option<Box<str>>,
    roles: Box<[Box<str>]>,
    permissions: Box<[Box<str>]>,
    headers: Box<[(HeaderName, HeaderValue)]>,
    claims: Claims,
    /// What a revocation of this token alone would name.
    token: Option<Box<str>>,
    /// `iat`, in seconds since 1970.
    pub(super) issued: Option<u64>,
    /// From when on it is over, leeway included, in seconds since 1970.
    pub(super) expires: u64,
    /// The version of the keys that it was verified with.
    pub(super) keys: u64,
    /// The version of the revocations that do not name it.
    pub(super) looked_up: AtomicU64,
}

/// What of a caller is told to whom: `auth.headers` and `auth.claims`, compiled.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Names, each with the claim it carries.
    pub(super) headers: Box<[(HeaderName, Box<str>)]>,
    pub(super) claims: ClaimsConfig,
}

impl Identity {
    /// Everything that is read out of the claims later, read now.
    pub(super) fn new(claims: Claims, told: &Told) -> Self {
        let text = |path: &str| at_path(&claims, path).and_then(scalar).map(|text| text.into());
        let value = |(name, path): &(HeaderName, Box<str>)| {
            let words = **path == *told.claims.permissions;
            Some((name.clone(), header_value(words, at_path(&claims, path)?)?))
        };
        let date = |name: &str| claims.get(name).and_then(Value::as_f64).map(|seconds| seconds as u64);
        Self {
            id: text(&told.claims.id),
            username: text(&told.claims.username),
            roles: at_path(&claims, &told.claims.roles).map(list).unwrap_or_default(),
            permissions: at_path(&claims, &told.claims.permissions).map(words).unwrap_or_default(),
            headers: told.headers.iter().filter_map(value).collect(),
            token: text("jti").filter(is_name),
            issued: date("iat"),
            // A date after the end of time is no reason to refuse, and a fraction of a second none to let in.
            expires: date("exp").unwrap_or(0),
            keys: 0,
            looked_up: AtomicU64::new(0),
            claims,
        }
    }

    /// A caller that the file knows: with the claims that a token of theirs would have. Never over by itself.
    pub(super) fn of_consumer(consumer: &ConsumerConfig, told: &Told) -> Self {
        let mut claims = Claims::new();
        for (path, value) in &consumer.claims {
            put(&mut claims, path, value.as_str().into());
        }
        put(&mut claims, &told.claims.id, consumer.id.as_str().into());
        if let Some(name) = &consumer.username {
            put(&mut claims, &told.claims.username, name.as_str().into());
        }
        for (path, list) in [(&told.claims.roles, &consumer.roles), (&told.claims.permissions, &consumer.permissions)] {
            if !list.is_empty() {
                put(&mut claims, path, list.clone().into());
            }
        }
        Self { expires: u64::MAX, ..Self::new(claims, told) }
    }

    /// Who it is, as a text: `auth.claims.id`.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Their name, as a text.
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// Ready-made headers for the service: a copy of one is two reference counts.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// The claim at `path`, where it is a whole number.
    pub fn number(&self, path: &str) -> Option<u64> {
        let claim = at_path(&self.claims, path)?;
        claim.as_u64().or_else(|| claim.as_str()?.parse().ok())
    }

    /// What a revocation of this token alone would name; `None`: no token speaks for them.
    pub fn token_id(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// A token without `jti` is named by its hash.
    pub(super) fn name_token(&mut self, token: &[u8]) {
        if self.token.is_none() {
            self.token = Some(token_name(token));
        }
    }

    pub(super) fn roles(&self) -> &[Box<str>] {
        &self.roles
    }

    pub(super) fn permissions(&self) -> &[Box<str>] {
        &self.permissions
    }

    pub(super) fn claims(&self) -> &Claims {
        &self.claims
    }

    pub(super) fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|known| **known == *role)
    }

    pub(super) fn has_permission(&self, permission: &str) -> bool {
        self.permissions.iter().any(|known| **known == *permission)
    }

    /// Whether the claim at `path`, or one of its entries, is one of `values`.
    pub(super) fn claims_one_of(&self, path: &str, values: &[Box<str>]) -> bool {
        let found = at_path(&self.claims, path).map(list).unwrap_or_default();
        found.iter().any(|text| values.contains(text))
    }

    /// Roughly how much memory it takes, in bytes; its token has `token` of them.
    pub(super) fn weight(&self, token: usize) -> u64 {
        // The claims were about three quarters of the token, and are kept as text in maps and headers.
        256 + 3 * token as u64
    }
}

/// Whether a `jti` can name a token; one that is too long, or empty, names none.
#[allow(clippy::borrowed_box, reason = "it is what a filter hands over")]
fn is_name(id: &Box<str>) -> bool {
    (1..=LONGEST_ID).contains(&id.len())
}

/// The name of a token that has none of its own: of what is signed, because whoever holds a token of ECDSA can write its
/// signature in another way.
pub(super) fn token_name(token: &[u8]) -> Box<str> {
    let signed = token.rsplitn(2, |byte| *byte == b'.').nth(1).unwrap_or(token);
    format!("sha256:{}", sha256_in_hex(signed)).into()
}

/// `realm.roles` steps into objects, a number into a list; a claim that is called so as a whole goes first.
fn at_path<'c>(claims: &'c Claims, path: &str) -> Option<&'c Value> {
    claims.get(path).or_else(|| {
        let mut steps = path.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| match value {
            Value::Array(entries) => entries.get(step.parse::<usize>().ok()?),
            _ => value.get(step),
        })
    })
}

/// Write a claim to where [`at_path`] finds it.
fn put(claims: &mut Claims, path: &str, value: Value) {
    match path.split_once('.') {
        None => _ = claims.insert(path.to_owned(), value),
        Some((first, rest)) => {
            let inner = claims.entry(first).or_insert_with(|| Value::Object(Claims::new()));
            match inner {
                Value::Object(inner) => put(inner, rest, value),
                other => *other = Value::Object([(rest.to_owned(), value)].into_iter().collect()),
            }
        }
    }
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(truth) => Some(truth.to_string().into()),
        _ => None,
    }
}

/// A value, or each value of a list.
fn list(value: &Value) -> Box<[Box<str>]> {
    let one = std::slice::from_ref(value);
    let values = value.as_array().map_or(one, Vec::as_slice);
    values.iter().filter_map(scalar).map(|text| text.into()).collect()
}

/// A list, or a text with spaces or commas between its words (RFC 6749 section 3.3 writes scopes so).
fn words(value: &Value) -> Box<[Box<str>]> {
    match value.as_str() {
        Some(text) => text.split([' ', ',']).filter(|word| !word.is_empty()).map(Into::into).collect(),
        None => list(value),
    }
}

/// What a header says of a claim. A missing or empty one sends nothing.
fn header_value(as_words: bool, value: &Value) -> Option<HeaderValue> {
    let text = match (as_words, value) {
        (true, _) => joined(&words(value)),
        (_, Value::Array(_)) => joined(&list(value)),
        _ => percent_encode(scalar(value)?.as_bytes(), HIDDEN).to_string(),
    };
    HeaderValue::try_from(text).ok().filter(|value| !value.is_empty())
}

/// With commas between them; one inside an entry would make two of it.
fn joined(parts: &[Box<str>]) -> String {
    const IN_A_LIST: &AsciiSet = &HIDDEN.add(b',');
    let parts: Vec<String> = parts.iter().map(|part| percent_encode(part.as_bytes(), IN_A_LIST).to_string()).collect();
    parts.join(",")
}
