use super::{
    AuthConfig, AuthConfigError, AuthError, Credentials, Identity, Method, Protected, Revocation, RevocationMode,
    Revocations, RouteAuth,
    alb::Alb,
    basic::Basic,
    consumers::{ApiKeys, Certificates},
    identity::Told,
    issuers::Issuers,
    jwt::{Claims, Unproven, date},
    material::Material,
    memory::{Memory, Remembered},
    source::Source,
    token::{TokenPlaces, scheme},
};
use crate::types::{ClientCertificate, unix_seconds};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Acquire},
    },
};

/// The largest `leeway` that the file may have, in seconds: so long a token may be good after its end.
const LONGEST_LEEWAY: u64 = 300;

/// Stands before tokens of [`Alb`] in the memory: no bearer token has such a byte, so that none is taken for the other.
const OF_ALB: u8 = 0;

/// Checks callers in every way the configuration allows.
pub struct Authenticator {
    config: AuthConfig,
    materials: Vec<Material>,
    told: Told,
    tokens: TokenPlaces,
    issuers: Issuers,
    api_keys: Option<ApiKeys>,
    basic: Option<Arc<Basic>>,
    certificates: Option<Certificates>,
    alb: Option<Arc<Alb>>,
    protected: Protected,
    memory: Arc<Memory>,
    revocations: Arc<Revocations>,
    /// Counts changes of any issuer's keys.
    keys: Arc<AtomicU64>,
}

impl Authenticator {
    /// Prepare keys once, so that a request only pays for the check. Where nothing about identity changed, what
    /// `previous` has verified stays verified; new keys begin with an empty memory. `revocations` outlive all of them.
    ///
    /// # Errors
    /// Everything that is wrong with the section.
    pub fn build(
        config: &AuthConfig,
        previous: Option<&Self>,
        revocations: &Arc<Revocations>,
    ) -> Result<Self, Vec<AuthConfigError>> {
        let mut errors = Vec::new();
        let told = Told { headers: headers(config, &mut errors), claims: config.claims.clone() };
        let keys = previous.map_or_else(Arc::default, |previous| previous.keys.clone());
        let known = previous.map(|previous| &previous.issuers);
        let (issuers, materials) = Issuers::build(config, known, &keys, &mut errors);
        let tokens = TokenPlaces::build(&config.token, &mut errors);
        let api_keys = config.api_keys.as_ref().map(|section| ApiKeys::build(section, &told, &mut errors));
        let basic = config.basic.as_ref().map(|section| Basic::build(section, &told, &mut errors));
        let certificates = Certificates::build(&config.client_certificates, &mut errors);
        let alb = config.alb.as_ref().and_then(|section| Alb::build(section, &mut errors));
        if !errors.is_empty() {
            return Err(errors);
        }
        let same = previous.filter(|previous| previous.config == *config && previous.materials == materials);
        let kept = api_keys.as_ref().filter(|keys| !keys.forward).map(|keys| keys.header.clone());
        let names = told.headers.iter().map(|(name, _)| name.clone()).chain(kept);
        let memory = Memory::new(config.remember, same.map(|same| &*same.memory), previous.map(|old| &*old.memory));
        Ok(Self {
            config: config.clone(),
            materials,
            protected: Protected::new(names),
            told,
            tokens,
            issuers,
            api_keys,
            basic: same.and_then(|same| same.basic.clone()).or(basic.map(Arc::new)),
            certificates,
            alb: same.and_then(|same| same.alb.clone()).or(alb.map(Arc::new)),
            memory: Arc::new(memory),
            revocations: revocations.clone(),
            keys,
        })
    }

    /// The caller, or `None` where the route asks for nobody. Waits only where something has to be fetched or a password
    /// to be checked.
    ///
    /// # Errors
    /// Why the caller is not let in.
    pub async fn authenticate(
        &self,
        asked: RouteAuth,
        credentials: &Credentials<'_>,
    ) -> Result<Option<Arc<Identity>>, AuthError> {
        if asked.is_public() {
            return Ok(None);
        }
        if asked.accepts(Method::Jwt)
            && let Some(token) = self.tokens.find(credentials)?
        {
            return match self.remembered_token(token) {
                Some(known) => known.map(Some),
                None => Box::pin(self.new_token(token)).await.map(Some),
            };
        }
        match self.other(asked, credentials).await? {
            None if asked.is_optional() => Ok(None),
            None if asked.accepts(Method::Jwt) => Err(AuthError::Missing),
            None => Err(AuthError::Nothing),
            identity => Ok(identity),
        }
    }

    /// The ways beside bearer tokens: the first that something was sent for decides.
    async fn other(&self, asked: RouteAuth, credentials: &Credentials<'_>) -> Result<Option<Arc<Identity>>, AuthError> {
        if let Some(keys) = self.api_keys.as_ref().filter(|_| asked.accepts(Method::ApiKey))
            && let Some(identity) = keys.caller(credentials.headers)?
        {
            return Ok(Some(identity));
        }
        if let Some(basic) = self.basic.as_ref().filter(|_| asked.accepts(Method::Basic))
            && let Some(sent) = basic.sent(credentials.headers)?
        {
            return Box::pin(basic.caller(sent)).await.map(Some);
        }
        if let Some(alb) = self.alb.as_ref().filter(|_| asked.accepts(Method::Alb) && credentials.trusted)
            && let Some(sent) = alb.sent(credentials.headers)?
        {
            return Box::pin(self.of_balancer(alb, sent)).await.map(Some);
        }
        let certificates = self.certificates.as_ref().filter(|_| asked.accepts(Method::ClientCertificate));
        certificates.zip(credentials.certificate).map(|(known, sent)| self.certified(known, sent)).transpose()
    }

