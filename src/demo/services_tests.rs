use super::*;
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

struct Answer {
    status: u16,
    head: String,
    body: Value,
}

/// The six on real sockets, with a mint whose tokens can be read.
struct Demo(Vec<Service>);

impl Demo {
    fn start() -> Self {
        let services = Services::bind().unwrap();
        let list = services.list().cloned().collect();
        let mint: Mint = Arc::new(|claims| Ok(format!("{}.{}.{}", claims.sub, claims.role, claims.ttl.as_secs())));
        services.serve(&mint, Duration::from_secs(60)).unwrap();
        Self(list)
    }

    /// `METHOD /path` to the service `name`, with `headers` as lines.
    fn send(&self, name: &str, request: &str, headers: &str, body: &str) -> Answer {
        let url = &self.0.iter().find(|service| service.name == name).unwrap().url;
        let host = url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let length = body.len();
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head[9..12].parse().unwrap();
        Answer { status, head: head.to_owned(), body: serde_json::from_str(body).unwrap_or(Value::Null) }
    }

    fn get(&self, name: &str, path: &str) -> Answer {
        self.send(name, &format!("GET {path}"), "", "")
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("auth", &format!("POST {path}"), "", &body.to_string())
    }
}

const AS_KIM: &str =
    "X-User-ID: 2\r\nX-Username: kim\r\nX-User-Role: member\r\nX-User-Permissions: members:read,notices:read\r\n";

#[test]
fn every_service_is_healthy_at_an_address_of_its_own() {
    let demo = Demo::start();
    let mut urls: Vec<_> = demo.0.iter().map(|service| &service.url).collect();
    urls.sort();
    urls.dedup();
    assert_eq!(urls.len(), 6);
    for service in &demo.0 {
        let answer = demo.get(service.name, "/health");
        assert_eq!((answer.status, answer.body), (200, json!({ "status": "healthy" })), "{}", service.name);
    }
}

#[test]
fn a_variable_holds_the_address_of_its_service() {
    let services = Services::bind().unwrap();
    for service in services.list() {
        assert_eq!(services.variable(service.variable).as_ref(), Some(&service.url));
    }
    assert_eq!(services.variable("JWT_SECRET_KEY"), None);
}

