//! Keys of issuers: sets that rotate, hang, lie and vanish.

use crate::support::{Gateway, Key, KeyServer, PATIENCE, Publishes, Response, Upstream, now, set, within_patience};
use serde_json::json;
use std::{fs, net::TcpListener, time::Instant};

fn gateway(upstream: &Upstream, auth: &str) -> Gateway {
    Gateway::start(&format!(
        "auth: {auth}\nservices: {{ s: {{ endpoints: [\"{}\"] }} }}\n\
         routes: [{{ id: all, match: {{ path: /x/* }}, service: s }}]\n",
        upstream.url()
    ))
}

/// Keys at this address, asked for again after a second at the soonest.
fn jwt(url: &str) -> String {
    format!("{{ jwt: {{ algorithm: ES256, jwks_url: \"{url}\", jwks_cooldown: 1s, jwks_timeout: 500ms }} }}")
}

fn ask(gateway: &Gateway, token: &str) -> Response {
    gateway.get("/x/1", &[&format!("Authorization: Bearer {token}")])
}

#[track_caller]
fn passes(gateway: &Gateway, token: &str) {
    let response = ask(gateway, token);
    assert_eq!(response.status, 200, "{}", response.code());
}

#[track_caller]
fn refused(gateway: &Gateway, token: &str, status: u16, code: &str) {
    let response = ask(gateway, token);
    assert_eq!((response.status, response.code().as_str()), (status, code));
}

/// Fetches that brought nothing.
fn failed(gateway: &Gateway) -> f64 {
    gateway.metric("edgeway_key_fetches_total{issuer=\"jwt\",outcome=\"failed\"}").unwrap()
}

/// No two are the same, so that none is remembered.
fn fresh(key: &Key) -> String {
    key.token(&json!({ "nonce": format!("{:?}", Instant::now()) }))
}

#[test]
fn whatever_the_issuer_does_good_tokens_pass_and_forged_ones_do_not() {
    let (first, second, forger) = (Key::new("first"), Key::new("second"), Key::new("first"));
    let upstream = Upstream::echo();
    let issuer = KeyServer::start(set(&[&first]));
    let gateway = gateway(&upstream, &jwt(&issuer.url()));
    let begun = Instant::now();
    passes(&gateway, &fresh(&first));
    assert_eq!(issuer.asked(), 1, "the start has fetched them");

    // A key that is known says no: nobody is asked. Unknown ones: at most once in a second.
    for _ in 0..50 {
        refused(&gateway, &fresh(&forger), 401, "token_invalid");
        let stranger = forger.token_of(Some(&format!("{:?}", Instant::now())), &json!({}));
        assert!([401, 503].contains(&ask(&gateway, &stranger).status));
    }

    // The issuer signs with a new key from now on; the first token with it passes as soon as one may ask again.
    issuer.publish(set(&[&first, &second]));
    assert!(within_patience(|| ask(&gateway, &fresh(&second)).status == 200));
    passes(&gateway, &fresh(&first));

    // It fails in every way; who has a key that is known does not notice.
    for failure in
        [Publishes::Status(500), Publishes::Garbage, Publishes::Nothing, Publishes::TooMuch, Publishes::Status(302)]
    {
        issuer.publish(failure);
        let (stranger, before) = (Key::new("nobody"), failed(&gateway));
        assert!(within_patience(|| {
            _ = ask(&gateway, &fresh(&stranger));
            failed(&gateway) > before
        }));
        // Nobody can say whether this one is good: it is not the caller's fault.
        refused(&gateway, &fresh(&stranger), 503, "keys_unavailable");
        passes(&gateway, &fresh(&first));
        passes(&gateway, &fresh(&second));
        refused(&gateway, &fresh(&forger), 401, "token_invalid");
    }

    // It comes back, without the first key: what was verified with that is over, without a reload.
    let remembered = fresh(&first);
    passes(&gateway, &remembered);
    issuer.publish(set(&[&second]));
    let stranger = Key::new("nobody");
    assert!(within_patience(|| {
        _ = ask(&gateway, &fresh(&stranger));
        ask(&gateway, &remembered).status == 401
    }));
    refused(&gateway, &fresh(&first), 401, "token_invalid");
    passes(&gateway, &fresh(&second));

    // Once at the start, and once in a second at most; by the clock of the test, which is not the gateway's.
    let most = 2 + begun.elapsed().as_secs() as usize;
    assert!(issuer.asked() <= most, "{} fetches in {:?}", issuer.asked(), begun.elapsed());
    let page = gateway.metrics();
    assert!(page.contains("edgeway_keys{issuer=\"jwt\"} 1"), "{page}");
}

