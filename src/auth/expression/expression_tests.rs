use super::*;
use crate::auth::identity::Told;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value as Json, json};

/// Of a request: `GET /api/members/42?mine=1&twice=a&twice=b` of the consumer `7` from 192.0.2.9.
fn ask(text: &str, claims: &Json) -> Result<(), Denied> {
    let expression = Expression::compile(text, &Language::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut headers = HeaderMap::new();
    for (name, value) in
        [("x-tenant", "north"), ("accept", "a"), ("accept", "b"), ("x-user-role", "admin"), ("x-korean", "홍길동")]
    {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers.append("x-latin", HeaderValue::from_bytes(b"\xe9").unwrap());
    let facts = Facts {
        method: &Method::GET,
        path: "/api/members/42",
        host: "portal.example",
        scheme: "https",
        query: Some("mine=1&twice=a&twice=b&name=%ED%99%8D"),
        headers: &headers,
        is_hidden: &|name| name == "x-user-role",
        is_doubtful: &|name| name == "x-doubtful",
        client: [192, 0, 2, 9].into(),
        route: "members",
        service: Some("member"),
        now: 1_000_000,
    };
    expression.holds(&facts, &Identity::new(claims.as_object().unwrap().clone(), &Told::default()))
}

fn claims() -> Json {
    json!({
        "sub": "7", "role": ["editor", "member"], "permissions": "members:read members:write",
        "tenant": "north", "level": 3, "share": 0.5, "verified": true, "nothing": null,
        "auth_time": 999_900, "huge": 18_446_744_073_709_551_615_u64, "email": "kim@portal.example",
        "realm": { "roles": ["auditor", 7], "deep": { "er": ["x"] } }, "a.b": "dotted", "groups": ["/staff/kr", "/all"],
        "numbers": [1, 2, 3], "empty": [],
    })
}

#[test]
fn conditions_hold_or_do_not() {
    for (text, expected) in [
        // The request.
        ("request.method == \"GET\"", Ok(())),
        ("request.method in [\"POST\", \"PUT\"]", Err(Denied::False)),
        ("request.path == \"/api/members/\" + consumer.id", Err(Denied::False)),
        ("request.path.startsWith(\"/api/\") && !request.path.endsWith(\"/\")", Ok(())),
        ("request.path.contains(\"members\")", Ok(())),
        ("request.host == \"portal.example\" && request.scheme == \"https\"", Ok(())),
        ("request.client == \"192.0.2.9\"", Ok(())),
        ("request.query[\"mine\"] == \"1\" && request.query.mine == \"1\"", Ok(())),
        ("request.query.name == \"홍\"", Ok(())),
        ("\"mine\" in request.query && !(\"other\" in request.query)", Ok(())),
        ("request.query[\"other\"] == \"1\"", Err(Denied::Missing)),
        ("request.query.twice == \"a\"", Err(Denied::Unreadable)),
        ("request.headers[\"x-tenant\"] == claims.tenant", Ok(())),
        ("request.headers.accept == \"a, b\"", Ok(())),
        ("request.headers[\"x-korean\"] == \"홍길동\"", Ok(())),
        ("request.headers[\"x-latin\"] == \"\"", Err(Denied::Unreadable)),
        ("has(request.headers.accept) && !has(request.headers.cookie)", Ok(())),
        ("request.headers[\"x-user-role\"] == \"admin\"", Err(Denied::Missing)),
        ("\"x-user-role\" in request.headers", Err(Denied::False)),
        // The caller.
        ("\"editor\" in consumer.roles", Ok(())),
        ("\"admin\" in consumer.roles", Err(Denied::False)),
        ("consumer.roles.exists(role, role.startsWith(\"mem\"))", Ok(())),
        ("consumer.permissions.all(one, one.startsWith(\"members:\"))", Ok(())),
        ("consumer.permissions == [\"members:read\", \"members:write\"]", Ok(())),
        ("consumer.id == \"7\" && has(consumer.id)", Ok(())),
        ("size(consumer.roles) == 2 && consumer.roles.size() < 3", Ok(())),
        // Claims.
        ("claims.level >= 3", Ok(())),
        ("claims.level > 2.5 && claims.level < claims.huge", Ok(())),
        ("claims.share * 2.0 == 1.0", Ok(())),
        ("claims.verified", Ok(())),
        ("claims.tenant", Err(Denied::Kind)),
        ("claims.tenant > 3", Err(Denied::Kind)),
        ("claims.none == 1", Err(Denied::Missing)),
        ("has(claims.none) && claims.none == 1", Err(Denied::False)),
        ("!has(claims.none) || claims.none == 1", Ok(())),
        ("claims.nothing == null", Ok(())),
        ("claims[\"a.b\"] == \"dotted\"", Ok(())),
        ("\"auditor\" in claims.realm.roles && 7 in claims.realm.roles", Ok(())),
        ("claims.realm[\"deep\"].er[0] == \"x\"", Ok(())),
        ("claims.groups[2] == \"x\"", Err(Denied::Missing)),
        ("claims.groups.filter(group, group.startsWith(\"/staff\")).size() == 1", Ok(())),
        ("claims.numbers.map(one, one * 2) == [2, 4, 6]", Ok(())),
        ("claims.numbers.exists_one(one, one > 2)", Ok(())),
        ("claims.numbers.exists(one, one > 1 && one + 1 == 4)", Ok(())),
        ("claims.empty.all(one, one == 1) && !claims.empty.exists(one, one == 1)", Ok(())),
        ("claims.realm.exists(key, key == \"roles\")", Ok(())),
        ("claims.tenant.exists(one, one == \"n\")", Err(Denied::Kind)),
        ("claims.email.endsWith(\"@\" + request.host)", Ok(())),
        ("now - claims.auth_time < 300", Ok(())),
        ("now - claims.auth_time < 50", Err(Denied::False)),
        ("string(claims.level) == \"3\" && int(\"3\") == claims.level", Ok(())),
        ("int(claims.tenant) == 1", Err(Denied::Failed)),
        ("claims.level / 0 == 1", Err(Denied::Failed)),
        ("claims.level + 9223372036854775807 > 0", Err(Denied::Failed)),
        ("claims.level % 2 == 1 && -claims.level == -3", Ok(())),
        // The route, and what holds conditions together.
        ("route.id == \"members\" && route.service == \"member\"", Ok(())),
        ("request.method == \"GET\" ? claims.level > 2 : false", Ok(())),
        ("{\"GET\": 1, \"POST\": 5}[request.method] <= claims.level", Ok(())),
        ("true || claims.none", Ok(())),
        ("claims.none == 1 || claims.level == 3", Ok(())),
        ("claims.none == 1 && claims.level == 3", Err(Denied::Missing)),
        ("request.method ==\n  \"GET\" // of whatever it is", Ok(())),
    ] {
        assert_eq!(ask(text, &claims()), expected, "{text}");
    }
}

/// Nobody's word about what is not there.
#[test]
fn who_has_no_name_is_nobody() {
    for text in ["consumer.id == \"\"", "consumer.id != \"root\"", "consumer.id == request.query.mine"] {
        assert_eq!(ask(text, &json!({})), Err(Denied::Missing), "{text}");
    }
    assert_eq!(ask("!has(consumer.id)", &json!({})), Ok(()));
}

#[test]
fn what_can_never_be_meant_is_an_error_with_its_place() {
    for (text, expected) in [
        ("request.metod == \"GET\"", "at column 9: request has no field \"metod\"; did you mean \"method\"?"),
        ("claim.role == \"a\"", "at column 1: no such name: \"claim\"; did you mean \"claims\"?"),
        ("user.id == \"a\"", "at column 1: no such name: \"user\"; known: request, claims, consumer, route, now"),
        ("consumer.role == \"a\"", "at column 10: consumer has no field \"role\"; did you mean \"roles\"?"),
        ("request.method == 5", "at column 16: a text is never equal to a whole number; compare what is of one kind"),
        ("request.path < 3", "at column 14: < does not go with a text and a whole number; compare numbers, or texts"),
        ("consumer.roles && true", "at column 9: a list stands where true or false has to; compare it with something"),
        ("!request.path", "at column 9: a text stands where true or false has to; compare it with something"),
        ("request.method", "at column 8: the result is a text; write what is true or false"),
        ("5 in consumer.roles", "at column 3: a whole number is never in a list; write value in [list of its kind]"),
        ("\"a\" in request.path", "at column 5: in looks into lists; for texts write x.contains(y)"),
        ("request == consumer", "at column 1: request is no value; name one of its fields"),
        ("claims == {\"a\": 1}", "at column 1: all claims are no value; name one of them: [\"name\"]"),
        ("request.headers == claims.a", "at column 8: the headers are no value; name one of them: [\"name\"]"),
        (
            "request.headers[\"X-Tenant\"] == \"a\"",
            "at column 17: no header can be called \"X-Tenant\"; here they are in small letters: \"x-tenant\"",
        ),
        (
            "request.headers[\"x y\"] == \"a\"",
            "at column 17: no header can be called \"x y\"; use letters, digits and -",
        ),
        (
            "request.headers[1] == \"a\"",
            "at column 16: [a whole number] does not go with the headers; lists take numbers, all else texts",
        ),
        (
            "claims.a.matches(\"(a+)+\")",
            "at column 17: matches is not offered, its work has no bound; use startsWith, endsWith or contains",
        ),
        ("claims.a.startWith(\"x\")", "at column 19: no such function: \"startWith\"; did you mean \"startsWith\"?"),
        (
            "request.path.startsWith(5)",
            "at column 24: startsWith takes a text, not a whole number; write one in quotes",
        ),
        ("consumer.roles.contains(\"a\")", "at column 24: contains is asked of a text, not of a list; use in or =="),
        ("\"홍길동\" == ", "at column 10: no expression can go on so; write CEL: \"admin\" in consumer.roles"),
        ("size(now) > 1", "at column 5: size does not take a whole number; give it something else"),
        (
            "request.path + 1 == \"a\"",
            "at column 14: + does not go with a text and a whole number; both sides are whole numbers (1), or numbers (1.0), or for + texts",
        ),
        (
            "now + 1.0 > 2.0",
            "at column 5: + does not go with a whole number and a number; both sides are whole numbers (1), or numbers (1.0), or for + texts",
        ),
        (
            "[1] + [2] == [1, 2]",
            "at column 5: + does not go with a list and a list; both sides are whole numbers (1), or numbers (1.0), or for + texts",
        ),
        ("[1, \"a\"].size() == 2", "at column 5: entries of one list are of one kind"),
        ("claims.a ? 1 : \"b\"", "at column 10: both sides of the : are of one kind; make them so"),
        (
            "claims.a.all(x, consumer.roles.exists(y, y == x))",
            "at column 38: all, exists, map and filter inside each other multiply the work; write them side by side",
        ),
        (
            "claims.a.map(x, claims.b.map(y, claims.c.map(z, z)))[0] == 1",
            "at column 29: all, exists, map and filter inside each other multiply the work; write them side by side",
        ),
        (
            "claims.a.filter(x, x > 1).exists(x, x == 4)",
            "at column 33: one map or filter behind another multiplies the work; write one with both conditions",
        ),
        ("claims.a.all(now, now == 1)", "at column 13: \"now\" means something else already; choose another name"),
        ("request.headers.all(x, true)", "at column 20: not to be gone through: the headers; only lists and maps are"),
        ("Thing{a: 1} == claims.a", "at column 6: there are no messages here; write a map: {\"name\": value}"),
        ("claims.?a == 1", "at column 7: optional fields are not offered; write has(x.y) && x.y"),
        ("all(claims.a)", "at column 4: all is written list.all(x, condition); has is has(claims.x)"),
        ("type(claims.a) == 1", "at column 5: no such function: \"type\"; known: size, string, int, double"),
        ("request.method == ", "at column 19: no expression can go on so; write CEL: \"admin\" in consumer.roles"),
        ("\"홍길동\" == request.metod", "at column 18: request has no field \"metod\"; did you mean \"method\"?"),
        (
            "request.method == \"GET\" &&\n  claims.a.matches(\"x\")",
            "at line 2, column 19: matches is not offered, its work has no bound; use startsWith, endsWith or contains",
        ),
        (" ", "empty; write a condition: \"admin\" in consumer.roles"),
    ] {
        let error = Expression::compile(text, &Language::default()).map(|_| ()).unwrap_err();
        assert_eq!(error, expected, "{text}");
    }
}

#[test]
fn what_would_never_end_is_an_error() {
    let many = |part: &str, count: usize| vec![part; count].join(" && ");
    for (text, expected) in [
        (format!("request.path == \"{}\"", "a".repeat(2_048)), "longer than 2048 bytes"),
        (many("now > 1", 100), "more than 256 parts"),
        (format!("{}true{}", "(".repeat(33), ")".repeat(33)), "too many brackets"),
        (format!("claims{}", ".a".repeat(40)), "more than 32 levels"),
        (format!("claims{} == 1", ".a".repeat(1_000)), "more than 32 levels"),
        (format!("{}claims.a", "!".repeat(2_000)), ""),
        (format!("{}1 == 1", "-".repeat(2_000)), ""),
        (format!("{} == 1", vec!["1"; 900].join("+")), "more than 32 levels"),
        (format!("{}1", "true?1:".repeat(250)), "too many brackets"),
        (format!("[{}1] == claims.a", "1,".repeat(500)), "more than 256 parts"),
        (format!("{}claims.a", "[".repeat(1_000)), "too many brackets"),
        (format!("{}claims.a", "[".repeat(32)), "no expression can go on so"),
        (format!("{}(.a)![.b([{{.c(", "x.all(y,".repeat(24)), "no expression can go on so"),
        (["!(-[{a:(b?"; 5].concat(), "no expression can go on so"),
        (format!("claims.a{}", "[0]".repeat(600)), "more than 32 levels"),
        (format!("claims.a{}", ".map(x, x)".repeat(40)), "more than"),
    ] {
        match Expression::compile(&text, &Language::default()) {
            Ok(_) => assert!(expected.is_empty(), "{text}"),
            Err(error) => assert!(!expected.is_empty() && error.contains(expected), "{text:.60} {error}"),
        }
    }
}

#[test]
fn the_work_of_one_evaluation_has_a_bound() {
    let long: Vec<u32> = (0..3_000).collect();
    let claims = json!({ "a": long, "b": long, "text": "x".repeat(4_000) });
    assert_eq!(ask("5000 in claims.a", &claims), Err(Denied::False));
    assert_eq!(ask("claims.a.exists(x, x in claims.b && x > 5000)", &claims), Err(Denied::Work));
    assert_eq!(ask("claims.a.exists(x, request.query.mine == \"2\")", &claims), Err(Denied::False));
    assert_eq!(ask("claims.a.exists(x, claims.text.contains(\"y\"))", &claims), Err(Denied::Work));
    // Whatever was found out before it was too much does not count.
    assert_eq!(ask("claims.a.all(x, x in claims.b) || true", &claims), Err(Denied::Work));
    let deep = (0..20).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(ask("claims.deep[0] == 1", &json!({ "deep": deep })), Err(Denied::Failed));
}

/// Parts that make something of sense often enough.
const WORDS: [&str; 60] = [
    "request",
    "claims",
    "consumer",
    "route",
    "now",
    ".method",
    ".headers",
    ".query",
    ".path",
    ".id",
    ".roles",
    ".none",
    ".level",
    ".realm",
    ".numbers",
    ".text",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ",",
    ":",
    "?",
    ".",
    "==",
    "!=",
    "<",
    ">=",
    "&&",
    "||",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "in",
    "1",
    "0",
    "2.5",
    "3u",
    "9223372036854775807",
    "\"a\"",
    "b\"x\"",
    "null",
    "true",
    "has(",
    ".all(x,",
    ".exists(x,",
    ".map(x,",
    ".filter(x,",
    "x",
    "size(",
    "int(",
    "string(",
    ".startsWith(",
    ".contains(",
    ".size()",
];

proptest::proptest! {
    #[test]
    fn no_text_and_no_claims_make_it_panic(
        words in proptest::collection::vec(proptest::sample::select(&WORDS[..]), 1..24),
        any in "\\PC{0,60}",
        level in proptest::prelude::any::<i64>(),
    ) {
        let claims = json!({ "level": level, "realm": { "a": [1, "x", null] }, "numbers": [1, 2.5, "a", []], "text": any });
        for text in [words.concat(), words.join(" "), any.clone(), format!("{} == \"{any}\"", words.concat())] {
            if Expression::compile(&text, &Language::default()).is_ok() {
                _ = ask(&text, &claims);
            }
        }
    }

    #[test]
    fn what_is_checked_is_of_the_kind_that_it_seems(
        one in proptest::sample::select(&["claims.level", "claims.numbers[0]", "now", "1", "request.path", "claims.text"][..]),
        sign in proptest::sample::select(&["+", "-", "*", "/", "%", "<", "==", "in"][..]),
        other in proptest::sample::select(&["claims.level", "[1, 2]", "consumer.roles", "2.5", "request.method", "null"][..]),
        end in proptest::sample::select(&["== 1", "== \"a\"", "", "&& true", "> 1.0"][..]),
    ) {
        let claims = json!({ "level": 3, "numbers": [1], "text": "a" });
        let text = format!("({one} {sign} {other}) {end}");
        let known = !text.contains("claims");
        if Expression::compile(&text, &Language::default()).is_ok() && known {
            // Only what a claim is can still be a surprise, or a number.
            let outcome = ask(&text, &claims);
            assert!(outcome != Err(Denied::Kind) && outcome != Err(Denied::Missing), "{text}: {outcome:?}");
        }
    }
}
