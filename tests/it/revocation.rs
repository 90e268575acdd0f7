//! Tokens that end before their time, on every instance.

use crate::support::{
    Gateway, Key, KeyServer, Redis, Relay, Response, SECRET, Upstream, bearer, closed_port, now, set, within_patience,
};
use serde_json::{Value, json};
use std::{
    thread,
    time::{Duration, Instant},
};

/// An instance that shares revocations through the Redis on this port.
fn instance(upstream: &Upstream, port: u16, more: &str) -> Gateway {
    Gateway::start(&format!(
        "redis: {{ host: 127.0.0.1, port: {port} }}\n\
         auth: {{ jwt: {{ algorithm: HS256, secret: {SECRET} }}, revocation: {{ mode: shared{more} }} }}\n\
         services: {{ s: {{ endpoints: [\"{}\"] }} }}\n\
         routes:\n- {{ id: all, match: {{ path: /x/* }}, service: s }}\n\
         - {{ id: logout, match: {{ path: /api/auth/logout }}, service: s, revoke_token: true }}\n",
        upstream.url()
    ))
}

fn token(claims: &Value) -> String {
    let mut all = json!({ "sub": "7", "exp": now() + 600, "iat": now() });
    let members = all.as_object_mut().unwrap();
    members.extend(claims.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &all, &key).unwrap()
}

fn ask(gateway: &Gateway, token: &str) -> Response {
    gateway.get("/x/1", &[&format!("Authorization: Bearer {token}")])
}

fn revoke(gateway: &Gateway, what: &Value) -> Response {
    gateway.operate("POST", "/api/v1/revocations", &[], &what.to_string())
}

#[track_caller]
fn passes(gateway: &Gateway, token: &str) {
    let response = ask(gateway, token);
    assert_eq!(response.status, 200, "{}", response.code());
}

/// Refused from now on; how long that took.
#[track_caller]
fn stops(gateway: &Gateway, token: &str) -> Duration {
    let since = Instant::now();
    assert!(within_patience(|| ask(gateway, token).code() == "token_revoked"), "{}", ask(gateway, token).code());
    since.elapsed()
}

#[test]
fn a_revoked_token_stops_on_every_instance_within_a_second() {
    let (redis, upstream) = (Redis::start(), Upstream::echo());
    let (one, other) = (instance(&upstream, redis.port, ""), instance(&upstream, redis.port, ""));
    let mut slowest = Duration::ZERO;
    for round in 0..10 {
        let (ends, stays) =
            (token(&json!({ "jti": format!("a{round}") })), token(&json!({ "jti": format!("b{round}") })));
        // Remembered by both.
        [&one, &other].iter().for_each(|gateway| [&ends, &stays].iter().for_each(|token| passes(gateway, token)));
        assert_eq!(revoke(&one, &json!({ "jti": format!("a{round}") })).status, 200);
        assert_eq!(ask(&one, &ends).code(), "token_revoked", "where it was asked for: at once");
        slowest = slowest.max(stops(&other, &ends));
        [&one, &other].iter().for_each(|gateway| passes(gateway, &stays));
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    // One without a name, by itself; and one that comes with a page in a browser.
    for what in [json!({ "sub": "8" }), json!({ "sub": "9", "jti": "c" })] {
        let ends = token(&what);
        passes(&other, &ends);
        assert_eq!(revoke(&one, &json!({ "token": ends })).status, 200);
        assert!(stops(&other, &ends) < Duration::from_secs(1));
        passes(&other, &token(&json!({ "sub": "8", "jti": "d" })));
    }
    assert!(redis.keys().iter().all(|(_, left)| *left > 0), "{:?}", redis.keys());
    // Who comes later knows all of it before the first request.
    let third = instance(&upstream, redis.port, "");
    let ends = token(&json!({ "jti": "a3" }));
    assert!(stops(&third, &ends) < Duration::from_secs(1));
}

#[test]
fn an_instance_that_had_lost_redis_for_ten_seconds_catches_up_within_one() {
    let (redis, upstream) = (Redis::start(), Upstream::echo());
    let relay = Relay::to(redis.port);
    let (one, other) = (instance(&upstream, redis.port, ""), instance(&upstream, relay.port, ""));
    let (before, during) = (token(&json!({ "jti": "before" })), token(&json!({ "jti": "during" })));
    passes(&other, &before);
    passes(&other, &during);
    revoke(&one, &json!({ "jti": "before" }));
    assert!(stops(&other, &before) < Duration::from_secs(1));

    // Once cut off, once with connections that stay open and carry nothing.
    for (round, silent) in [(0, false), (1, true)] {
        let during = token(&json!({ "jti": format!("during{round}") }));
        passes(&other, &during);
        if silent {
            relay.stall()
        } else {
            relay.cut()
        }
        revoke(&one, &json!({ "jti": format!("during{round}") }));
        // Ten seconds that the issue asks for, and the other instance serves all the while.
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            passes(&other, &during);
            assert_eq!(ask(&other, &before).code(), "token_revoked", "what was known stays known");
            thread::sleep(Duration::from_millis(50));
        }
        // Made while Redis is away, it holds here at once and there as soon as may be.
        let own = token(&json!({ "jti": format!("own{round}") }));
        passes(&one, &own);
        assert_eq!(revoke(&other, &json!({ "jti": format!("own{round}") })).status, 200);
        assert_eq!(ask(&other, &own).code(), "token_revoked");
        relay.mend();
        let took = stops(&other, &during);
        assert!(took < Duration::from_secs(1), "{took:?} after Redis came back");
        assert!(stops(&one, &own) < Duration::from_secs(2));
    }

    // A hundred reloads change nothing of it.
    for _ in 0..100 {
        assert_eq!(other.operate("POST", "/api/v1/reload", &[], "").status, 200);
    }
    for jti in ["before", "during0", "during1", "own0", "own1"] {
        for gateway in [&one, &other] {
            assert_eq!(ask(gateway, &token(&json!({ "jti": jti }))).code(), "token_revoked", "{jti}");
        }
    }
}