#[test]
fn an_issuer_that_comes_later_is_found_and_one_that_goes_is_not_missed() {
    let key = Key::new("k");
    let upstream = Upstream::echo();
    let place = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = place.local_addr().unwrap();
    drop(place);
    let gateway = gateway(&upstream, &jwt(&format!("http://{address}/keys")));
    refused(&gateway, &fresh(&key), 503, "keys_unavailable");
    assert_eq!(ask(&gateway, &fresh(&key)).header("retry-after"), Some("1"));
    gateway.tells(&["keys of jwt", "no connection"]);
    // Its socket may be in the hands of another test by now: then this one cannot go on.
    let issuer = KeyServer::on(TcpListener::bind(address).unwrap(), set(&[&key]));
    let since = Instant::now();
    assert!(within_patience(|| ask(&gateway, &fresh(&key)).status == 200));
    assert!(since.elapsed() < PATIENCE);
    issuer.vanish();
    passes(&gateway, &fresh(&key));
    assert!(gateway.reload());
    passes(&gateway, &fresh(&key));
}

#[test]
fn issuers_have_keys_algorithms_and_audiences_of_their_own() {
    // The same key id in both sets.
    let (ours, theirs) = (Key::new("1"), Key::new("1"));
    let upstream = Upstream::echo();
    let (one, other) = (KeyServer::start(set(&[&ours])), KeyServer::start(set(&[&theirs])));
    let secret = "issuers-0123456789-0123456789-01";
    let gateway = gateway(
        &upstream,
        &format!(
            "{{ jwt: {{ algorithm: HS256, secret: {secret} }}, issuers: {{ \
             ours: {{ algorithm: ES256, issuer: \"https://ours.example\", audience: portal, jwks_url: \"{}\" }}, \
             theirs: {{ algorithm: [ES256, RS256], issuer: \"https://theirs.example\", jwks_url: \"{}\" }} }} }}",
            one.url(),
            other.url()
        ),
    );
    let claims = |issuer: &str, audience: &str| json!({ "iss": issuer, "aud": audience });
    passes(&gateway, &ours.token(&claims("https://ours.example", "portal")));
    passes(&gateway, &theirs.token(&claims("https://theirs.example", "whoever")));
    // Nobody's keys count for another's tokens, whatever key id they have.
    refused(&gateway, &theirs.token(&claims("https://ours.example", "portal")), 401, "token_invalid");
    refused(&gateway, &ours.token(&claims("https://theirs.example", "portal")), 401, "token_invalid");
    refused(&gateway, &ours.token(&claims("https://ours.example", "other")), 401, "token_audience");
    // Who names nobody of them is checked by the one that takes anybody: with its own algorithm.
    refused(&gateway, &ours.token(&claims("https://stranger.example", "portal")), 401, "token_algorithm");
    let hs = jsonwebtoken::encode(
        &jsonwebtoken::Header::default(),
        &json!({ "sub": "7", "exp": now() + 60 }),
        &jsonwebtoken::EncodingKey::from_secret(secret.as_bytes()),
    );
    passes(&gateway, &hs.unwrap());
    let as_theirs = jsonwebtoken::encode(
        &jsonwebtoken::Header::default(),
        &json!({ "sub": "7", "exp": now() + 60, "iss": "https://theirs.example" }),
        &jsonwebtoken::EncodingKey::from_secret(secret.as_bytes()),
    );
    refused(&gateway, &as_theirs.unwrap(), 401, "token_algorithm");
}

