use super::*;
use crate::auth::{MintClaims, Minter};
use serde_json::{Value, json};
use std::time::Duration;

const SECRET: &str = "unit-tests-0123456789-0123456789";

fn config(jwt: &Value) -> AuthConfig {
    serde_json::from_value(json!({ "jwt": jwt })).unwrap()
}

fn authenticator(jwt: &Value) -> Authenticator {
    build(&config(jwt), None).unwrap()
}

fn build(config: &AuthConfig, previous: Option<&Authenticator>) -> Result<Authenticator, Vec<AuthConfigError>> {
    Authenticator::build(config, previous, &Arc::default())
}

fn told() -> Told {
    Told::default()
}

/// With nothing but these headers.
fn credentials(headers: &HeaderMap) -> Credentials<'_> {
    Credentials { headers, query: None, websocket: false, trusted: false, certificate: None }
}

/// The answer, which needs nothing of the network here.
fn authenticate(authenticator: &Authenticator, headers: &HeaderMap) -> Result<Option<Arc<Identity>>, AuthError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(authenticator.authenticate(RouteAuth::REQUIRED, &credentials(headers)))
}

fn hs256() -> Value {
    json!({ "algorithm": "HS256", "secret": SECRET })
}

fn signed(claims: &Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap()
}

fn sent(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
}

fn ask(authenticator: &Authenticator, token: &str) -> Result<Arc<Identity>, AuthError> {
    authenticate(authenticator, &sent(&format!("Bearer {token}"))).map(Option::unwrap)
}

#[track_caller]
fn headers_of(claims: &Value, expected: &[(&str, &str)]) {
    let mut claims = claims.clone();
    claims["exp"] = (unix_seconds() + 60).into();
    let identity = ask(&authenticator(&hs256()), &signed(&claims)).unwrap();
    let mut found: Vec<_> =
        identity.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    found.sort();
    assert_eq!(found, expected, "{claims}");
}

#[test]
fn claims_become_the_headers_of_the_contract() {
    headers_of(
        &json!({ "sub": "7", "username": "홍 100%", "role": "admin", "permissions": ["read", "a,b", "100%"] }),
        &[
            ("x-user-id", "7"),
            ("x-user-permissions", "read,a%2Cb,100%25"),
            ("x-user-role", "admin"),
            ("x-username", "%ED%99%8D%20100%25"),
        ],
    );
    headers_of(
        &json!({ "sub": 1004, "username": 7.5, "permissions": "read write,list" }),
        &[("x-user-id", "1004"), ("x-user-permissions", "read,write,list"), ("x-username", "7.5")],
    );
    headers_of(&json!({ "sub": null, "username": "", "role": {}, "permissions": [] }), &[]);
    headers_of(
        &json!({ "sub": "a\r\nX-Evil: 1", "role": ["a", "b"] }),
        &[("x-user-id", "a%0D%0AX-Evil:%201"), ("x-user-role", "a,b")],
    );
}

#[test]
fn a_token_is_verified_once_and_remembered_until_it_ends() {
    let authenticator = authenticator(&hs256());
    let token = signed(&json!({ "exp": unix_seconds() + 60, "sub": "7", "aud": "anybody" }));
    let (first, again) = (ask(&authenticator, &token).unwrap(), ask(&authenticator, &token).unwrap());
    assert!(Arc::ptr_eq(&first, &again));
    let mut over = Identity::new(json!({ "exp": unix_seconds() }).as_object().unwrap().clone(), &told());
    over.expires = unix_seconds();
    authenticator.memory.insert(b"t", Arc::new(over));
    assert_eq!(ask(&authenticator, "t").unwrap_err(), AuthError::Expired);
}