#[test]
fn all_tokens_of_a_user_so_far_can_be_revoked() {
    let (redis, upstream) = (Redis::start(), Upstream::echo());
    let (one, other) = (instance(&upstream, redis.port, ""), instance(&upstream, redis.port, ""));
    let begun = now();
    let old = token(&json!({ "sub": "1004", "iat": begun - 60 }));
    let (undated, neighbour) =
        (token(&json!({ "sub": "1004", "iat": null })), token(&json!({ "sub": "1005", "iat": now() - 60 })));
    let new = token(&json!({ "sub": "1004", "iat": begun + 1 }));
    for token in [&old, &undated, &neighbour, &new] {
        passes(&other, token);
    }
    assert_eq!(revoke(&one, &json!({ "user": "1004", "before": begun })).status, 200);
    assert!(stops(&other, &old) < Duration::from_secs(1));
    assert_eq!(ask(&other, &undated).code(), "token_revoked", "it may be as old as any");
    passes(&other, &neighbour);
    passes(&other, &new);
    one.tells(&["revoked by", "all tokens of user \"1004\" so far"]);
}

#[test]
fn a_way_out_revokes_the_token_that_it_was_asked_with() {
    let (redis, upstream) = (Redis::start(), Upstream::echo());
    let (one, other) = (instance(&upstream, redis.port, ""), instance(&upstream, redis.port, ""));
    let (ends, stays) = (token(&json!({ "jti": "ends" })), token(&json!({ "jti": "stays" })));
    passes(&other, &ends);
    let line = format!("Authorization: Bearer {ends}");
    let request = format!(
        "POST /api/auth/logout HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{line}\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(one.send(request.as_bytes()).status, 200);
    assert_eq!(ask(&one, &ends).code(), "token_revoked");
    assert!(stops(&other, &ends) < Duration::from_secs(1));
    passes(&other, &stays);
    assert_eq!(one.metric("edgeway_revocations{kind=\"token\"}"), Some(1.0));
}

#[test]
fn what_cannot_be_revoked_is_refused_with_a_reason() {
    let upstream = Upstream::echo();
    // No Redis at all: what is revoked holds here.
    let gateway = instance(&upstream, closed_port(), ", most: 2");
    for (what, status, code) in [
        (json!({}), 400, "bad_request"),
        (json!({ "jti": "a", "user": "b" }), 400, "bad_request"),
        (json!({ "jti": "a", "before": 7 }), 400, "bad_request"),
        (json!({ "token": "a.b.c" }), 400, "bad_request"),
        (json!({ "jti": "a", "until": 7 }), 400, "bad_request"),
        (json!({ "jti": "" }), 409, "revocation_refused"),
        (json!({ "jti": "x".repeat(600) }), 409, "revocation_refused"),
        (json!({ "jti": "one" }), 200, ""),
        (json!({ "user": "two" }), 200, ""),
        (json!({ "jti": "three" }), 507, "revocations_full"),
        (json!({ "jti": "one" }), 200, ""),
    ] {
        let response = revoke(&gateway, &what);
        assert_eq!((response.status, response.code().as_str()), (status, code), "{what}: {}", response.body);
    }
    // The last one says nothing new, unless a second has passed since the first.
    assert!([Some(2.0), Some(3.0)].contains(&gateway.metric("edgeway_revocations_waiting")));
    assert_eq!(ask(&gateway, &token(&json!({ "jti": "one" }))).code(), "token_revoked");
    let off = Gateway::start("routes: [{ id: a, match: { path: /a }, respond: { body: a } }]\n");
    assert_eq!(revoke(&off, &json!({ "jti": "a" })).status, 409);
    assert_eq!(off.get("/a", &[&bearer("admin")]).status, 200);
}

#[test]
fn what_no_message_told_is_read_all_the_same() {
    let (redis, upstream) = (Redis::start(), Upstream::echo());
    let gateway = instance(&upstream, redis.port, "");
    let (missed, other) = (token(&json!({ "jti": "missed" })), token(&json!({ "jti": "other" })));
    passes(&gateway, &missed);
    assert!(within_patience(|| gateway.metric("edgeway_revocations_last_read_timestamp_seconds") > Some(0.0)));
    // As another instance would, but for the message, which is lost.
    let until = ((now() + 600) * 1_000).to_string();
    let _: i64 = redis.ask(&["ZADD", "edgeway:{revoked}:list", &until, "t:missed"]);
    let _: String = redis.ask(&["SET", "edgeway:{revoked}:version", "1", "EX", "600"]);
    assert!(stops(&gateway, &missed) < Duration::from_secs(1));
    passes(&gateway, &other);
}

#[test]
fn an_end_beyond_all_dates_stops_no_other_revocation() {
    let (redis, upstream) = (Redis::start(), Upstream::echo());
    let (one, other) = (instance(&upstream, redis.port, ""), instance(&upstream, redis.port, ""));
    assert_eq!(revoke(&one, &json!({ "jti": "far", "until": u64::MAX })).status, 200);
    let (far, near) = (token(&json!({ "jti": "far" })), token(&json!({ "jti": "near" })));
    assert!(stops(&other, &far) < Duration::from_secs(1));
    passes(&other, &near);
    assert_eq!(revoke(&one, &json!({ "jti": "near" })).status, 200);
    assert!(stops(&other, &near) < Duration::from_secs(1));
    assert!(redis.keys().iter().all(|(_, left)| *left > 0), "{:?}", redis.keys());
}

#[test]
fn what_redis_loses_it_is_told_again() {
    let (redis, upstream) = (Redis::start(), Upstream::echo());
    let one = instance(&upstream, redis.port, "");
    let (token_, user) = (token(&json!({ "jti": "kept" })), token(&json!({ "sub": "1004", "iat": now() - 60 })));
    assert_eq!(revoke(&one, &json!({ "jti": "kept" })).status, 200);
    assert_eq!(revoke(&one, &json!({ "user": "1004" })).status, 200);
    let entries = || redis.ask::<i64>(&["ZCARD", "edgeway:{revoked}:list"]);
    assert!(within_patience(|| entries() == 2));
    let _: String = redis.ask(&["FLUSHALL"]);
    assert!(within_patience(|| entries() == 2));
    // Who starts now knows it before the first request.
    let later = instance(&upstream, redis.port, "");
    for token in [&token_, &user] {
        assert_eq!(ask(&later, token).code(), "token_revoked");
    }
}

#[test]
fn a_revoked_token_does_not_come_back_with_its_signature_written_in_another_way() {
    let (key, upstream) = (Key::new("k"), Upstream::echo());
    let issuer = KeyServer::start(set(&[&key]));
    let gateway = Gateway::start(&format!(
        "auth: {{ jwt: {{ algorithm: ES256, jwks_url: \"{}\" }}, revocation: {{ mode: local }} }}\n\
         services: {{ s: {{ endpoints: [\"{}\"] }} }}\nroutes: [{{ id: all, match: {{ path: /x/* }}, service: s }}]\n",
        issuer.url(),
        upstream.url()
    ));
    // No jti: it is named by what is signed.
    let original = key.token(&json!({}));
    let (signed, _) = original.rsplit_once('.').unwrap();
    let again = format!("{signed}.{}", key.sign(signed.as_bytes()));
    assert_ne!(original, again, "ECDSA takes another number for each signature");
    passes(&gateway, &again);
    assert_eq!(revoke(&gateway, &json!({ "token": original })).status, 200);
    assert_eq!(ask(&gateway, &original).code(), "token_revoked");
    assert_eq!(ask(&gateway, &again).code(), "token_revoked");
}
