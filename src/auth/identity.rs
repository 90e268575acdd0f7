use super::jwt::Claims;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use serde_json::Value;
use std::borrow::Cow;

/// What a header cannot carry as it is. Bytes beyond ASCII are always encoded, as UTF-8.
const HIDDEN: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// Who is calling, with what the service is told about them. Built once per token, shared by its requests.
#[derive(Debug)]
pub struct Identity {
    id: Option<Box<str>>,
    username: Option<Box<str>>,
    roles: Box<[Box<str>]>,
    permissions: Box<[Box<str>]>,
    headers: Box<[(Bytes, HeaderValue)]>,
    claims: Claims,
    /// Seconds since 1970.
    pub(super) expires: u64,
}

impl Identity {
    /// Everything that is read out of the claims later, read now. `headers`: names, each with the claim it carries.
    pub(super) fn new(claims: Claims, headers: &[(HeaderName, Box<str>)]) -> Self {
        let text = |name: &str| claims.get(name).and_then(scalar).map(|text| text.into());
        let value = |(name, claim): &(HeaderName, Box<str>)| {
            Some((Bytes::copy_from_slice(name.as_str().as_bytes()), header_value(claim, at_path(&claims, claim)?)?))
        };
        Self {
            id: text("sub"),
            username: text("username"),
            roles: claims.get("role").map(list).unwrap_or_default(),
            permissions: claims.get("permissions").map(words).unwrap_or_default(),
            headers: headers.iter().filter_map(value).collect(),
            // A date after the end of time is no reason to refuse, and a fraction of a second none to let in.
            expires: claims.get("exp").and_then(Value::as_f64).map_or(0, |seconds| seconds as u64),
            claims,
        }
    }

    /// `sub`, as a text.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// `username`, as a text.
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// Ready-made headers for the service, names in small letters: a copy of one is two reference counts. pingora would
    /// write a `HeaderName` down anew for each head.
    pub fn headers(&self) -> &[(Bytes, HeaderValue)] {
        &self.headers
    }

    /// The claim at `path`, where it is a whole number.
    pub fn number(&self, path: &str) -> Option<u64> {
        let claim = at_path(&self.claims, path)?;
        claim.as_u64().or_else(|| claim.as_str()?.parse().ok())
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

/// `realm.roles` steps into objects; a claim that is called so as a whole goes first.
fn at_path<'c>(claims: &'c Claims, path: &str) -> Option<&'c Value> {
    claims.get(path).or_else(|| {
        let mut steps = path.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    })
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
fn header_value(claim: &str, value: &Value) -> Option<HeaderValue> {
    let text = match (claim, value) {
        ("permissions", _) => joined(&words(value)),
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