#[test]
fn what_is_remembered_survives_a_reload_that_changes_nothing_about_identity() {
    let before = authenticator(&hs256());
    let token = signed(&json!({ "exp": unix_seconds() + 60 }));
    ask(&before, &token).unwrap();
    let same = build(&config(&hs256()), Some(&before)).unwrap();
    assert!(same.memory.get(token.as_bytes()).is_some());
    let other = json!({ "algorithm": "HS256", "secret": SECRET, "audience": "x" });
    let changed = build(&config(&other), Some(&before)).unwrap();
    assert!(changed.memory.get(token.as_bytes()).is_none());
    assert_eq!(ask(&changed, &token).unwrap_err(), AuthError::Audience);
}

#[test]
fn memory_is_bounded_whatever_tokens_come() {
    let small = json!({ "jwt": hs256(), "remember": 10 });
    let authenticator = build(&serde_json::from_value(small).unwrap(), None).unwrap();
    for number in 0..200 {
        ask(&authenticator, &signed(&json!({ "exp": unix_seconds() + 60, "sub": number }))).unwrap();
    }
    let remembered = authenticator.remembered();
    assert!(remembered.bytes <= 10 * 2_048, "{remembered:?}");
}

#[test]
fn two_secrets_are_accepted_while_one_replaces_the_other() {
    let both =
        authenticator(&json!({ "algorithm": "HS256", "secrets": ["the-new-one-0123456789-0123456789", SECRET] }));
    let claims = json!({ "exp": unix_seconds() + 60 });
    assert!(ask(&both, &signed(&claims)).is_ok());
    let minter = Minter::build(both.config.jwt.as_ref().unwrap(), None).unwrap();
    let claims =
        MintClaims { sub: "7".into(), username: None, role: None, permissions: vec![], ttl: Duration::from_secs(9) };
    let new = minter.mint(&claims).unwrap();
    assert!(ask(&both, &new).is_ok());
    assert_eq!(ask(&authenticator(&hs256()), &new).unwrap_err(), AuthError::Signature);
}