    fn certified(&self, known: &Certificates, sent: &ClientCertificate) -> Result<Arc<Identity>, AuthError> {
        let identity = known.caller(sent, &self.told)?;
        if identity.expires <= unix_seconds() { Err(AuthError::Certificate) } else { Ok(identity) }
    }

    /// What is known of a token, `None` where that is nothing.
    fn remembered_token(&self, token: &[u8]) -> Option<Result<Arc<Identity>, AuthError>> {
        let identity = self.memory.get(token)?;
        // Verified with keys that may be gone.
        (identity.keys == self.keys.load(Acquire)).then(|| self.still_good(identity))
    }

    /// Never past `exp` and never after its revocation, however often it is used.
    fn still_good(&self, identity: Arc<Identity>) -> Result<Arc<Identity>, AuthError> {
        match () {
            () if identity.expires <= unix_seconds() => Err(AuthError::Expired),
            () if self.revokes() && self.revocations.has(&identity) => Err(AuthError::Revoked),
            () => Ok(identity),
        }
    }

    async fn new_token(&self, token: &[u8]) -> Result<Arc<Identity>, AuthError> {
        self.memory.missed();
        let text = str::from_utf8(token).map_err(|_| AuthError::Ambiguous)?;
        // Before the keys: should they change meanwhile, it is verified once more.
        let keys = self.keys.load(Acquire);
        let (claims, leeway) = self.issuers.verify(text, unix_seconds()).await?;
        self.remember(token, token, claims, leeway, keys)
    }

    async fn of_balancer(&self, alb: &Alb, sent: &[u8]) -> Result<Arc<Identity>, AuthError> {
        let name = [&[OF_ALB], sent].concat();
        if let Some(known) = self.remembered_token(&name) {
            return known;
        }
        self.memory.missed();
        let keys = self.keys.load(Acquire);
        let (claims, leeway) = alb.verify(sent, unix_seconds()).await?;
        self.remember(&name, sent, claims, leeway, keys)
    }

    fn remember(
        &self,
        name: &[u8],
        token: &[u8],
        claims: Claims,
        leeway: u64,
        keys: u64,
    ) -> Result<Arc<Identity>, AuthError> {
        let mut identity = Identity::new(claims, &self.told);
        identity.expires = identity.expires.saturating_add(leeway);
        identity.keys = keys;
        if self.revokes() {
            identity.name_token(token);
        }
        let identity = self.still_good(Arc::new(identity))?;
        self.memory.insert(name, identity.clone());
        Ok(identity)
    }

    /// What nobody but the gateway may say to a service.
    pub fn protected(&self) -> &Protected {
        &self.protected
    }

    /// Where tokens stand in requests.
    pub fn tokens(&self) -> &TokenPlaces {
        &self.tokens
    }

    /// Whether a password is in these headers that stays on this side.
    pub fn keeps_password(&self, headers: &HeaderMap) -> bool {
        let is_password = |value: &HeaderValue| scheme(value.as_bytes(), b"basic").is_some();
        self.basic.as_ref().is_some_and(|basic| !basic.forward)
            && headers.get_all(header::AUTHORIZATION).iter().any(is_password)
    }

    /// Those whose keys are kept new.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.issuers.sources()
    }

    /// How well remembering tokens works.
    pub fn remembered(&self) -> Remembered {
        self.memory.report()
    }

    /// Whether tokens can be revoked.
    pub fn revokes(&self) -> bool {
        self.config.revocation.mode != RevocationMode::Off
    }

    /// The revocation of a token that somebody holds in their hand; nothing of it is checked. `None`: it is none.
    pub fn revocation_of(&self, token: &str) -> Option<Revocation> {
        let claims = Unproven::read(token).ok()?.claims;
        let until = date(&claims, "exp").ok()??.saturating_add(LONGEST_LEEWAY).saturating_mul(1_000);
        let mut identity = Identity::new(claims, &self.told);
        identity.name_token(token.as_bytes());
        Some(Revocation::Token { id: identity.token_id()?.into(), until })
    }

    /// The revocation of the token that speaks for `identity`; `None`: none does.
    pub fn revocation(&self, identity: &Identity) -> Option<Revocation> {
        let id = identity.token_id()?.into();
        Some(Revocation::Token { id, until: identity.expires.saturating_mul(1_000) })
    }
}

/// `auth.headers`, with what a claim must never replace refused.
fn headers(config: &AuthConfig, errors: &mut Vec<AuthConfigError>) -> Box<[(HeaderName, Box<str>)]> {
    let mut known = Vec::new();
    for (text, claim) in &config.headers {
        let mut wrong = |reason: &str| {
            let pointer = format!("/auth/headers/{}", text.replace('~', "~0").replace('/', "~1"));
            errors.push(AuthConfigError::new(pointer, reason));
        };
        match HeaderName::from_bytes(text.as_bytes()) {
            Err(_) => wrong("not a header name; use letters, digits and -, as in X-User-ID"),
            Ok(name) if belongs_to_http(&name) => wrong("belongs to HTTP itself; choose a name such as X-User-ID"),
            Ok(name) if name.as_str().starts_with("x-forwarded-") || name == "x-request-id" => {
                wrong("belongs to the gateway; choose a name such as X-User-ID");
            }
            Ok(name) => known.push((name, claim.as_str().into())),
        }
    }
    known.into()
}

fn belongs_to_http(name: &HeaderName) -> bool {
    const ITS_OWN: [HeaderName; 11] = [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::EXPECT,
        header::AUTHORIZATION,
        header::COOKIE,
        header::CONTENT_TYPE,
    ];
    ITS_OWN.contains(name)
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authenticator({:?}, {:?})", self.config, self.remembered())
    }
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
