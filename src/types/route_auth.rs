//! `auth:` of a route or a page.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::borrow::Cow;

/// One way to say who one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AuthMethod {
    /// A bearer token.
    Jwt = 1,
    /// `auth.api_keys`.
    ApiKey = 2,
    /// `auth.basic`.
    Basic = 4,
    /// `auth.client_certificates`.
    ClientCertificate = 8,
    /// `auth.alb`.
    Alb = 16,
}

impl AuthMethod {
    /// Every one, in the order in which they are looked for.
    pub const ALL: [Self; 5] = [Self::Jwt, Self::ApiKey, Self::Basic, Self::Alb, Self::ClientCertificate];

    /// As it stands in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::ApiKey => "api_key",
            Self::Basic => "basic",
            Self::ClientCertificate => "client_certificate",
            Self::Alb => "alb",
        }
    }
}

/// Whom a route asks for: nobody, or somebody whom one of these ways makes known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteAuth {
    asks: Asks,
    methods: u8,
    /// Written as a word and not as a list.
    all: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Nobody,
    Somebody,
    /// Who sends nothing passes as nobody.
    Whoever,
}

impl RouteAuth {
    /// Nothing is asked; what is sent is neither needed nor checked.
    pub const PUBLIC: Self = Self { asks: Asks::Nobody, methods: 0, all: true };
    /// Every way that the file offers.
    pub const REQUIRED: Self = Self { asks: Asks::Somebody, methods: u8::MAX, all: true };
    /// As `REQUIRED`, but who sends nothing passes as nobody.
    pub const OPTIONAL: Self = Self { asks: Asks::Whoever, methods: u8::MAX, all: true };

    const WORDS: [(&'static str, Self); 3] =
        [("required", Self::REQUIRED), ("public", Self::PUBLIC), ("optional", Self::OPTIONAL)];

    /// Whether nobody is asked for.
    pub fn is_public(self) -> bool {
        self.asks == Asks::Nobody
    }

    /// Whether a caller who sends nothing may pass.
    pub fn is_optional(self) -> bool {
        self.asks == Asks::Whoever
    }

    /// Whether this way is accepted.
    pub fn accepts(self, method: AuthMethod) -> bool {
        self.methods & method as u8 != 0
    }

    /// The ways that it names itself; none where it takes all.
    pub fn named(self) -> impl Iterator<Item = AuthMethod> {
        AuthMethod::ALL.into_iter().filter(move |method| !self.all && self.accepts(*method))
    }

    /// Of the ways that it takes, those that are `offered`. Whether it asks for somebody is not changed by that.
    #[must_use]
    pub fn among(self, offered: impl Fn(AuthMethod) -> bool) -> Self {
        let kept = AuthMethod::ALL.into_iter().filter(|method| self.accepts(*method) && offered(*method));
        Self { methods: kept.fold(0, |methods, method| methods | method as u8), ..self }
    }

    fn of(words: &[&str]) -> Option<Self> {
        let mut methods = 0;
        for word in words {
            methods |= AuthMethod::ALL.into_iter().find(|method| method.word() == *word)? as u8;
        }
        (methods != 0).then_some(Self { asks: Asks::Somebody, methods, all: false })
    }
}

impl Default for RouteAuth {
    fn default() -> Self {
        Self::REQUIRED
    }
}

impl<'de> Deserialize<'de> for RouteAuth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            One(String),
            Several(Vec<String>),
        }
        let read = match Written::deserialize(deserializer)? {
            Written::One(word) => Self::WORDS
                .iter()
                .find(|(known, _)| *known == word)
                .map(|(_, auth)| *auth)
                .or_else(|| Self::of(&[&word])),
            Written::Several(words) => Self::of(&words.iter().map(String::as_str).collect::<Vec<_>>()),
        };
        read.ok_or_else(|| D::Error::custom("no such value"))
    }
}

impl Serialize for RouteAuth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Self::WORDS.iter().find(|(_, known)| known == self) {
            Some((word, _)) => serializer.serialize_str(word),
            None => serializer.collect_seq(self.named().map(AuthMethod::word)),
        }
    }
}

impl JsonSchema for RouteAuth {
    fn schema_name() -> Cow<'static, str> {
        "RouteAuth".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let methods: Vec<&str> = AuthMethod::ALL.map(AuthMethod::word).into();
        let words: Vec<&str> = Self::WORDS.iter().map(|(word, _)| *word).chain(methods.iter().copied()).collect();
        json_schema!({
            "anyOf": [
                { "type": "string", "enum": words },
                { "type": "array", "minItems": 1, "items": { "type": "string", "enum": methods } }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        for (text, jwt, basic) in [
            ("required", true, true),
            ("public", false, false),
            ("optional", true, true),
            ("jwt", true, false),
            ("[jwt, basic]", true, true),
            ("[api_key]", false, false),
        ] {
            let auth: RouteAuth = serde_yaml::from_str(text).unwrap();
            assert_eq!((auth.accepts(AuthMethod::Jwt), auth.accepts(AuthMethod::Basic)), (jwt, basic), "{text}");
            assert_eq!(auth.is_public(), text == "public");
            let again: RouteAuth = serde_yaml::from_str(&serde_yaml::to_string(&auth).unwrap()).unwrap();
            assert_eq!(again, auth, "{text}");
        }
        for text in ["[]", "nobody", "[public]", "[jwt, nobody]", "1"] {
            assert!(serde_yaml::from_str::<RouteAuth>(text).is_err(), "{text}");
        }
    }
}