#[test]
fn a_header_that_can_be_read_in_two_ways_is_no_header() {
    let authenticator = authenticator(&hs256());
    let token = signed(&json!({ "exp": unix_seconds() + 60 }));
    let with = |value: &str| authenticate(&authenticator, &sent(value)).map(|_| ());
    for good in [format!("Bearer {token}"), format!("bearer {token}"), format!("BEARER  {token}")] {
        assert_eq!(with(&good), Ok(()), "{good}");
    }
    for missing in ["", "Bearer", "Bearer ", "Basic abc", &token, &format!("Bearer{token}"), &format!("Token {token}")]
    {
        assert_eq!(with(missing), Err(AuthError::Missing), "{missing}");
    }
    for malformed in [format!("Bearer {token},x"), format!("Bearer {token} x"), "Bearer a".to_owned()] {
        assert!(with(&malformed).is_err(), "{malformed}");
    }
    let mut twice = sent(&format!("Bearer {token}"));
    twice.append(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    assert_eq!(authenticate(&authenticator, &twice).unwrap_err(), AuthError::Ambiguous);
}

#[test]
fn a_header_that_belongs_to_http_cannot_carry_a_claim() {
    for name in ["Host", "content-length", "Authorization", "X-Forwarded-For", "a b"] {
        let config = json!({ "headers": { name: "sub" } });
        let errors = build(&serde_json::from_value(config).unwrap(), None).unwrap_err();
        assert_eq!(errors[0].pointer, format!("/auth/headers/{name}"));
    }
}

#[test]
fn names_are_protected_in_every_spelling() {
    let authenticator = authenticator(&hs256());
    let protected =
        |name: &str| authenticator.protected().is_protected(&HeaderName::from_bytes(name.as_bytes()).unwrap());
    for name in ["X-User-ID", "x_user_id", "X-User_Role", "x_username", "x-user-permissions"] {
        assert!(protected(name), "{name}");
    }
    assert!(!protected("x-user-id2") && !protected("x-user") && !protected("authorization"));
    let other = serde_json::from_value(json!({ "headers": { "X-Subject": "sub" } })).unwrap();
    let other = build(&other, None).unwrap();
    for name in ["x-subject", "x-user-id", "x-user-role"] {
        assert!(other.protected().is_protected(&HeaderName::from_static(name)), "{name}, whatever the file sends");
    }
}

#[test]
fn dates_are_numbers_and_the_end_of_time_is_far_away() {
    let authenticator = authenticator(&hs256());
    let with = |exp: &str| {
        let claims: Value = serde_json::from_str(&format!("{{\"sub\":\"7\",\"exp\":{exp}}}")).unwrap();
        ask(&authenticator, &signed(&claims)).map(|identity| identity.expires)
    };
    let soon = unix_seconds() + 60;
    assert_eq!(with(&soon.to_string()), Ok(soon));
    assert_eq!(with(&format!("{soon}.9")), Ok(soon), "a fraction of a second is given to nobody");
    assert_eq!(with(&format!("{}e-1", soon * 10)), Ok(soon));
    for huge in ["1e300", "18446744073709551615", "1e20"] {
        assert_eq!(with(huge), Ok(u64::MAX), "{huge}");
    }
    for over in ["0", "0.5", "-0.0", "1"] {
        assert_eq!(with(over), Err(AuthError::Expired), "{over}");
    }
    for wrong in ["-1", "-1e300", "\"9999999999\"", "[9999999999]", "{}", "true", "null"] {
        assert_eq!(with(wrong), Err(AuthError::Claims), "{wrong}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

    /// Whatever byte of a remembered token is bent, it is another token.
    #[test]
    fn a_token_that_differs_in_any_byte_is_not_remembered(place in 0_usize..10_000, byte in 0x21_u8..0x7f, cut in 0_usize..4) {
        let authenticator = authenticator(&hs256());
        let token = signed(&json!({ "exp": unix_seconds() + 60, "sub": "7" }));
        ask(&authenticator, &token).unwrap();
        let mut other = token.clone().into_bytes();
        let place = place % other.len();
        other[place] = byte;
        other.truncate(token.len() - cut);
        let other = String::from_utf8(other).unwrap();
        if other != token {
            proptest::prop_assert!(ask(&authenticator, &other).is_err(), "{other}");
        }
        proptest::prop_assert!(ask(&authenticator, &token).is_ok());
    }
}

/// Threads use the same tokens while one of them revokes and the keys change: nobody is let in after the moment at which
/// that was done.
#[test]
fn whoever_is_revoked_is_out_for_every_thread_at_once() {
    let settings = json!({ "jwt": hs256(), "revocation": { "mode": "local" } });
    let config: AuthConfig = serde_json::from_value(settings).unwrap();
    let revocations = Arc::new(Revocations::default());
    let authenticator = Authenticator::build(&config, None, &revocations).unwrap();
    let tokens: Vec<String> =
        (0..200).map(|number| signed(&json!({ "exp": unix_seconds() + 600, "jti": format!("t{number}") }))).collect();
    let gone = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut seen_all = false;
                while !seen_all {
                    // Before the look: what was revoked until here must be refused.
                    let before = gone.load(std::sync::atomic::Ordering::SeqCst);
                    seen_all = before == tokens.len();
                    for token in &tokens[..before] {
                        assert_eq!(ask(&authenticator, token).unwrap_err(), AuthError::Revoked);
                    }
                    for token in &tokens[before..] {
                        // It may be revoked while this looks; then it is refused, and nothing else.
                        assert!(
                            ask(&authenticator, token).is_ok_and(|_| true)
                                || gone.load(std::sync::atomic::Ordering::SeqCst) > before
                                || ask(&authenticator, token).unwrap_err() == AuthError::Revoked
                        );
                    }
                }
            });
        }
        for (number, token) in tokens.iter().enumerate() {
            let revocation = authenticator.revocation_of(token).unwrap();
            revocations.revoke(&config.revocation, &revocation).unwrap();
            gone.store(number + 1, std::sync::atomic::Ordering::SeqCst);
        }
    });
}