#[test]
fn a_file_of_keys_is_read_again_when_it_changes() {
    let (first, second) = (Key::new("first"), Key::new("second"));
    let upstream = Upstream::echo();
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("keys.json");
    let write = |keys: &[&Key]| {
        let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        fs::write(&file, json!({ "keys": keys }).to_string()).unwrap();
    };
    write(&[&first]);
    let path = file.display();
    let gateway = gateway(&upstream, &format!("{{ jwt: {{ algorithm: ES256, jwks_file: \"{path}\" }} }}"));
    passes(&gateway, &fresh(&first));
    write(&[&second]);
    assert!(within_patience(|| ask(&gateway, &fresh(&second)).status == 200));
    refused(&gateway, &fresh(&first), 401, "token_invalid");
    fs::write(&file, "{").unwrap();
    gateway.tells(&["not a set of keys"]);
    passes(&gateway, &fresh(&second));
}

#[test]
fn a_token_without_key_id_is_tried_with_every_key_that_fits() {
    let (first, second, forger) = (Key::new("first"), Key::new("second"), Key::new("third"));
    let upstream = Upstream::echo();
    let issuer = KeyServer::start(set(&[&first, &second]));
    let gateway = gateway(&upstream, &jwt(&issuer.url()));
    for key in [&first, &second] {
        passes(&gateway, &key.token_of(None, &json!({})));
        // The wrong one of two keys that are known.
        let other = if std::ptr::eq(key, &raw const first) { "second" } else { "first" };
        refused(&gateway, &key.token_of(Some(other), &json!({})), 401, "token_invalid");
    }
    refused(&gateway, &forger.token_of(None, &json!({})), 401, "token_invalid");
}

#[test]
fn what_a_token_says_about_its_key_is_not_believed() {
    let (key, forger) = (Key::new("k"), Key::new("evil"));
    let upstream = Upstream::echo();
    let (issuer, evil) = (KeyServer::start(set(&[&key])), KeyServer::start(set(&[&forger])));
    let gateway = gateway(&upstream, &jwt(&issuer.url()));
    let header = |more: serde_json::Value| {
        let mut all = json!({ "alg": "ES256", "typ": "JWT" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let claims = json!({ "sub": "1", "role": "admin", "exp": now() + 60 });
    let url = evil.url();
    for (what, more) in [
        ("its own key", json!({ "kid": "k", "jwk": forger.jwk() })),
        ("its own key, and no id", json!({ "jwk": forger.jwk() })),
        ("an address of keys", json!({ "kid": "evil", "jku": url })),
        ("an address of a certificate", json!({ "kid": "evil", "x5u": url })),
        ("a certificate", json!({ "kid": "evil", "x5c": ["MIIB"] })),
        ("an address as the id", json!({ "kid": url })),
        ("a file as the id", json!({ "kid": "../../../../dev/null" })),
        ("a query as the id", json!({ "kid": "k' UNION SELECT 'x" })),
        ("a command as the id", json!({ "kid": "k|id" })),
        ("an empty id", json!({ "kid": "" })),
        ("a id with zero", json!({ "kid": "k\0" })),
    ] {
        let response = ask(&gateway, &forger.token_with(&header(more), &claims));
        assert!([401, 503].contains(&response.status), "{what}: {}", response.status);
    }
    assert_eq!(evil.asked(), 0, "nobody fetches what a token names");
    assert!(upstream.seen().is_empty());
    passes(&gateway, &key.token_with(&header(json!({ "kid": "k", "jku": url, "x5u": url })), &claims));
    assert_eq!(evil.asked(), 0);
}
