use super::*;
use pingora::http::RequestHeader;

fn pattern(text: &str) -> Pattern {
    Pattern::parse(&serde_yaml::from_str(text).unwrap()).unwrap()
}

fn table(patterns: &[&'static str]) -> Result<Table<&'static str>, Vec<Conflict<&'static str>>> {
    Table::build(patterns.iter().map(|text| (pattern(text), *text)))
}

fn head(line: &str) -> RequestHeader {
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap();
    let mut head = RequestHeader::build(word(), word().as_bytes(), None).unwrap();
    head.insert_header("host", word()).unwrap();
    for header in words {
        let (name, value) = header.split_once(':').unwrap();
        head.append_header(name.to_owned(), value).unwrap();
    }
    head
}

#[track_caller]
fn check(patterns: &[&'static str], rows: &[(&str, Result<&str, &str>)]) {
    let forwards = table(patterns).unwrap();
    let backwards: Vec<_> = patterns.iter().rev().copied().collect();
    for table in [forwards, table(&backwards).unwrap()] {
        for (line, expected) in rows {
            let head = head(line);
            let target = Target::normalise(&head).unwrap();
            let found = match table.find(&target, target.method(), &head.headers) {
                Found::Route(pattern) => Ok((*pattern).to_owned()),
                Found::WrongMethod(methods) => Err(format!("{methods:?}")),
                Found::None(near) => Err(near.map_or("nothing".to_owned(), |near| near.missed.to_string())),
            };
            assert_eq!(found.as_deref().map_err(String::as_str), *expected, "{line}");
        }
    }
}

#[test]
fn prefixes_end_on_a_segment_and_the_longest_wins() {
    check(
        &["path: /*", "path: /a/*", "path: /a/b/*", "path: /a/b"],
        &[
            ("GET /a h", Ok("path: /a/*")),
            ("GET /a/ h", Ok("path: /a/*")),
            ("GET /ab h", Ok("path: /*")),
            ("GET /a/b h", Ok("path: /a/b")),
            ("GET /a/b/ h", Ok("path: /a/b/*")),
            ("GET /a/b/c/d h", Ok("path: /a/b/*")),
            ("GET /a/bc h", Ok("path: /a/*")),
            ("GET / h", Ok("path: /*")),
        ],
    );
}

#[test]
fn plain_segments_go_before_free_ones_and_a_dead_end_is_left_again() {
    check(
        &["path: /m/me/x", "path: \"/m/{id}\"", "path: \"/m/{id}/y\"", "path: /m/*"],
        &[
            ("GET /m/me h", Ok("path: \"/m/{id}\"")),
            ("GET /m/me/x h", Ok("path: /m/me/x")),
            ("GET /m/me/y h", Ok("path: \"/m/{id}/y\"")),
            ("GET /m/me/z h", Ok("path: /m/*")),
            ("GET /m/ h", Ok("path: /m/*")),
        ],
    );
}

#[test]
fn hosts_go_before_paths_and_the_longest_suffix_first() {
    check(
        &[
            "{ path: /*, host: a.b.example }",
            "{ path: /*, host: \"*.b.example\" }",
            "{ path: /*, host: \"*.example\" }",
            "path: /x",
        ],
        &[
            ("GET /x a.b.example", Ok("{ path: /*, host: a.b.example }")),
            ("GET /x c.b.example", Ok("{ path: /*, host: \"*.b.example\" }")),
            ("GET /x d.c.b.example", Ok("{ path: /*, host: \"*.b.example\" }")),
            ("GET /x b.example", Ok("{ path: /*, host: \"*.example\" }")),
            ("GET /x example", Ok("path: /x")),
            ("GET /y example", Err("the host differs")),
        ],
    );
}

#[test]
fn methods_headers_and_parameters_make_a_route_more_specific() {
    check(
        &[
            "path: /a",
            "{ path: /a, methods: [GET] }",
            "{ path: /a, methods: [GET], headers: { X-B: \"1\" } }",
            "{ path: /a, methods: [GET], headers: { X-B: \"*\" } }",
            "{ path: /a, methods: [GET], query: { v: \"1\" } }",
        ],
        &[
            ("POST /a h", Ok("path: /a")),
            ("GET /a h", Ok("{ path: /a, methods: [GET] }")),
            ("HEAD /a h", Ok("{ path: /a, methods: [GET] }")),
            ("GET /a?v=1 h x-b:1", Ok("{ path: /a, methods: [GET], headers: { X-B: \"1\" } }")),
            ("GET /a h x-b:2", Ok("{ path: /a, methods: [GET], headers: { X-B: \"*\" } }")),
            ("GET /a h x-b:2 x-b:1", Ok("{ path: /a, methods: [GET], headers: { X-B: \"1\" } }")),
            ("GET /a?w&v=%31 h", Ok("{ path: /a, methods: [GET], query: { v: \"1\" } }")),
        ],
    );
}

#[test]
fn head_goes_to_who_names_it_else_to_who_takes_get() {
    check(
        &["{ path: /a, methods: [GET] }", "{ path: /a, methods: [HEAD] }"],
        &[
            ("HEAD /a h", Ok("{ path: /a, methods: [HEAD] }")),
            ("GET /a h", Ok("{ path: /a, methods: [GET] }")),
            ("PUT /a h", Err("[GET, HEAD]")),
        ],
    );
}

#[test]
fn what_is_refused_is_refused_with_what_was_near() {
    check(
        &[
            "{ path: /a/b, methods: [POST, PUT] }",
            "{ path: \"/a/{x}\", methods: [GET] }",
            "{ path: /h, headers: { X-B: \"1\" } }",
            "{ path: /q, query: { v: \"1\" } }",
        ],
        &[
            ("DELETE /a/b h", Err("[GET, HEAD, POST, PUT]")),
            ("DELETE /a/c h", Err("[GET, HEAD]")),
            ("GET /a/b/c h", Err("the path differs at \"c\"")),
            ("GET /a h", Err("the path is shorter")),
            ("GET /h h", Err("header x-b is missing or differs")),
            ("GET /q?v=2 h", Err("query parameter \"v\" is missing or differs")),
            ("GET /z h", Err("nothing")),
        ],
    );
}

#[test]
fn two_routes_that_cannot_be_told_apart_are_named() {
    for (first, second) in [
        ("path: /a", "path: /a"),
        ("path: \"/m/{id}\"", "path: \"/m/{name}\""),
        ("{ path: /a/*, methods: [GET, PUT] }", "{ path: /a/*, methods: [PUT] }"),
        ("{ path: /a, host: A.example }", "{ path: /a, host: a.EXAMPLE }"),
        ("{ path: /a, headers: { X-B: \"1\" } }", "{ path: /a, headers: { x-b: \"1\" } }"),
        ("path: /%7ea", "path: /~a"),
    ] {
        assert_eq!(table(&[first, second]).unwrap_err(), [Conflict { first, second }]);
    }
    let apart = ["path: /a", "path: /a/*", "{ path: /a, methods: [GET] }", "{ path: /a, query: { x: \"*\" } }"];
    assert!(table(&apart).is_ok());
}

#[test]
fn a_long_host_or_path_costs_no_more_than_the_table_is_deep() {
    let table = table(&["{ path: /a, host: \"*.example\" }", "path: /a/*"]).unwrap();
    let line = format!("GET /a{} {}example", "/x".repeat(5_000), "y.".repeat(5_000));
    let head = head(&line);
    let target = Target::normalise(&head).unwrap();
    assert_eq!(table.find(&target, target.method(), &head.headers), Found::Route(&"path: /a/*"));
}
