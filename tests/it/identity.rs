//! Who gets in, and who does not, whatever they send.

use super::support::{Gateway, Response, SECRET, Upstream, base64, bearer, now, within_patience};
use jsonwebtoken::{Algorithm, EncodingKey, crypto::sign};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

fn key(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name)
}

/// A token of these texts, whatever they are, signed with HS256.
fn raw(header: &str, claims: &str, secret: &str) -> String {
    let message = format!("{}.{}", base64(header.as_bytes()), base64(claims.as_bytes()));
    let signature = sign(message.as_bytes(), &EncodingKey::from_secret(secret.as_bytes()), Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// What the gateway of these tests accepts, with `changes`; null takes a claim out.
fn claims(changes: &Value) -> String {
    let mut claims = json!({ "sub": "7", "exp": now() + 600, "iss": "https://issuer.example", "aud": "portal" });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims.to_string()
}

fn token(changes: &Value) -> String {
    raw(HEADER, &claims(changes), SECRET)
}

fn part(token: &str, at: usize) -> &str {
    token.split('.').nth(at).unwrap()
}

fn gateway(upstream: &Upstream, jwt: &str) -> Gateway {
    let url = upstream.url();
    Gateway::start(&format!(
        r#"
auth: {{ jwt: {{ {jwt} }} }}
services: {{ s: {{ endpoints: ["{url}"], health: {{ probe: off }} }} }}
routes:
  - {{ id: open, match: {{ path: /open/* }}, service: s, auth: public }}
  - {{ id: api, match: {{ path: /api/* }}, service: s }}
"#
    ))
}

fn strict() -> String {
    format!("algorithm: HS256, secret: {SECRET}, issuer: \"https://issuer.example\", audience: [portal, admin]")
}

fn ask(gateway: &Gateway, lines: &str) -> Response {
    gateway.send(&[b"GET /api/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n", lines.as_bytes(), b"\r\n"].concat())
}

/// Header lines, and the code they are refused with.
fn bad_headers() -> Vec<(&'static str, String, &'static str)> {
    let good = token(&json!({}));
    let line = |value: &str| format!("Authorization: {value}\r\n");
    vec![
        ("no header", String::new(), "token_missing"),
        ("an empty header", line(""), "token_missing"),
        ("a scheme alone", line("Bearer"), "token_missing"),
        ("a scheme and blanks", line("Bearer   "), "token_missing"),
        ("another scheme", line("Basic a2ltOmtpbQ=="), "token_missing"),
        ("a token without scheme", line(&good), "token_missing"),
        ("no blank after the scheme", line(&format!("Bearer{good}")), "token_missing"),
        ("a scheme of another kind", line(&format!("Token {good}")), "token_missing"),
        ("two headers", line(&format!("Bearer {good}")).repeat(2), "token_ambiguous"),
        ("the token in a cookie", format!("Cookie: token={good}\r\n"), "token_missing"),
        ("the token under another name", format!("X-Authorization: Bearer {good}\r\n"), "token_missing"),
        ("a list of tokens", line(&format!("Bearer {good}, Bearer {good}")), "token_malformed"),
        ("a blank in the token", line(&format!("Bearer {}", good.replacen('.', ". ", 1))), "token_malformed"),
        ("a tab before the token", line(&format!("Bearer \t{good}")), "token_malformed"),
        ("quotes around the token", line(&format!("Bearer \"{good}\"")), "token_malformed"),
    ]
}

/// The same bytes, written in another way: the bits that no byte needs are not zero.
fn with_spare_bits(part: &str) -> String {
    const SIGNS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_ne!(part.len() % 4, 0, "nothing is spare");
    let (start, last) = part.split_at(part.len() - 1);
    let place = SIGNS.find(last).unwrap();
    format!("{start}{}", &SIGNS[place + 1..place + 2])
}

/// Signed as it is written, spare bits and all.
fn spare_header() -> String {
    let header = with_spare_bits(&base64(br#"{"alg":"HS256" }"#));
    let message = format!("{header}.{}", base64(claims(&json!({})).as_bytes()));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    format!("{message}.{}", sign(message.as_bytes(), &key, Algorithm::HS256).unwrap())
}

/// Tokens whose form, algorithm or signature is wrong.
fn bad_forms() -> Vec<(&'static str, String, &'static str)> {
    let good = token(&json!({}));
    let (header, body, signature) = (part(&good, 0), part(&good, 1), part(&good, 2));
    let with_header = |header: &str| raw(header, &claims(&json!({})), SECRET);
    let other = if signature.starts_with('A') { "B" } else { "A" };
    vec![
        ("one part", "a".to_owned(), "token_malformed"),
        ("two parts", format!("{header}.{body}"), "token_malformed"),
        ("four parts", format!("{good}.x"), "token_malformed"),
        ("five parts, as of a JWE", format!("{good}.x.y"), "token_malformed"),
        ("dots alone", "..".to_owned(), "token_malformed"),
        ("no signature", format!("{header}.{body}."), "token_invalid"),
        ("no claims", format!("{header}..{signature}"), "token_malformed"),
        ("a bent signature", format!("{header}.{body}.{other}{}", &signature[1..]), "token_invalid"),
        ("a short signature", format!("{header}.{body}.{}", &signature[..40]), "token_invalid"),
        (
            "other claims",
            format!("{header}.{}.{signature}", base64(claims(&json!({ "role": "admin" })).as_bytes())),
            "token_invalid",
        ),
        ("another secret", raw(HEADER, &claims(&json!({})), "another-secret-0123456789-0123456789"), "token_invalid"),
        ("an empty secret", raw(HEADER, &claims(&json!({})), ""), "token_invalid"),
        ("no algorithm at all", with_header(r#"{"typ":"JWT"}"#), "token_malformed"),
        ("the algorithm none", format!("{}.{body}.", base64(br#"{"alg":"none"}"#)), "token_algorithm"),
        ("the algorithm NonE, signed", with_header(r#"{"alg":"NonE"}"#), "token_algorithm"),
        ("an algorithm that is a number", with_header(r#"{"alg":256}"#), "token_malformed"),
        ("two algorithms", with_header(r#"{"alg":"none","alg":"HS256"}"#), "token_malformed"),
        ("HS384 in its header", with_header(r#"{"alg":"HS384"}"#), "token_algorithm"),
        ("HS512 in its header", with_header(r#"{"alg":"HS512"}"#), "token_algorithm"),
        ("RS256 in its header", with_header(r#"{"alg":"RS256"}"#), "token_algorithm"),
        ("ES256 in its header", with_header(r#"{"alg":"ES256"}"#), "token_algorithm"),
        ("a header that is no JSON", with_header("alg: HS256"), "token_malformed"),
        ("a header that is a list", with_header(r#"["HS256"]"#), "token_malformed"),
        ("critical extensions", with_header(r#"{"alg":"HS256","crit":["exp"],"exp":1}"#), "token_critical"),
        ("an empty list of them", with_header(r#"{"alg":"HS256","crit":[]}"#), "token_critical"),
        ("unencoded claims (RFC 7797)", with_header(r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#), "token_critical"),
        ("claims that are a list", raw(HEADER, "[]", SECRET), "token_malformed"),
        ("claims that are a text", raw(HEADER, "\"exp\"", SECRET), "token_malformed"),
        ("claims that are no JSON", raw(HEADER, "exp=1", SECRET), "token_malformed"),
        ("padding", format!("{header}.{body}.{signature}="), "token_malformed"),
        ("spare bits in the signature", format!("{header}.{body}.{}", with_spare_bits(signature)), "token_malformed"),
        ("spare bits in the header", spare_header(), "token_malformed"),
        ("a key id that is a number", with_header(r#"{"alg":"HS256","kid":7}"#), "token_malformed"),
        (
            "a key id of 600 bytes",
            with_header(&json!({ "alg": "HS256", "kid": "k".repeat(600) }).to_string()),
            "token_malformed",
        ),
        (
            "a claim twice, deep inside",
            raw(HEADER, &claims(&json!({})).replacen('{', r#"{"a":{"b":1,"b":2},"#, 1), SECRET),
            "token_malformed",
        ),
        (
            "the other base64 alphabet",
            format!("{header}.{body}.{}", signature.replace(['-', '_'], "+")) + "/",
            "token_malformed",
        ),
        ("more bytes than are looked at", token(&json!({ "long": "x".repeat(7_000) })), "token_too_long"),
    ]
}

/// Tokens that were signed by the right key, and are not for now or not for here.
fn bad_claims() -> Vec<(&'static str, String, &'static str)> {
    let twice = claims(&json!({ "exp": 1 })).replacen("\"exp\":1", &format!("\"exp\":1,\"exp\":{}", now() + 600), 1);
    let with = |changes: Value| token(&changes);
    vec![
        ("expired long ago", with(json!({ "exp": 1_000_000_000 })), "token_expired"),
        ("expired this second", with(json!({ "exp": now() })), "token_expired"),
        ("expired, as a fraction", with(json!({ "exp": now() as f64 - 0.5 })), "token_expired"),
        ("no exp", with(json!({ "exp": null })), "token_claims"),
        ("exp as a text", with(json!({ "exp": (now() + 600).to_string() })), "token_claims"),
        ("exp as a truth value", with(json!({ "exp": true })), "token_claims"),
        ("exp before 1970", with(json!({ "exp": -1 })), "token_claims"),
        ("exp twice", raw(HEADER, &twice, SECRET), "token_malformed"),
        ("not yet valid", with(json!({ "nbf": now() + 300 })), "token_not_yet_valid"),
        ("nbf as a text", with(json!({ "nbf": "tomorrow" })), "token_claims"),
        ("another issuer", with(json!({ "iss": "https://evil.example" })), "token_issuer"),
        ("an issuer that begins alike", with(json!({ "iss": "https://issuer.example.evil" })), "token_issuer"),
        ("an issuer in capitals", with(json!({ "iss": "HTTPS://ISSUER.EXAMPLE" })), "token_issuer"),
        ("no issuer", with(json!({ "iss": null })), "token_issuer"),
        ("an issuer that is a number", with(json!({ "iss": 7 })), "token_issuer"),
        ("another audience", with(json!({ "aud": "other" })), "token_audience"),
        ("several other audiences", with(json!({ "aud": ["other", "Portal"] })), "token_audience"),
        ("no audience", with(json!({ "aud": null })), "token_audience"),
        ("an empty list of audiences", with(json!({ "aud": [] })), "token_audience"),
        ("an audience that is an object", with(json!({ "aud": { "portal": true } })), "token_audience"),
    ]
}

#[test]
fn no_bad_token_reaches_a_service() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream, &strict());
    assert_eq!(ask(&gateway, &format!("Authorization: Bearer {}\r\n", token(&json!({})))).status, 200);
    upstream.forget();
    let bearer = |(name, token, code)| (name, format!("Authorization: Bearer {token}\r\n"), code);
    let tokens = bad_forms().into_iter().chain(bad_claims()).map(bearer);
    let rows: Vec<_> = bad_headers().into_iter().chain(tokens).collect();
    assert!(rows.len() >= 40);
    let mut wrong = Vec::new();
    for (name, lines, code) in &rows {
        // A second time too: nothing of a refusal may be remembered as a yes.
        for _ in 0..2 {
            let response = ask(&gateway, lines);
            let challenge = response.header("www-authenticate").unwrap_or_default().starts_with("Bearer");
            if (response.status, response.code().as_str(), challenge) != (401, code, true)
                || !upstream.seen().is_empty()
            {
                wrong.push(format!(
                    "{name}: {} {} instead of {code}; seen {:?}",
                    response.status,
                    response.code(),
                    upstream.seen()
                ));
            }
        }
        // Whatever is sent to a public route is neither needed nor checked.
        let open =
            gateway.send(format!("GET /open/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{lines}\r\n").as_bytes());
        assert_eq!(open.status, 200, "{name}");
        upstream.forget();
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    println!("{} bad tokens, none got through", rows.len());
}

#[test]
fn a_token_that_is_no_text_is_refused() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream, &strict());
    let mut request = b"GET /api/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer ".to_vec();
    request.extend([0xed, 0x95, 0x9c]);
    request.extend(b"\r\n\r\n");
    assert_eq!(gateway.send(&request).code(), "token_malformed");
    assert!(upstream.seen().is_empty());
}

#[test]
fn every_algorithm_is_checked_with_its_own_key_and_no_other() {
    let claims = json!({ "sub": "7", "exp": now() + 600 });
    let private = |name: &str| fs::read(key(name)).unwrap();
    let rsa = || EncodingKey::from_rsa_pem(&private("rsa.private.pem")).unwrap();
    let ec = |name: &str| EncodingKey::from_ec_pem(&private(name)).unwrap();
    let secret = || EncodingKey::from_secret(SECRET.as_bytes());
    let rows = [
        (Algorithm::HS256, secret(), ""),
        (Algorithm::HS384, secret(), ""),
        (Algorithm::HS512, secret(), ""),
        (Algorithm::RS256, rsa(), "rsa"),
        (Algorithm::RS384, rsa(), "rsa"),
        (Algorithm::RS512, rsa(), "rsa"),
        (Algorithm::PS256, rsa(), "rsa"),
        (Algorithm::PS384, rsa(), "rsa"),
        (Algorithm::PS512, rsa(), "rsa"),
        (Algorithm::ES256, ec("p256.private.pem"), "p256"),
        (Algorithm::ES384, ec("p384.private.pem"), "p384"),
        (Algorithm::EdDSA, EncodingKey::from_ed_pem(&private("ed25519.private.pem")).unwrap(), "ed25519"),
    ];
    let tokens = rows
        .each_ref()
        .map(|(algorithm, key, _)| jsonwebtoken::encode(&jsonwebtoken::Header::new(*algorithm), &claims, key).unwrap());
    let upstream = Upstream::echo();
    for (algorithm, _, name) in &rows {
        let file = key(&format!("{name}.public.pem"));
        let jwt = match name.is_empty() {
            true => format!("algorithm: {algorithm:?}, secret: {SECRET}"),
            false => format!("algorithm: {algorithm:?}, public_key_file: {}", file.display()),
        };
        let gateway = gateway(&upstream, &jwt);
        for ((other, ..), token) in rows.iter().zip(&tokens) {
            let response = ask(&gateway, &format!("Authorization: Bearer {token}\r\n"));
            let expected = if other == algorithm { (200, "") } else { (401, "token_algorithm") };
            assert_eq!((response.status, response.code().as_str()), expected, "{other:?} at {algorithm:?}");
        }
        // The public key as the secret of an HMAC: the oldest trick of all.
        if !name.is_empty() {
            let public = fs::read_to_string(&file).unwrap();
            let trick = raw(HEADER, &claims.to_string(), &public);
            assert_eq!(ask(&gateway, &format!("Authorization: Bearer {trick}\r\n")).code(), "token_algorithm");
        }
    }
}

#[test]
fn a_signature_of_zeros_is_no_signature() {
    let upstream = Upstream::echo();
    let gateway =
        gateway(&upstream, &format!("algorithm: ES256, public_key_file: {}", key("p256.public.pem").display()));
    let claims = json!({ "exp": now() + 600 }).to_string();
    let message = format!("{}.{}", base64(br#"{"alg":"ES256"}"#), base64(claims.as_bytes()));
    let response = ask(&gateway, &format!("Authorization: Bearer {message}.{}\r\n", base64(&[0; 64])));
    assert_eq!(response.code(), "token_invalid");
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_remembered_token_ends_with_its_exp() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream, &strict());
    let line = format!("Authorization: Bearer {}\r\n", token(&json!({ "exp": now() + 3 })));
    assert_eq!(ask(&gateway, &line).status, 200);
    assert!(within_patience(|| ask(&gateway, &line).code() == "token_expired"));
}

#[test]
fn leeway_is_what_the_file_says() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream, &format!("algorithm: HS256, secret: {SECRET}, leeway: 60s"));
    let with = |changes: Value| ask(&gateway, &format!("Authorization: Bearer {}\r\n", token(&changes))).status;
    assert_eq!([with(json!({ "exp": now() - 30 })), with(json!({ "nbf": now() + 30 }))], [200, 200]);
    assert_eq!([with(json!({ "exp": now() - 90 })), with(json!({ "nbf": now() + 90 }))], [401, 401]);
}

#[test]
fn roles_and_permissions_decide_by_route_and_method() {
    let upstream = Upstream::echo();
    let url = upstream.url();
    let gateway = Gateway::start(&format!(
        r#"
services: {{ s: {{ endpoints: ["{url}"], health: {{ probe: off }} }} }}
routes:
  - id: members
    match: {{ path: /members/* }}
    service: s
    access: [{{ methods: [DELETE, POST], any_role: [admin] }}, {{ methods: [POST], all_permissions: [write] }}]
  - {{ id: reports, match: {{ path: /reports }}, service: s, access: [{{ methods: [GET], any_role: [auditor] }}] }}
"#
    ));
    let (admin, member) = (bearer("admin"), bearer("member"));
    for (method, path, token, status) in [
        ("GET", "/members/1", &member, 200),
        ("DELETE", "/members/1", &member, 403),
        ("DELETE", "/members/1", &admin, 200),
        ("POST", "/members", &admin, 200),
        ("POST", "/members", &member, 403),
        ("GET", "/reports", &admin, 403),
        ("HEAD", "/reports", &admin, 403),
    ] {
        upstream.forget();
        let response = gateway.request(method, path, &[token], "");
        assert_eq!(response.status, status, "{method} {path}");
        assert_eq!(upstream.seen().is_empty(), status == 403, "{method} {path}");
        if status == 403 {
            let line = gateway.log_line(response.header("x-request-id").unwrap());
            assert_eq!((&line["code"], &line["user_id"]), (&"forbidden".into(), &"7".into()));
            assert!(line["reason"].as_str().unwrap().contains("any_role"), "{line}");
        }
    }
}

#[test]
fn keys_that_do_not_fit_are_refused_at_the_start() {
    use super::support::{Outcome, edgeway};
    let folder = tempfile::TempDir::new().unwrap();
    for (algorithm, file, words) in [
        ("RS256", "rsa.private.pem", "private key"),
        ("RS256", "rsa-1024.public.pem", "2048 bits"),
        ("RS256", "p256.public.pem", "RSA public key"),
        ("ES256", "p384.public.pem", "P-256"),
        ("ES384", "p256.public.pem", "P-384"),
        ("ES256", "rsa.public.pem", "EC public key"),
        ("EdDSA", "p256.public.pem", "Ed25519 public key"),
    ] {
        let path = folder.path().join("f.yaml");
        let text = format!("auth: {{ jwt: {{ algorithm: {algorithm}, public_key_file: {} }} }}\n", key(file).display());
        fs::write(&path, text).unwrap();
        let outcome: Outcome = edgeway(folder.path()).args(["check", "--config"]).arg(&path).output().unwrap().into();
        assert_eq!(outcome.code, Some(78), "{algorithm} {file}: {}", outcome.stdout);
        assert!(outcome.stderr.contains(words), "{algorithm} {file}: {}", outcome.stderr);
    }
}
