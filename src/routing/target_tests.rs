use super::*;

fn head(raw: &str, host: &str) -> RequestHeader {
    let mut head = RequestHeader::build("GET", raw.as_bytes(), None).unwrap();
    head.insert_header("host", host).unwrap();
    head
}

#[track_caller]
fn check(raw: &str, expected: Result<&str, TargetError>) {
    let mut head = head(raw, "A.example:8080");
    let target = Target::normalise(&head);
    let found = target.as_ref().map(|target| target.uri.to_string()).map_err(|error| *error);
    assert_eq!(found, expected.map(str::to_owned), "{raw}");
    if let Ok(target) = target {
        target.write_back(&mut head);
        assert_eq!(head.raw_path(), target.uri.to_string().as_bytes());
        assert_eq!(target.host(), "a.example");
    }
}

#[test]
fn one_form_for_every_spelling() {
    for (raw, normal) in [
        ("/", "/"),
        ("/api/members?a=%2F", "/api/members?a=%2F"),
        ("/%61pi//members/./7/../8", "/api/members/8"),
        ("/api/auth/login/%2e%2E/%2e./members", "/api/members"),
        ("/../../etc", "/etc"),
        ("//", "/"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/..", "/"),
        ("/a//", "/a/"),
        ("/%ed%95%9c", "/%ED%95%9C"),
        ("/%7e%2d%5f%2E", "/~-_."),
        ("/a%20b", "/a%20b"),
        ("/%252e%252e/x", "/%252e%252e/x"),
        ("/a;x=1/b,c", "/a;x=1/b,c"),
        ("/.hidden/...", "/.hidden/..."),
        ("/a?", "/a?"),
        ("/a?b?c/../d", "/a?b?c/../d"),
    ] {
        check(raw, Ok(normal));
    }
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    for raw in ["/a%5cb", "/a\\b", "/a%00", "/a%0d", "/a%1F", "/a%7f", "/a\"b", "/a|b", "/a^b", "/{a}"] {
        check(raw, Err(TargetError::Character));
    }
    for raw in [
        "/a%zz",
        "/a%4",
        "/a%",
        "/%u002f",
        "/%c0%ae",
        "/%c0%af",
        "/%e0%80%af",
        "/%f0%80%80%af",
        "/%ff",
        "/%80",
        "/%ed%a0%80",
    ] {
        check(raw, Err(TargetError::Encoding));
    }
    for raw in ["/..;/x", "/a/..;b/x", "/.;x", "/%2e%2e;x"] {
        check(raw, Err(TargetError::Ambiguous));
    }
    for raw in ["*", "http://a.example/api", "api/members", "a:80", "?x"] {
        check(raw, Err(TargetError::Form));
    }
}

#[test]
fn an_encoded_slash_stays_inside_its_segment_until_a_route_decides() {
    let target = |raw: &str| Target::normalise(&head(raw, "h")).unwrap();
    let slash = target("/a%2fb/../c%2Fd?x=%2f");
    assert!(slash.has_encoded_slash());
    assert_eq!(slash.uri.to_string(), "/c%2Fd?x=%2f");
    assert_eq!(slash.decode_slashes().unwrap().uri.to_string(), "/c/d?x=%2f");
    assert_eq!(target("/a/..%2f..%2fb").decode_slashes().unwrap().path(), "/b");
    assert_eq!(slash.keep_slashes(), Ok(()));
    for raw in ["/a/..%2fb", "/a/x%2f..", "/a/%2fb", "/a/b%2f%2fc"] {
        assert_eq!(target(raw).keep_slashes(), Err(TargetError::Ambiguous), "{raw}");
    }
    assert!(!target("/a?b=%2f").has_encoded_slash());
}

#[test]
fn a_host_is_one_name_in_small_letters() {
    let host = |sent: &str| Target::normalise(&head("/", sent)).map(|target| target.host().to_owned());
    for (sent, name) in [
        ("a.example", "a.example"),
        ("A.Example:80", "a.example"),
        ("a.example.", "a.example"),
        ("a.example.:8080", "a.example"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]:80", "[::1]"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
        ("a_b", "a_b"),
    ] {
        assert_eq!(host(sent).as_deref(), Ok(name), "{sent}");
    }
    for sent in ["", "a b", "a, b", "a/b", "u@a", "a:b:80", "a:8080x", "a:999999", "::1", "[::1", "a\u{301}"] {
        assert_eq!(host(sent), Err(TargetError::Host), "{sent:?}");
    }
    let bare = RequestHeader::build("GET", b"/", None).unwrap();
    assert_eq!(Target::normalise(&bare).unwrap_err(), TargetError::Host);
    let mut old = RequestHeader::build("GET", b"/", None).unwrap();
    old.set_version(Version::HTTP_10);
    assert_eq!(Target::normalise(&old).unwrap().host(), "");
}

#[test]
fn what_is_normal_stays_as_it_is_and_the_short_cut_agrees() {
    let mut random = fastrand::Rng::with_seed(7);
    let parts = ["/", "/", ".", "..", "a", "%2e", "%2f", "%61", "~", ";", "%ed%95%9c", "%25", "b"];
    for _ in 0..20_000 {
        let length = random.usize(0..12);
        let raw: String = std::iter::once("/").chain((0..length).map(|_| parts[random.usize(..parts.len())])).collect();
        let Ok(once) = Target::normalise(&head(&raw, "h")) else { continue };
        let again = Target::normalise(&head(once.path(), "h")).unwrap();
        assert_eq!(once.path(), again.path(), "{raw}");
        if normal::is_normal(raw.as_bytes()) {
            assert_eq!(normal::normalise(raw.as_bytes()).map(|normal| normal.path), Ok(raw));
        }
    }
}
