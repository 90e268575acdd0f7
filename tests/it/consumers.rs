//! Callers that no `Authorization: Bearer` speaks for, and tokens in other places.

use crate::support::{
    Gateway, Key, KeyServer, Publishes, Response, SECRET, Upstream, bearer, edgeway, now, set, within_patience,
};
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use std::{
    io::Write,
    process::{Command, Stdio},
};

fn gateway(upstream: &Upstream, auth: &str, route: &str) -> Gateway {
    gateway_on(upstream, "", auth, route)
}

/// With these keys of its listener.
fn gateway_on(upstream: &Upstream, listener: &str, auth: &str, route: &str) -> Gateway {
    Gateway::start(&format!(
        "listeners: [{{ address: \"127.0.0.1:0\"{listener} }}]\nauth: {auth}\n\
         services: {{ s: {{ endpoints: [\"{}\"] }} }}\n\
         routes:\n- {{ id: all, match: {{ path: /x/* }}, service: s{route} }}\n\
         - {{ id: open, match: {{ path: /open/* }}, service: s, auth: public }}\n",
        upstream.url()
    ))
}

#[track_caller]
fn code(response: &Response) -> String {
    match response.status {
        200 => "ok".to_owned(),
        _ => response.code(),
    }
}

/// What the service heard last under a name.
fn heard(upstream: &Upstream, name: &str) -> Option<String> {
    let last = upstream.seen().pop().unwrap();
    last.headers.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(text: &str) -> String {
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

/// What `edgeway hash` prints.
fn hashed(arguments: &[&str], input: &str) -> String {
    let folder = tempfile::TempDir::new().unwrap();
    let mut command: Command = edgeway(folder.path());
    let mut child = command.arg("hash").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn api_keys_are_known_by_their_hash_and_two_at_a_time() {
    let upstream = Upstream::echo();
    let made = hashed(&["--new-api-key"], "");
    let new = made.lines().next().unwrap().trim_start_matches("key:").trim();
    assert!(made.ends_with(&sha256(new)) && new.len() > 40, "{made}");
    let old = hashed(&["--api-key"], "old-key\n");
    assert_eq!(old, sha256("old-key"));
    let keys = format!(
        "{{ api_keys: {{ keys: [{{ id: partner, username: Partner, roles: [reader], claims: {{ plan: gold }}, \
         sha256: [{}, {}] }}, {{ id: other, sha256: {} }}] }}, \
         headers: {{ X-User-ID: sub, X-Username: username, X-User-Role: role, X-Plan: plan }} }}",
        sha256(new),
        old.to_uppercase(),
        sha256("other")
    );
    let gateway = gateway(&upstream, &keys, ", access: [{ any_role: [reader] }]");
    for key in [new, "old-key"] {
        assert_eq!(code(&gateway.get("/x/1", &[&format!("X-API-Key: {key}"), "X-User-ID: evil"])), "ok");
        let told = ["X-User-ID", "X-Username", "X-User-Role", "X-Plan", "X-API-Key"].map(|name| heard(&upstream, name));
        assert_eq!(
            told,
            ["partner", "Partner", "reader", "gold"]
                .map(|text| Some(text.to_owned()))
                .into_iter()
                .chain([None])
                .collect::<Vec<_>>()[..]
        );
    }
    let long = "x".repeat(600);
    for (lines, wanted) in [
        (vec![], "credentials_missing"),
        (vec!["X-API-Key: wrong".to_owned()], "api_key_invalid"),
        (vec![format!("X-API-Key: {}", sha256("old-key"))], "api_key_invalid"),
        (vec![format!("X-API-Key: {long}")], "api_key_invalid"),
        (vec!["X-API-Key: old-key".to_owned(), "X-API-Key: old-key".to_owned()], "token_ambiguous"),
        (vec!["X_API_Key: old-key".to_owned()], "credentials_missing"),
        (vec!["X-API-Key: other".to_owned()], "forbidden"),
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(code(&gateway.get("/x/1", &lines)), wanted, "{lines:?}");
    }
    // Nobody else hears of a key, on public routes neither.
    assert_eq!(code(&gateway.get("/open/1", &[&format!("X-API-Key: {new}")])), "ok");
    assert_eq!(heard(&upstream, "X-API-Key"), None);
    assert!(within_patience(|| gateway.access_log().iter().any(|line| line["user_id"] == "partner")));
    assert!(!gateway.stderr().contains("old-key"));
}

#[test]
fn passwords_are_checked_and_kept_on_this_side() {
    let upstream = Upstream::echo();
    let hash = hashed(&[], "Grüße: ja\n");
    assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
    let users = format!("{{ basic: {{ users: [{{ username: kim, password_hash: '{hash}', roles: [admin] }}] }} }}");
    let gateway = gateway(&upstream, &users, "");
    let basic = |name: &str, password: &str| {
        use base64::{Engine, engine::general_purpose::STANDARD};
        format!("Authorization: Basic {}", STANDARD.encode(format!("{name}:{password}")))
    };
    for _ in 0..3 {
        assert_eq!(code(&gateway.get("/x/1", &[&basic("kim", "Grüße: ja")])), "ok");
        assert_eq!((heard(&upstream, "X-User-ID"), heard(&upstream, "Authorization")), (Some("kim".to_owned()), None));
    }
    for (name, password) in [("kim", "wrong"), ("Kim", "Grüße: ja"), ("nobody", "x"), ("", ""), ("kim", "")] {
        let response = gateway.get("/x/1", &[&basic(name, password)]);
        assert_eq!((response.status, code(&response).as_str()), (401, "password_invalid"), "{name}");
        assert_eq!(response.header("www-authenticate"), Some("Basic realm=\"edgeway\", charset=\"UTF-8\""));
    }
    for line in [
        "Authorization: Basic !!!",
        "Authorization: Basic a2lt",
        &format!("Authorization: Basic {}", "A".repeat(2_000)),
    ] {
        assert_eq!(code(&gateway.get("/x/1", &[line])), "password_invalid");
    }
    assert_eq!(code(&gateway.get("/x/1", &[])), "credentials_missing");
}

#[test]
fn a_route_names_whom_it_takes() {
    let upstream = Upstream::echo();
    let auth = format!(
        "{{ jwt: {{ algorithm: HS256, secret: {SECRET} }}, api_keys: {{ keys: [{{ id: machine, sha256: {} }}] }} }}",
        sha256("k")
    );
    let (token, key) = (bearer("admin"), "X-API-Key: k".to_owned());
    for (route, with_token, with_key, with_nothing) in [
        ("", "ok", "ok", "token_missing"),
        (", auth: required", "ok", "ok", "token_missing"),
        (", auth: jwt", "ok", "token_missing", "token_missing"),
        (", auth: [api_key]", "credentials_missing", "ok", "credentials_missing"),
        (", auth: [api_key, jwt]", "ok", "ok", "token_missing"),
        (", auth: optional", "ok", "ok", "ok"),
    ] {
        let gateway = gateway(&upstream, &auth, route);
        let got = [vec![token.as_str()], vec![key.as_str()], vec![]].map(|lines| code(&gateway.get("/x/1", &lines)));
        assert_eq!(got, [with_token, with_key, with_nothing], "{route}");
        // Optional is not careless: what is sent has to be right.
        assert_ne!(code(&gateway.get("/x/1", &["Authorization: Bearer x", "X-API-Key: wrong"])), "ok", "{route}");
    }
}

/// The lines of a handshake, and these.
fn with<'l>(lines: &[&'l str]) -> Vec<&'l str> {
    let handshake = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
    [&handshake[..], &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="], lines].concat()
}

#[test]
fn tokens_are_found_where_the_file_says_and_taken_out_again() {
    let upstream = Upstream::echo();
    let auth = |more: &str| {
        format!(
            "{{ jwt: {{ algorithm: HS256, secret: {SECRET} }}, token: {{ header: X-Token, cookie: session, query: token, \
             subprotocol: bearer.{more} }} }}"
        )
    };
    let token = bearer("admin").replace("Authorization: Bearer ", "");
    let (kept, stripped) = (gateway(&upstream, &auth(""), ""), gateway(&upstream, &auth(", strip: true"), ""));
    for gateway in [&kept, &stripped] {
        let out = std::ptr::eq(gateway, &raw const stripped);
        for line in [format!("X-Token: {token}"), format!("X-Token: Bearer {token}")] {
            assert_eq!(code(&gateway.get("/x/1", &[&line])), "ok");
            assert_eq!(heard(&upstream, "X-Token").is_none(), out);
        }
        assert_eq!(code(&gateway.get("/x/1", &[&format!("Cookie: a=1; session={token}; b=2")])), "ok");
        let cookie = heard(&upstream, "Cookie").unwrap();
        assert_eq!(cookie == "a=1; b=2", out, "{cookie}");
        assert_eq!(code(&gateway.get("/x/1", &[&format!("Cookie: session={token}")])), "ok");
        assert_eq!(heard(&upstream, "Cookie").is_none(), out);

        // A query is written into logs everywhere: only where a page cannot do otherwise, and never to the service.
        assert_eq!(code(&gateway.get(&format!("/x/1?token={token}"), &[])), "token_missing");
        let path = format!("/x/1?a=1&token={token}&b=2");
        assert_eq!(code(&gateway.get(&path, &with(&[]))), "ok");
        assert_eq!(upstream.seen().pop().unwrap().line, "GET /x/1?a=1&b=2 HTTP/1.1");
        assert_eq!(code(&gateway.get(&format!("/x/1?token={token}"), &with(&[]))), "ok");
        assert_eq!(upstream.seen().pop().unwrap().line, "GET /x/1 HTTP/1.1");
        let protocols = format!("Sec-WebSocket-Protocol: chat, bearer.{token}");
        assert_eq!(code(&gateway.get("/x/1", &with(&[&protocols]))), "ok");
        assert_eq!(heard(&upstream, "Sec-WebSocket-Protocol").as_deref(), Some("chat"));

        for (path, lines) in [
            (format!("/x/1?token={token}&token={token}"), with(&[])),
            ("/x/1".to_owned(), with(&[&protocols, &protocols])),
            ("/x/1".to_owned(), vec![&*format!("X-Token: {token}"); 2]),
            ("/x/1".to_owned(), vec![&*format!("Cookie: session={token}; session={token}")]),
        ] {
            assert_eq!(code(&gateway.get(&path, &lines)), "token_ambiguous", "{lines:?}");
        }
        // Not where nobody looks for it.
        assert_eq!(code(&gateway.get("/x/1", &[&format!("Authorization: Bearer {token}")])), "token_missing");
        assert!(gateway.access_log().iter().all(|line| !line.to_string().contains(&token)));
    }
}

#[test]
fn claims_of_other_issuers_are_found_by_their_paths() {
    let upstream = Upstream::echo();
    let issuer_key = Key::new("k");
    let issuer = KeyServer::start(set(&[&issuer_key]));
    let auth = format!(
        "{{ jwt: {{ algorithm: ES256, jwks_url: \"{}\" }}, \
         claims: {{ id: sub, username: preferred_username, roles: realm_access.roles, permissions: scope }}, \
         headers: {{ X-User-ID: sub, X-Username: preferred_username, X-User-Role: realm_access.roles, \
         X-User-Permissions: scope, X-Team: teams.0.name }} }}",
        issuer.url()
    );
    let gateway = gateway(&upstream, &auth, ", access: [{ any_role: [editor], all_permissions: [read] }]");
    let claims = json!({ "preferred_username": "김", "realm_access": { "roles": ["viewer", "editor"] },
        "scope": "openid read", "teams": [{ "name": "sales" }, { "name": "support" }] });
    assert_eq!(code(&gateway.get("/x/1", &[&format!("Authorization: Bearer {}", issuer_key.token(&claims))])), "ok");
    let told =
        ["X-User-Role", "X-User-Permissions", "X-Team", "X-Username"].map(|name| heard(&upstream, name).unwrap());
    assert_eq!(told, ["viewer,editor", "openid,read", "sales", "%EA%B9%80"]);
    let without = json!({ "realm_access": { "roles": ["viewer"] }, "scope": "read", "role": "editor" });
    let token = issuer_key.token(&without);
    assert_eq!(code(&gateway.get("/x/1", &[&format!("Authorization: Bearer {token}")])), "forbidden");
}

/// As a balancer writes it: base64url with padding, and what it says about itself in the header.
fn signed_by_balancer(key: &Key, header: &Value, claims: &Value) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE};
    let message = format!("{}.{}", URL_SAFE.encode(header.to_string()), URL_SAFE.encode(claims.to_string()));
    let signature = key.sign(message.as_bytes());
    let padding = "=".repeat((4 - signature.len() % 4) % 4);
    format!("{message}.{signature}{padding}")
}