#[test]
fn each_collection_lists_creates_reads_replaces_and_deletes() {
    let demo = Demo::start();
    let collections = [
        ("member", "/api/members", json!({ "name": "이몽룡", "email": "lee@portal.example" })),
        ("customer", "/api/customers", json!({ "name": "새한물산" })),
        ("calendar", "/api/calendar/events", json!({ "title": "점심", "starts_at": "2025-01-09T12:00:00+09:00" })),
        ("notice", "/api/notices", json!({ "title": "안내", "content": "내용" })),
    ];
    for (name, path, record) in collections {
        let before = demo.get(name, path).body;
        assert_eq!(before["total"], before["items"].as_array().unwrap().len(), "{path}");
        let created = demo.send(name, &format!("POST {path}"), AS_KIM, &record.to_string());
        assert_eq!(created.status, 201, "{path} {}", created.body);
        assert_eq!(created.body["created_by"], json!({ "user_id": "2", "username": "kim" }));
        let one = format!("{path}/{}", created.body["id"]);
        assert!(created.head.contains(&format!("location: {one}\r\n")), "{}", created.head);
        assert_eq!(demo.get(name, &one).body, created.body);
        let replaced = demo.send(name, &format!("PUT {one}"), AS_KIM, &record.to_string());
        assert_eq!((replaced.status, &replaced.body["updated_by"]["username"]), (200, &json!("kim")));
        assert_eq!(demo.send(name, &format!("DELETE {one}"), "", "").status, 204);
        let gone = demo.get(name, &one);
        assert_eq!(gone.status, 404);
        assert!(gone.body["detail"].as_str().unwrap().starts_with("no "), "{}", gone.body);
        assert_eq!(demo.get(name, path).body, before);
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_a_detail() {
    let demo = Demo::start();
    let long = json!({ "name": "x".repeat(5_000), "email": "a" }).to_string();
    let cases = [
        ("POST /api/members", "{", 400, "EOF"),
        ("POST /api/members", "", 400, "EOF"),
        ("POST /api/members", "{}", 422, "missing field `name`"),
        ("POST /api/members", r#"{"name":" ","email":"a"}"#, 422, "a text is empty"),
        ("POST /api/members", r#"{"name":7,"email":"a"}"#, 422, "invalid type"),
        ("POST /api/members", &long, 413, "limit"),
        ("GET /api/members/one", "", 422, "not a number"),
        ("GET /api/members/999", "", 404, "no member has the id 999"),
        ("PUT /api/members/999", r#"{"name":"a","email":"a"}"#, 404, "no member"),
        ("PATCH /api/members", "", 405, "Method Not Allowed"),
        ("GET /api/nothing", "", 404, "Not Found"),
    ];
    for (request, body, status, detail) in cases {
        let answer = demo.send("member", request, "", body);
        assert_eq!(answer.status, status, "{request} {body}");
        assert!(answer.body["detail"].as_str().unwrap().contains(detail), "{request}: {}", answer.body);
    }
}

#[test]
fn a_trailing_slash_is_redirected_to_the_services_own_address() {
    let demo = Demo::start();
    let answer = demo.get("member", "/api/members/?page=2");
    let url = &demo.0[1].url;
    assert_eq!(answer.status, 307);
    assert!(answer.head.contains(&format!("location: {url}/api/members?page=2")), "{}", answer.head);
}

#[test]
fn a_login_gives_tokens_and_the_access_token_comes_first() {
    let demo = Demo::start();
    let answer = demo.post("/api/auth/login", &json!({ "username": "kim", "password": "kim" }));
    assert_eq!((answer.status, &answer.body["access_token"]), (200, &json!("2.member.60")));
    assert_eq!(answer.body.as_object().unwrap().keys().next().unwrap(), "access_token");
    assert_eq!((&answer.body["token_type"], &answer.body["expires_in"]), (&json!("bearer"), &json!(60)));
    let wrong = demo.post("/api/auth/login", &json!({ "username": "kim", "password": "admin" }));
    assert_eq!(wrong.status, 401);
    assert!(wrong.body["detail"].is_string());
}

#[test]
fn a_refresh_token_is_good_for_one_use() {
    let demo = Demo::start();
    let first = demo.post("/api/auth/login", &json!({ "username": "admin", "password": "admin" })).body;
    let refresh = |token: &Value| demo.post("/api/auth/refresh", &json!({ "refresh_token": token }));
    let second = refresh(&first["refresh_token"]);
    assert_eq!((second.status, &second.body["access_token"]), (200, &json!("1.admin.60")));
    assert_ne!(second.body["refresh_token"], first["refresh_token"]);
    assert_eq!(refresh(&first["refresh_token"]).status, 401);
    assert_eq!(refresh(&second.body["refresh_token"]).status, 200);
}

#[test]
fn a_logout_ends_the_callers_refresh_tokens_and_nobody_elses() {
    let demo = Demo::start();
    let login = |name: &str| demo.post("/api/auth/login", &json!({ "username": name, "password": name })).body;
    let (kim, admin) = (login("kim"), login("admin"));
    assert_eq!(demo.send("auth", "POST /api/auth/logout", AS_KIM, "").status, 204);
    let refresh = |tokens: &Value| demo.post("/api/auth/refresh", &json!({ "refresh_token": tokens["refresh_token"] }));
    assert_eq!((refresh(&kim).status, refresh(&admin).status), (401, 200));
}

#[test]
fn refresh_tokens_are_bounded_and_the_oldest_goes_first() {
    let demo = Demo::start();
    let login = || demo.post("/api/auth/login", &json!({ "username": "kim", "password": "kim" })).body;
    let first = login();
    (0..1_000).for_each(|_| drop(login()));
    assert_eq!(demo.post("/api/auth/refresh", &json!({ "refresh_token": first["refresh_token"] })).status, 401);
}

#[test]
fn who_one_is_comes_from_the_gateways_headers() {
    let demo = Demo::start();
    let expected = json!({
        "user_id": "2", "username": "kim", "name": "김하늘", "role": "member",
        "permissions": ["members:read", "notices:read"],
    });
    assert_eq!(demo.send("auth", "GET /api/auth/me", AS_KIM, "").body, expected);
    assert_eq!(demo.get("auth", "/api/auth/me").status, 401);
}

#[test]
fn a_name_that_is_not_ascii_is_shown_as_it_is_written() {
    let demo = Demo::start();
    let headers = "X-User-ID: 7\r\nX-Username: %ED%99%8D%EA%B8%B8%EB%8F%99\r\n";
    assert_eq!(demo.send("auth", "GET /api/auth/me", headers, "").body["username"], "홍길동");
}

#[test]
fn the_latest_feed_is_the_first_of_the_list() {
    let demo = Demo::start();
    let list = demo.get("honeybox", "/api/feeds").body;
    assert_eq!(list["total"], 3);
    assert_eq!(demo.get("honeybox", "/api/feeds/latest").body, list["items"][0]);
}
