use super::*;
use tempfile::TempDir;

const SECRET: &str = "unit-tests-0123456789-0123456789";

const GOOD: &str = r#"
server: { name: "${NAME:-Edgeway}", threads: "${THREADS:-2}" }
auth:
  jwt:
    algorithm: HS256
    secret: ${KEY}
  remember: ${REMEMBER:-7}
services:
  members: { endpoints: ["127.0.0.1:9001"], retry: { attempts: 2 } }
routes:
  - { id: members, match: { path: /api/members/* }, service: members }
  - id: me
    match: { path: /api/me }
    respond: { body: hi }
    auth: public
"#;

fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    let set = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Config::parse(text, "f.yaml", &set)
}

fn changed(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(GOOD.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

#[track_caller]
fn good(text: &str) -> Loaded {
    parse(text, &[("KEY", SECRET)]).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Exactly these errors, in this order.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let found = parse(text, &[("KEY", SECRET)]).map(|loaded| format!("fine: {loaded:?}"));
    let found = found.unwrap_or_else(|errors| errors.to_string());
    assert_eq!(found.lines().collect::<Vec<_>>(), expected, "\n{found}\n");
}

#[track_caller]
fn warnings(text: &str, expected: &[&str]) {
    assert_eq!(good(text).warnings, expected);
}

#[test]
fn a_variable_is_one_value_whatever_it_holds() {
    for key in ["plain", "12345", "true", "a: b # c", "\"\n- x", "${HOME}", "*&!|>%@`", "null", "{}"] {
        let key = format!("{key}{SECRET}");
        let loaded = parse(GOOD, &[("KEY", &key), ("NAME", "true"), ("REMEMBER", " 9 ")]).unwrap();
        let config = &loaded.config;
        assert_eq!(config.auth.jwt.as_ref().unwrap().secret.as_ref().unwrap().expose(), key);
        assert_eq!((config.server.name.as_str(), config.server.threads, config.auth.remember), ("true", 2, 9));
    }
}

#[test]
fn variables_have_defaults_and_defaults_have_variables() {
    for (written, read) in [
        ("${A}", "a"),
        ("${A:-x}", "a"),
        ("${B:-x}", "x"),
        ("${EMPTY:-x}", "x"),
        ("${B:-${A}}", "a"),
        ("${B:-${C:-x}}", "x"),
        ("${B:-${C:-x}y}z", "xyz"),
        ("<${A}|${A}>", "<a|a>"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$5 {A} $", "$5 {A} $"),
        ("${NESTED}", "${A}"),
        ("${B:-a:-b}", "a:-b"),
        ("x${B:-}", "x"),
    ] {
        let text = format!("server: {{ name: \"{written}\" }}");
        let loaded = parse(&text, &[("A", "a"), ("EMPTY", ""), ("NESTED", "${A}")]).unwrap();
        assert_eq!(loaded.config.server.name, read, "{written}");
    }
}

#[test]
fn what_is_wrong_with_a_variable_is_said_with_its_place() {
    let missing = "f.yaml:1:17: server.name: variable B is not set; set it, or write ${B:-default}";
    for (written, said) in [
        ("${B}", missing),
        ("${KEY:-x}${B}", missing),
        ("${KEY", "f.yaml:1:17: server.name: ${ without }; close it, or write $${ for a plain ${"),
        (
            "${a-b}",
            "f.yaml:1:17: server.name: not the name of a variable in ${…}; use letters, digits and _, or write $${ for a \
             plain ${",
        ),
    ] {
        check(&format!("server: {{ name: \"{written}\" }}"), &[said]);
    }
    check(
        "server: { name: ${KEY} }",
        &[
            "f.yaml:1:18: file: not YAML: while parsing a flow mapping, did not find expected ',' or '}'; between { } a \
           ${NAME} needs quotes: \"${NAME}\"",
        ],
    );
}

#[test]
fn a_value_whose_variables_are_empty_counts_as_not_given() {
    let text = "redis: { password: \"${P:-}\", host: \"${H:-}\" }\nlisteners: [{ trusted_proxies: \"${T:-}\" }]\n\
                services: { s: { endpoints: [\"${A:-}\", \"b:1\"] } }\n";
    let loaded = good(text);
    assert_eq!((loaded.config.redis.password.as_ref(), loaded.config.redis.host.as_str()), (None, "redis"));
    assert!(loaded.config.listeners[0].trusted_proxies.is_empty());
    assert_eq!(loaded.config.services.values().next().unwrap().endpoints.len(), 1);
    check(
        &changed(&[("endpoints: [\"127.0.0.1:9001\"]", "endpoints: \"${URL:-}\"")]),
        &["f.yaml:9:14: services.members.endpoints: variable URL is not set; set it"],
    );
}

#[test]
fn texts_of_variables_become_what_the_schema_asks_for() {
    let text = "server: { debug: \"${D}\", version: \"${V}\" }\nlog: { level: \"${L}\" }\nlimits: { window: \"${W}\" }\n\
                services: { s: { endpoints: \"${S}\" } }\n";
    for (debug, is) in [("true", true), ("True", true), ("1", true), ("no", false), ("FALSE", false)] {
        let variables = [("D", debug), ("V", "2.0"), ("L", "WARNING"), ("W", "90"), ("S", "a:1, b:2,")];
        let config = parse(text, &variables).unwrap().config;
        assert_eq!((config.server.debug, config.server.version.as_str()), (is, "2.0"));
        assert_eq!(config.log.level, crate::observability::LogLevel::Warn);
        assert_eq!(config.limits.window, crate::types::Span::seconds(90));
        assert_eq!(config.services.values().next().unwrap().endpoints.len(), 2);
    }
    // What stands in the file itself is taken as it is.
    check(
        "server: { debug: \"true\" }",
        &["f.yaml:1:11: server.debug: this text does not fit here; write true or false"],
    );
    check(
        "server: { version: 2.0 }",
        &["f.yaml:1:11: server.version: this number does not fit here; write a text (a number or true in quotes)"],
    );
}

#[test]
fn every_error_is_found_in_one_run_with_its_place_and_remedy() {
    check(
        &changed(&[
            ("server:", "sever: 1\nhttp3: true\nserver:"),
            ("HS256", "HS265"),
            ("${KEY}", "${SECRET}"),
            ("attempts: 2", "attempts: 9"),
            ("service: members", "service: member"),
            ("respond: { body: hi }", "respond: { bdy: hi, status: 99 }"),
        ]),
        &[
            "f.yaml:2:1: sever: unknown key; did you mean \"server\"?",
            "f.yaml:3:1: http3: not offered: pingora has no HTTP/3, and load balancers speak HTTP/1.1 and h2 to their \
             targets; see the README",
            "f.yaml:7:5: auth.jwt.algorithm[0]: no such value: \"HS265\"; did you mean \"HS256\"?",
            "f.yaml:8:13: auth.jwt.secret: variable SECRET is not set; set it, or write ${SECRET:-default}",
            "f.yaml:11:54: services.members.retry.attempts: out of range; write a whole number from 1 to 8",
            "f.yaml:13:53: routes[0].service: no service named \"member\"; did you mean \"members\"?",
            "f.yaml:16:16: routes[1].respond.bdy: unknown key; did you mean \"body\"?",
            "f.yaml:16:25: routes[1].respond.status: out of range; write a whole number from 200 to 599",
        ],
    );
}

#[test]
fn values_of_the_wrong_shape_are_answered_with_the_right_one() {
    let span = "write a length of time such as 250ms, 10s, 5m, 1h or 1d (a plain number means seconds)";
    let endpoint = "write an address such as http://member-service:8001, or { address: …, weight: … }";
    for (text, said) in [
        (
            "max_body: huge",
            "1:1: max_body: not understood; write a size such as 16KiB, 10MiB or 1GiB (a plain number means bytes)",
        ),
        ("cors: { max_age: soon }", &format!("1:9: cors.max_age: not understood; {span}")),
        (
            "timeouts:",
            "1:1: timeouts: empty; take the key out, or write keys with values, of connect, attempt, request, idle, total, max_stream_age",
        ),
        ("timeouts: { idle: 0s }", "1:13: timeouts.idle: out of range; write more than 0s"),
        ("limits: { mode: fast }", "1:11: limits.mode: fast is not built yet; write exact or local"),
        ("limits: { window: 32d }", "1:11: limits.window: out of range; write 1s to 31d"),
        ("health: { interval: 99ms }", "1:11: health.interval: out of range; write at least 100ms"),
        ("listeners: []", "1:1: listeners: wrong number of entries; write 1 to 32"),
        (
            "listeners: [{ max_connection_age: 999ms }]",
            "1:15: listeners[0].max_connection_age: out of range; write at least 1s",
        ),
        (
            "listeners: [{ keepalive_timeout: 999ms }]",
            "1:15: listeners[0].keepalive_timeout: out of range; write at least 1s",
        ),
        (
            "listeners: [{ trusted_proxies: \"10.0.0.0/8, 10.0.0.0/33\" }]",
            "1:15: listeners[0].trusted_proxies[1]: not understood; write an address range such as 10.0.0.0/8, or one address",
        ),
        (
            "listeners: [{ proxy_protocol: true }]",
            "1:15: listeners[0].proxy_protocol: nobody may write a PROXY protocol header; name the balancers in \
             trusted_proxies",
        ),
        (
            "listeners: [{ addresses: { deny_file: /nowhere/list } }]",
            "1:28: listeners[0].addresses.deny_file: there is no such file; write it, or mend the path",
        ),
        (
            "listeners: [{ addresses: { allow: [10.0.0.0/8, everybody] } }]",
            "1:48: listeners[0].addresses.allow[1]: not understood; write an address range such as 10.0.0.0/8, or one address",
        ),
        (
            "services: { s: { endpoints: [5] } }",
            &format!("1:30: services.s.endpoints[0]: this number does not fit here; {endpoint}"),
        ),
        ("services: { s: { endpoints: [] } }", "1:18: services.s.endpoints: no endpoint; write at least one address"),
        (
            "services: { s: { endpoints: [{ adress: a, address: b }] } }",
            "1:32: services.s.endpoints[0].adress: unknown key; did you mean \"address\"?",
        ),
        ("services: { s: {} }", "1:13: services.s: no endpoint; add endpoints, or endpoints_file"),
        (
            "services: { \"a b\": { endpoints: \"a:1\" } }",
            "1:13: services.a b: not a name; use letters, digits, -, _ and ., up to 64",
        ),
        ("redis: { port: 65536 }", "1:10: redis.port: out of range; write a whole number from 1 to 65535"),
        ("routes: { a: b }", "1:1: routes: a section with keys does not fit here; write a list: - one, - two"),
        (
            "hello",
            "1:1: file: this text does not fit here; write keys with values, of server, listeners, log, admin, redis, \
                   own, auth, ext_auth, cors, security_headers, limits, max_body, timeouts, health, dns, services, routes",
        ),
    ] {
        check(text, &[&format!("f.yaml:{said}")]);
    }
}

#[test]
fn contradictions_within_routes_are_found() {
    let route = |line: &str| changed(&[("  - id: me\n", &format!("{line}\n  - id: me\n"))]);
    for (line, said) in [
        (
            "  - { id: members, match: { path: /x }, service: members }",
            "12:7: routes[1].id: routes[0] at f.yaml:11:7 is called \"members\" too; choose another name",
        ),
        (
            "  - { id: x, match: { path: /api/members/* }, service: members }",
            "12:14: routes[1].match: never reached, because route members takes the same requests; remove or change one",
        ),
        (
            "  - { id: x, match: { path: /x } }",
            "12:5: routes[1]: does nothing; add one of service, redirect and respond",
        ),
        (
            "  - { id: x, match: { path: /x }, service: members, redirect: { to: /y } }",
            "12:53: routes[1].redirect: service is there too; keep one of service, redirect and respond",
        ),
        ("  - { id: x, match: { path: x }, service: members }", "12:23: routes[1].match.path: a path begins with /"),
        (
            "  - { id: x/y, match: { path: /x }, service: members }",
            "12:7: routes[1].id: not a name; use letters, digits, -, _ and ., up to 64",
        ),
        (
            "  - { id: x, match: { path: /x }, service: members, auth: public, access: [{ any_role: a }] }",
            "12:67: routes[1].access: a public route knows no caller; remove access, or auth: public",
        ),
        (
            "  - { id: x, match: { path: /x }, service: members, rewrite: { strip_prefx: /x } }",
            "12:64: routes[1].rewrite.strip_prefx: unknown key; did you mean \"strip_prefix\"?",
        ),
        (
            "  - { id: x, match: { path: /x }, service: members, rewrite: { path: /x, strip_prefix: /x } }",
            "12:53: routes[1].rewrite: several keys where one can be; write one of strip_prefix, replace_prefix, path",
        ),
        (
            "  - { id: x, match: { path: /x }, service: members, rewrite: { path: 5 } }",
            "12:64: routes[1].rewrite.path: this number does not fit here; write a text (a number or true in quotes)",
        ),
    ] {
        check(&route(line), &[&format!("f.yaml:{said}")]);
    }
    check(
        "services: { s: { endpoints: \"a:1\" } }\nroutes: [{ id: x, match: { path: /x }, service: s }]",
        &[
            "f.yaml:2:10: routes[0]: needs a token, and there is no auth.jwt to check it; add auth.jwt, or auth: public here",
        ],
    );
}

#[test]
fn keys_must_fit_the_algorithm_and_be_one() {
    let jwt = |keys: &str, algorithm: &str| format!("auth: {{ jwt: {{ algorithm: {algorithm}, {keys} }} }}");
    for (keys, algorithm, said) in [
        ("leeway: 0", "HS256", "1:9: auth.jwt: no key for HS256; add one of secret, secrets, secret_file"),
        ("secret: \"${EMPTY:-}\"", "HS256", "1:34: auth.jwt.secret: variable EMPTY is not set; set it: HS256 needs it"),
        (
            "public_key: \"${EMPTY:-}\", secret: \"${KEY}\"",
            "RS256",
            "1:34: auth.jwt.public_key: variable EMPTY is not set; set it: RS256 needs it",
        ),
        (
            "secret: \"${KEY}\", secret_file: x",
            "HS256",
            "1:52: auth.jwt.secret_file: secret is there too; keep one of secret, secrets, secret_file",
        ),
        (
            "secret: \"${KEY}\", public_key: x",
            "HS256",
            "1:52: auth.jwt.public_key: no key for HS256; it needs one of secret, secrets, secret_file",
        ),
        ("secret: \"${KEY}\", leeway: 301", "HS256", "1:52: auth.jwt.leeway: out of range; write at most 5m"),
        ("secrets: [a, b, c]", "HS256", "1:34: auth.jwt.secrets: wrong number of entries; write at most 2"),
    ] {
        check(&jwt(keys, algorithm), &[&format!("f.yaml:{said}")]);
    }
    // The variables of both kinds may be set at once.
    let pem = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/p256.public.pem");
    let both = good(&jwt(&format!("secret: \"${{KEY}}\", public_key_file: \"${{FILE:-{pem}}}\""), "ES256"));
    let both = both.config.auth.jwt.clone().unwrap();
    assert_eq!((both.secret, both.public_key_file.as_deref()), (None, Some(pem)));
}

#[test]
fn yaml_that_hides_things_is_refused() {
    for (text, said) in [
        ("", "1:1: file: the file is empty; conf/minimal.yaml shows the least that is useful"),
        ("# nothing\n---\n", "3:1: file: the file is empty; conf/minimal.yaml shows the least that is useful"),
        ("max_body: 1\nmax_body: 2", "2:1: max_body: this key is there twice; keep one"),
        ("server: &a { threads: 1 }", "1:9: server: anchors and aliases (& and *) are not read; repeat the value"),
        ("max_body: !!int 5", "1:11: max_body: tags (!) are not read; write the value alone, or in quotes"),
        ("max_body: 5\n---\nmax_body: 6", "2:1: file: not YAML: a second document begins; keep one per file"),
        ("? [a]\n: b", "1:3: file: not YAML: a key is a plain word"),
    ] {
        check(text, &[&format!("f.yaml:{said}")]);
    }
    let deep = format!("server: {}{}", "[".repeat(60), "]".repeat(60));
    let said = parse(&deep, &[]).unwrap_err().to_string();
    assert!(said.contains("values lie too deep within each other"), "{said}");
}

#[test]
fn no_error_repeats_what_may_be_secret() {
    let text = "redis: { password: { a: \"${KEY}\" }, db: \"${KEY}\", retry_on_timeout: \"${KEY}\" }\nlog: { level: \"${KEY}\" }\n\
                max_body: \"${KEY}\"\nlisteners: [{ address: \"${KEY}\", trusted_proxies: \"${KEY}\" }]\n\
                services: { s: { endpoints: [{ address: a, weight: \"${KEY}\" }], balancer: \"${KEY}\" } }\n";
    let errors = parse(text, &[("KEY", "hunter2-hunter2")]).unwrap_err();
    assert_eq!(errors.0.len(), 9, "{errors}");
    assert!(!errors.to_string().contains("hunter2"), "{errors}");
}

#[test]
fn a_folder_is_one_configuration() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let route = |id: &str, service: &str| {
        format!("routes:\n  - {{ id: {id}, match: {{ path: /{id} }}, service: {service}, auth: public }}\n")
    };
    write(
        "10-a.yaml",
        &format!("timeouts: {{ request: 5s }}\nservices: {{ a: {{ endpoints: \"a:1\" }} }}\n{}", route("a", "a")),
    );
    write(
        "20-b.yml",
        &format!("timeouts: {{ idle: 6s }}\nservices: {{ b: {{ endpoints: \"b:1\" }} }}\n{}", route("b", "b")),
    );
    write("30-empty.yaml", "# nothing yet\n");
    write("notes.txt", "not: [yaml");
    let loaded = Config::load(folder.path()).unwrap();
    let ids: Vec<&str> = loaded.config.routes.iter().map(|route| route.id.as_str()).collect();
    assert_eq!((ids, loaded.config.services.len()), (vec!["a", "b"], 2));
    assert!(loaded.config.timeouts.request.is_some() && loaded.config.timeouts.idle.is_some());
    assert_eq!(loaded.sources.name(), folder.path().display().to_string());

    write("30-c.yaml", &format!("timeouts: {{ idle: 7s }}\n{}", route("b", "c")));
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (b, c) = (at("20-b.yml"), at("30-c.yaml"));
    let expected = [
        format!("{c}:1:13: timeouts.idle: given at {b}:1:13 too; keep one"),
        format!("{c}:3:7: routes[2].id: routes[1] at {b}:4:7 is called \"b\" too; choose another name"),
        format!(
            "{c}:3:14: routes[2].match: never reached, because route b takes the same requests; remove or change one"
        ),
        format!("{c}:3:35: routes[2].service: no service named \"c\"; known: a, b"),
    ];
    let found = Config::load(folder.path()).unwrap_err().to_string();
    assert_eq!(found.lines().collect::<Vec<_>>(), expected, "\n{found}");
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_with_the_cause() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("f.yaml");
    let said = |path: &Path| Config::load(path).unwrap_err().to_string();
    assert_eq!(
        said(folder.path()),
        format!("{}:1:1: file: no *.yaml file in this folder; write one", folder.path().display())
    );
    assert!(said(&file).starts_with(&format!("{}:1:1: file: No such file", file.display())));
    fs::write(&file, [0xff, 0xfe]).unwrap();
    assert_eq!(said(&file), format!("{}:1:1: file: not UTF-8; save it as UTF-8", file.display()));
}

#[test]
fn a_dot_env_file_is_read_and_its_errors_name_the_line() {
    let environment =
        Environment::parse("# comment\nEDGEWAY_TEST_A=\"x y\"\nexport EDGEWAY_TEST_B='${Z}'\nPATH=other\n").unwrap();
    assert_eq!(environment.get("EDGEWAY_TEST_A").as_deref(), Some("x y"));
    assert_eq!(environment.get("EDGEWAY_TEST_B").as_deref(), Some("${Z}"));
    assert_ne!(environment.get("PATH").as_deref(), Some("other"), "the environment wins");
    let said = Environment::parse("A=1\n\nSECRET=hunter2 hunter3\n").err().unwrap().to_string();
    assert!(said.starts_with(".env:3:1: file: not a line of NAME=value") && !said.contains("hunter"), "{said}");
}

#[test]
fn what_is_unwise_is_refused_in_production_and_warned_about_elsewhere() {
    let jwt = |secret: &str| format!("auth: {{ jwt: {{ algorithm: HS256, secret: {secret} }} }}\n");
    let sample =
        "f.yaml:1:34: auth.jwt.secret: a sample secret, which everybody knows; make one with: openssl rand -hex 32";
    let short = "f.yaml:1:34: auth.jwt.secret: shorter than 32 bytes, so that it can be guessed; make one with: openssl rand -hex 32";
    for (secret, said) in [
        ("change-me", sample),
        ("Secret", sample),
        ("your-secret-key-change-in-production", sample),
        ("a123456789", short),
    ] {
        warnings(&jwt(secret), &[said]);
        check(&format!("{}server: {{ environment: Production }}", jwt(secret)), &[said]);
    }
    let debug = "f.yaml:1:11: server.debug: debug logs are on; switch them off for real traffic";
    warnings("server: { debug: true }", &[debug]);
    check("server: { debug: true, environment: production }", &[debug]);
    warnings(&jwt(SECRET), &[]);
}

#[test]
fn advice_is_given_where_times_and_proxies_do_not_fit() {
    for (text, said) in [
        (
            "listeners: [{ trusted_proxies: 10.0.0.0/8, keepalive_timeout: 60s }]",
            "1:44: listeners[0].keepalive_timeout: a balancer that keeps connections for 60s sends requests into closed ones; write more than 60s",
        ),
        (
            "listeners: [{ trusted_proxies: 10.0.0.0/8, keepalive_timeout: 60900ms }]",
            "1:44: listeners[0].keepalive_timeout: a balancer that keeps connections for 60s sends requests into closed ones; write more than 60s",
        ),
        (
            "listeners: [{ max_connection_age: 74s }]",
            "1:15: listeners[0].max_connection_age: shorter than keepalive_timeout: a connection that was idle once ends with its next answer; write 10m or more",
        ),
        (
            "listeners: [{ max_requests_per_connection: 99 }]",
            "1:15: listeners[0].max_requests_per_connection: so few that connections cost more than their requests; write 100 or more",
        ),
        (
            "listeners: [{ trusted_proxies: [\"0.0.0.0/0\"] }]",
            "1:15: listeners[0].trusted_proxies: everybody may say who they are; name the addresses of your balancers",
        ),
        (
            "timeouts: { request: 31s }",
            "1:1: server.drain.deadline: requests may take 31s and are cut at a restart; write at least 36s",
        ),
        (
            "server: { upstream_idle_connections_per_host: 20 }",
            "1:11: server.upstream_idle_connections_per_host: accepted without effect: pingora keeps one idle pool for all endpoints",
        ),
    ] {
        warnings(text, &[&format!("f.yaml:{said}")]);
    }
    warnings("listeners: [{ keepalive_timeout: 5s }]", &[]);
    warnings("listeners: [{ max_connection_age: 1h, max_requests_per_connection: 1000 }]", &[]);
}

#[test]
fn keys_with_slashes_and_tildes_keep_their_places() {
    check(
        &changed(&[("path: /api/me }", "path: /api/me, headers: { \"a/b~c\": 5 } }")]),
        &[
            "f.yaml:13:40: routes[1].match.headers.a/b~c: this number does not fit here; write a text (a number or true in quotes)",
        ],
    );
}