#[test]
fn whom_a_balancer_has_signed_in_is_known_where_the_balancer_is_trusted() {
    let upstream = Upstream::echo();
    let (key, forger) = (Key::new("aaaa-bbbb"), Key::new("aaaa-bbbb"));
    let keys = KeyServer::start(Publishes::Keys(Value::String(key.pem.clone())));
    let arn = "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/portal/1";
    let auth = format!("{{ alb: {{ signer: \"{arn}\", keys_url: \"http://{}\" }} }}", keys.address);
    let trusted = gateway_on(&upstream, ", trusted_proxies: [127.0.0.1]", &auth, ", auth: alb");
    let header = |changes: &Value| {
        let mut all = json!({ "typ": "JWT", "alg": "ES256", "kid": "aaaa-bbbb", "signer": arn, "client": "c",
            "iss": "https://idp.example", "exp": now() + 120 });
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        all
    };
    let claims = json!({ "sub": "7", "username": "kim", "role": "admin" });
    let data = |key: &Key, changes: &Value| {
        format!("x-amzn-oidc-data: {}", signed_by_balancer(key, &header(changes), &claims))
    };
    let good = data(&key, &json!({}));
    assert!(good.ends_with('=') || good.contains("=."), "padded as the balancer does");
    for _ in 0..3 {
        assert_eq!(code(&trusted.get("/x/1", &[&good])), "ok");
    }
    assert_eq!(heard(&upstream, "X-User-ID").as_deref(), Some("7"));
    assert_eq!(keys.paths(), ["/aaaa-bbbb"], "fetched once");
    for (what, line, wanted) in [
        ("forged", data(&forger, &json!({})), "token_invalid"),
        ("another balancer", data(&key, &json!({ "signer": format!("{arn}2") })), "token_issuer"),
        ("no balancer", data(&key, &json!({ "signer": null })), "token_issuer"),
        ("over", data(&key, &json!({ "exp": now() - 1 })), "token_expired"),
        ("no end", data(&key, &json!({ "exp": "never" })), "token_claims"),
        ("another algorithm", data(&key, &json!({ "alg": "none" })), "token_algorithm"),
        ("a path for a key", data(&key, &json!({ "kid": "../../evil" })), "token_malformed"),
        ("an address for a key", data(&key, &json!({ "kid": "http://evil.example/k" })), "token_malformed"),
        ("nothing", "x-other: 1".to_owned(), "credentials_missing"),
    ] {
        assert_eq!(code(&trusted.get("/x/1", &[&line])), wanted, "{what}");
    }
    assert_eq!(code(&trusted.get("/x/1", &[&good, &good])), "token_ambiguous");
    // Made-up key ids: a few fetches, then none.
    for number in 0..20 {
        _ = trusted.get("/x/1", &[&data(&key, &json!({ "kid": format!("made-up-{number}") }))]);
    }
    assert!(keys.paths().len() <= 5, "{:?}", keys.paths());
    // A token of the balancer is no bearer token, and whoever is no trusted proxy cannot say who they are.
    let untrusted = gateway(&upstream, &auth, ", auth: alb");
    assert_eq!(code(&untrusted.get("/x/1", &[&good])), "credentials_missing");
}
