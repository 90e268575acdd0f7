use super::{Method, RouteAuth};

/// Why a caller is not let in. The message is safe to send to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no bearer token.
    #[error("a bearer token is required")]
    Missing,
    /// There is nothing that says who calls, and the route does not ask for a token.
    #[error("credentials are required")]
    Nothing,
    /// Two tokens or keys in one place, or one that is no text.
    #[error("the credentials are ambiguous")]
    Ambiguous,
    /// Longer than `max_token_bytes`.
    #[error("the bearer token is too long")]
    TooLong,
    /// Not three parts of base64url with JSON inside.
    #[error("the bearer token is malformed")]
    Malformed,
    /// Signed in another way than the configuration says.
    #[error("the bearer token is signed with another algorithm")]
    Algorithm,
    /// The signature is wrong.
    #[error("the bearer token is not valid")]
    Signature,
    /// Its header demands what nobody here understands (RFC 7515 section 4.1.11).
    #[error("the bearer token has critical extensions")]
    Critical,
    /// A claim is missing or has the wrong type.
    #[error("the bearer token lacks a claim")]
    Claims,
    /// `exp` is over.
    #[error("the bearer token is expired")]
    Expired,
    /// `nbf` is still to come.
    #[error("the bearer token is not valid yet")]
    NotYetValid,
    /// `iss` is not one of ours.
    #[error("the bearer token is from another issuer")]
    Issuer,
    /// `aud` does not name us.
    #[error("the bearer token is for another audience")]
    Audience,
    /// It was revoked.
    #[error("the bearer token is revoked")]
    Revoked,
    /// Its issuer's keys are not here, so that nobody can say whether it is good.
    #[error("the keys that would check the token are not available")]
    KeysUnavailable,
    /// A key that nobody has.
    #[error("the API key is not valid")]
    ApiKey,
    /// A wrong name or password.
    #[error("the name or the password is wrong")]
    Basic,
    /// A certificate that speaks for nobody.
    #[error("the client certificate is not known here")]
    Certificate,
    /// Too many passwords are being checked.
    #[error("too many callers are being checked; try again in a moment")]
    Busy,
}

impl AuthError {
    /// Every one, for the table of codes.
    pub const ALL: [Self; 19] = [
        Self::Missing,
        Self::Nothing,
        Self::Ambiguous,
        Self::TooLong,
        Self::Malformed,
        Self::Algorithm,
        Self::Signature,
        Self::Critical,
        Self::Claims,
        Self::Expired,
        Self::NotYetValid,
        Self::Issuer,
        Self::Audience,
        Self::Revoked,
        Self::KeysUnavailable,
        Self::ApiKey,
        Self::Basic,
        Self::Certificate,
        Self::Busy,
    ];

    /// A stable name: metric label, log field, `code` in the body.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::Nothing => "credentials_missing",
            Self::Ambiguous => "token_ambiguous",
            Self::TooLong => "token_too_long",
            Self::Malformed => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::Signature => "token_invalid",
            Self::Critical => "token_critical",
            Self::Claims => "token_claims",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::Revoked => "token_revoked",
            Self::KeysUnavailable => "keys_unavailable",
            Self::ApiKey => "api_key_invalid",
            Self::Basic => "password_invalid",
            Self::Certificate => "certificate_unknown",
            Self::Busy => "auth_busy",
        }
    }

    /// Whether the fault is on this side, so that nothing is said about the caller.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::KeysUnavailable | Self::Busy)
    }

    /// What the route takes, as challenges of RFC 9110 section 11.6.1. RFC 6750 section 3: no error code where no token was
    /// sent. Empty: the ways that it takes have no challenge.
    pub fn www_authenticate(self, asked: RouteAuth) -> impl Iterator<Item = &'static str> {
        let bearer = match self {
            Self::Missing | Self::Nothing => "Bearer",
            Self::ApiKey | Self::Basic | Self::Certificate => "Bearer",
            Self::Ambiguous => r#"Bearer error="invalid_request""#,
            _ => r#"Bearer error="invalid_token""#,
        };
        let basic = r#"Basic realm="edgeway", charset="UTF-8""#;
        let challenges = [(Method::Jwt, bearer), (Method::Basic, basic)];
        challenges.into_iter().filter(move |(method, _)| asked.accepts(*method)).map(|(_, text)| text)
    }
}

/// What is wrong with `auth:` in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfigError {
    /// Where: a JSON pointer into the file.
    pub pointer: String,
    /// What is wrong; what would be right. Never a key's content.
    pub reason: String,
}

impl AuthConfigError {
    pub(super) fn new(pointer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), reason: reason.into() }
    }
}
