use jsonwebtoken::errors::{Error, ErrorKind};

/// Why a caller is not let in. The message is safe to send to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no `Authorization: Bearer` header.
    #[error("a bearer token is required")]
    Missing,
    /// More than one `Authorization` header, or one that is no text.
    #[error("the Authorization header is ambiguous")]
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
}

impl AuthError {
    /// Every one, for the table of codes.
    pub const ALL: [Self; 12] = [
        Self::Missing,
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
    ];

    /// A stable name: metric label, log field, `code` in the body.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
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
        }
    }

    /// RFC 6750 section 3: no error code where no token was sent.
    pub fn www_authenticate(self) -> &'static str {
        match self {
            Self::Missing => "Bearer",
            Self::Ambiguous => r#"Bearer error="invalid_request""#,
            _ => r#"Bearer error="invalid_token""#,
        }
    }
}

impl From<&Error> for AuthError {
    fn from(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::NotYetValid,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::MissingRequiredClaim(name) if name == "iss" => Self::Issuer,
            ErrorKind::MissingRequiredClaim(name) if name == "aud" => Self::Audience,
            ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => Self::Claims,
            ErrorKind::InvalidAlgorithm => Self::Algorithm,
            ErrorKind::InvalidSignature => Self::Signature,
            _ => Self::Malformed,
        }
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
