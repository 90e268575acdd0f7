//! Names and passwords (RFC 7617).

use super::{
    AuthConfigError, AuthError, BasicConfig, Identity,
    consumers::{Hash, sha256},
    identity::Told,
    token::{only, scheme},
};
use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, header};
use quick_cache::sync::Cache;
use std::{collections::HashMap, fmt, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

/// Passwords that are checked at the same time. Each takes a processor and megabytes of memory for tens of milliseconds.
const AT_A_TIME: usize = 2;

/// How long a caller waits for a turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// Callers who were let in and are remembered by the hash of what they sent.
const REMEMBERED: usize = 1_000;

/// Longest name and password together that are looked at, in bytes of base64.
const LONGEST: usize = 1_024;

/// What an unknown name is checked against, so that it takes as long as a known one: nobody's password.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$ZWRnZXdheS1ub2JvZHk$T1GSjJ1wDhRGLwzfDpvyvQOwqYDFTHJLdPmuTTpUwmo";

/// `auth.basic:`, compiled.
pub(super) struct Basic {
    pub(super) forward: bool,
    users: HashMap<Box<str>, (Arc<str>, Arc<Identity>)>,
    let_in: Cache<Hash, Arc<Identity>>,
    turns: Semaphore,
}

impl Basic {
    pub(super) fn build(config: &BasicConfig, told: &Told, errors: &mut Vec<AuthConfigError>) -> Self {
        let mut users = HashMap::new();
        for (at, user) in config.users.iter().enumerate() {
            let mut wrong = |key: &str, reason: &str| {
                errors.push(AuthConfigError::new(format!("/auth/basic/users/{at}{key}"), reason));
            };
            if user.username.is_empty() || user.username.contains(':') {
                wrong("/username", "not a name; RFC 7617 allows no colon in it");
            }
            if PasswordHash::new(&user.password_hash).is_err() || !user.password_hash.starts_with("$argon2") {
                wrong("/password_hash", "not an Argon2 hash; edgeway hash makes one: $argon2id$v=19$...");
            }
            let identity = Arc::new(Identity::of_consumer(&user.consumer(), told));
            if users.insert(user.username.as_str().into(), (user.password_hash.as_str().into(), identity)).is_some() {
                wrong("/username", "stands there twice; remove one");
            }
        }
        Self { forward: config.forward, users, let_in: Cache::new(REMEMBERED), turns: Semaphore::new(AT_A_TIME) }
    }

    /// What was sent under the scheme `Basic`, if anything.
    pub(super) fn sent<'r>(&self, headers: &'r HeaderMap) -> Result<Option<&'r [u8]>, AuthError> {
        Ok(only(headers, &header::AUTHORIZATION)?.and_then(|value| scheme(value.as_bytes(), b"basic")))
    }

    /// Who it is.
    pub(super) async fn caller(&self, sent: &[u8]) -> Result<Arc<Identity>, AuthError> {
        if sent.len() > LONGEST {
            return Err(AuthError::Basic);
        }
        let hash = sha256(sent);
        if let Some(identity) = self.let_in.get(&hash) {
            return Ok(identity);
        }
        let text = STANDARD.decode(sent).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or(AuthError::Basic)?;
        let (name, password) = text.split_once(':').ok_or(AuthError::Basic)?;
        let known = self.users.get(name);
        let wanted = known.map_or_else(|| NOBODY.into(), |(wanted, _)| wanted.clone());
        let is_right = self.is_right(password.to_owned(), wanted).await?;
        let identity = known.filter(|_| is_right).map(|(_, identity)| identity.clone()).ok_or(AuthError::Basic)?;
        self.let_in.insert(hash, identity.clone());
        Ok(identity)
    }

    /// Away from the threads that serve requests, and few at a time.
    async fn is_right(&self, password: String, wanted: Arc<str>) -> Result<bool, AuthError> {
        let turn = timeout(PATIENCE, self.turns.acquire()).await;
        let _turn = turn.ok().and_then(Result::ok).ok_or(AuthError::Busy)?;
        let check = move || {
            let hash = PasswordHash::new(&wanted);
            hash.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        };
        spawn_blocking(check).await.map_err(|_| AuthError::Busy)
    }
}

/// Bytes that passwords take while they are checked: those of the largest hash, for each that is checked at the same time.
pub fn password_memory(config: &BasicConfig) -> u64 {
    let hashes = config.users.iter().map(|user| user.password_hash.as_str()).chain([NOBODY]);
    let kibibytes = hashes.filter_map(|hash| PasswordHash::new(hash).ok()?.params.get_decimal("m"));
    u64::from(kibibytes.max().unwrap_or(0)) * 1024 * AT_A_TIME as u64
}

/// For `password_hash`: Argon2id with the parameters that RFC 9106 and OWASP name for servers. `None`: no random numbers.
pub fn hash_password(password: &str) -> Option<String> {
    Argon2::default().hash_password(password.as_bytes()).ok().map(|hash| hash.to_string())
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Basic({} users)", self.users.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_hash_says_how_much_memory_a_check_takes() {
        let user = |hash: &str| format!("{{ username: u, password_hash: \"{hash}\" }}");
        let large = NOBODY.replace("m=19456", "m=65536");
        for (hashes, kibibytes) in [(vec![], 19_456), (vec![NOBODY, &large], 65_536)] {
            let users = hashes.into_iter().map(user).collect::<Vec<_>>().join(", ");
            let config: BasicConfig = serde_yaml::from_str(&format!("users: [{users}]")).unwrap();
            assert_eq!(password_memory(&config), 2 * kibibytes * 1024);
        }
    }

    #[test]
    fn an_unknown_name_is_checked_against_a_password_that_nobody_has() {
        // Were it no hash, unknown names would be refused sooner than known ones.
        let nobody = PasswordHash::new(NOBODY).unwrap();
        assert!(Argon2::default().verify_password(b"", &nobody).is_err());
        let made = hash_password("x").unwrap();
        let parameters = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parameters(&made), parameters(NOBODY), "it takes as long as a fresh one");
        assert!(Argon2::default().verify_password(b"x", &PasswordHash::new(&made).unwrap()).is_ok());
    }
}
