//! What holds for every path, however it is written.

use super::{Found, Pattern, Table, Target, normal};
use pingora::http::RequestHeader;
use proptest::prelude::*;

/// Pieces that paths are made of by those who mean no good.
const PIECES: [&str; 46] = [
    "/", "/", "/", "//", ".", "..", "/..", "/../", "/./", "%2e", "%2E%2e", "%2f", "%2F", "%5c", "\\", "%00", "%0d%0a",
    "%", "%2", "%25", "%252e", "%c3%a4", "%ff", "%c0%af", "ä", ";", ";x", "..;", ":", "a", "A", "b", "open", "api",
    "members", "login", "%61", "%6F", "~", "-", "_", " ", "#", "{", "\t", "*",
];

/// Routes of which one is open, and where it matters on which side of a slash one stands.
const ROUTES: [&str; 8] =
    ["/open/*", "/api/*", "/api/members/*", "/api/auth/login", "/api/{x}/open", "/a/{y}", "/a/b/*", "/a/c/d"];

fn paths() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12);
    let made = pieces.prop_map(|pieces| format!("/{}", pieces.concat()));
    // And what nobody has thought of.
    prop_oneof![4 => made, 1 => "/[ -~]{0,20}", 1 => prop::collection::vec("/|\\.|%2[eEfF]|[a-c]", 0..12)
        .prop_map(|pieces| format!("/{}", pieces.concat()))]
}

fn head(path: &str) -> Option<RequestHeader> {
    let mut head = RequestHeader::build("GET", path.as_bytes(), None).ok()?;
    head.insert_header("host", "gateway.test").unwrap();
    Some(head)
}

fn routes() -> Table<&'static str> {
    let pattern = |path: &str| Pattern::parse(&serde_yaml::from_str(&format!("path: \"{path}\"")).unwrap()).unwrap();
    Table::build(ROUTES.iter().map(|path| (pattern(path), *path))).unwrap()
}

fn route(routes: &Table<&'static str>, head: &RequestHeader) -> Option<(&'static str, Target)> {
    let target = Target::normalise(head).ok()?;
    let found = match routes.find(&target, target.method(), &head.headers) {
        Found::Route(path) => *path,
        _ => return None,
    };
    Some((found, target))
}

/// As a careless service would: everything decoded, twice, backslashes taken for slashes, parameters of segments cut
/// off, and then walked.
fn carelessly(path: &str) -> String {
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().replace('\\', "/");
    let mut walked = Vec::new();
    for segment in decode(path).split('/').map(|segment| segment.split(';').next().unwrap_or_default()) {
        match segment {
            "" | "." => {}
            ".." => _ = walked.pop(),
            other => walked.push(other.to_owned()),
        }
    }
    format!("/{}", walked.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_normal_form_is_its_own_normal_form(path in paths()) {
        if let Ok(normal) = normal::normalise(path.as_bytes()) {
            let again = normal::normalise(normal.path.as_bytes()).unwrap();
            prop_assert_eq!(&again.path, &normal.path);
            // One that a dot segment took away is still a reason to refuse.
            prop_assert!(normal.encoded_slash || !again.encoded_slash);
            prop_assert!(!normal::is_normal(path.as_bytes()) || normal.path == path);
        }
    }

    #[test]
    fn what_is_matched_is_what_is_forwarded(path in paths()) {
        let (routes, Some(mut sent)) = (routes(), head(&path)) else { return Ok(()) };
        let Some((found, target)) = route(&routes, &sent) else { return Ok(()) };
        target.write_back(&mut sent);
        let query = target.query().map_or(String::new(), |query| format!("?{query}"));
        let matched = format!("{}{query}", target.path());
        prop_assert_eq!(sent.raw_path(), matched.as_bytes());
        // A second gateway, or a service that is as strict, comes to the same route.
        let (again, forwarded) = route(&routes, &sent).unwrap();
        prop_assert_eq!((again, forwarded.path()), (found, target.path()));
    }

    #[test]
    fn no_path_leads_out_of_its_route(path in paths()) {
        let (routes, Some(sent)) = (routes(), head(&path)) else { return Ok(()) };
        let Some((found, target)) = route(&routes, &sent) else { return Ok(()) };
        let Some(prefix) = found.strip_suffix("/*") else { return Ok(()) };
        // With `encoded_slash: keep`; by default it would be refused.
        if target.keep_slashes().is_err() {
            return Ok(());
        }
        for seen in [target.path().to_owned(), carelessly(target.path())] {
            let inside = seen == prefix || seen.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
            prop_assert!(inside, "{path} is {} on {found}, and {seen} for a careless service", target.path());
        }
    }
}
