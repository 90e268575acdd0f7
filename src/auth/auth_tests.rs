use super::*;
use crate::auth::{MintClaims, Minter};
use serde_json::{Value, json};
use std::time::Duration;

const SECRET: &str = "unit-tests-0123456789-0123456789";

fn config(jwt: &Value) -> AuthConfig {
    serde_json::from_value(json!({ "jwt": jwt })).unwrap()
}

fn authenticator(jwt: &Value) -> Authenticator {
    Authenticator::build(&config(jwt), None).unwrap()
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
    authenticator.authenticate(RouteAuth::Required, &sent(&format!("Bearer {token}"))).map(Option::unwrap)
}

#[track_caller]
fn headers_of(claims: &Value, expected: &[(&str, &str)]) {
    let mut claims = claims.clone();
    claims["exp"] = (unix_now() + 60).into();
    let identity = ask(&authenticator(&hs256()), &signed(&claims)).unwrap();
    let mut found: Vec<_> = identity
        .headers()
        .iter()
        .map(|(name, value)| (str::from_utf8(name).unwrap(), value.to_str().unwrap()))
        .collect();
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
    let token = signed(&json!({ "exp": unix_now() + 60, "sub": "7", "aud": "anybody" }));
    let (first, again) = (ask(&authenticator, &token).unwrap(), ask(&authenticator, &token).unwrap());
    assert!(Arc::ptr_eq(&first, &again));
    let mut over = Identity::new(json!({ "exp": unix_now() }).as_object().unwrap().clone(), &[]);
    over.expires = unix_now();
    authenticator.verified.insert(b"t".as_slice().into(), Arc::new(over));
    assert_eq!(ask(&authenticator, "t").unwrap_err(), AuthError::Expired);
}

#[test]
fn what_is_remembered_survives_a_reload_that_changes_nothing_about_identity() {
    let before = authenticator(&hs256());
    let token = signed(&json!({ "exp": unix_now() + 60 }));
    ask(&before, &token).unwrap();
    let same = Authenticator::build(&config(&hs256()), Some(&before)).unwrap();
    assert!(same.verified.get(token.as_bytes()).is_some());
    let other = json!({ "algorithm": "HS256", "secret": SECRET, "audience": "x" });
    let changed = Authenticator::build(&config(&other), Some(&before)).unwrap();
    assert!(changed.verified.get(token.as_bytes()).is_none());
    assert_eq!(ask(&changed, &token).unwrap_err(), AuthError::Audience);
}

#[test]
fn memory_is_bounded_whatever_tokens_come() {
    let small = json!({ "jwt": hs256(), "remember": 10 });
    let authenticator = Authenticator::build(&serde_json::from_value(small).unwrap(), None).unwrap();
    for number in 0..200 {
        ask(&authenticator, &signed(&json!({ "exp": unix_now() + 60, "sub": number }))).unwrap();
    }
    assert!(authenticator.verified.weight() <= 10 * WEIGHT_OF_ONE, "{}", authenticator.verified.weight());
}

#[test]
fn two_secrets_are_accepted_while_one_replaces_the_other() {
    let both =
        authenticator(&json!({ "algorithm": "HS256", "secrets": ["the-new-one-0123456789-0123456789", SECRET] }));
    let claims = json!({ "exp": unix_now() + 60 });
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
    let token = signed(&json!({ "exp": unix_now() + 60 }));
    let with = |value: &str| authenticator.authenticate(RouteAuth::Required, &sent(value)).map(|_| ());
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
    assert_eq!(authenticator.authenticate(RouteAuth::Required, &twice).unwrap_err(), AuthError::Ambiguous);
}

#[test]
fn a_header_that_belongs_to_http_cannot_carry_a_claim() {
    for name in ["Host", "content-length", "Authorization", "X-Forwarded-For", "a b"] {
        let config = json!({ "headers": { name: "sub" } });
        let errors = Authenticator::build(&serde_json::from_value(config).unwrap(), None).unwrap_err();
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
    let other = Authenticator::build(&other, None).unwrap();
    for name in ["x-subject", "x-user-id", "x-user-role"] {
        assert!(other.protected().is_protected(&HeaderName::from_static(name)), "{name}, whatever the file sends");
    }
}
