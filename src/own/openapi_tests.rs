use super::*;
use serde_json::json;

fn route(id: &str, path: &str, methods: &[&str]) -> RouteDoc {
    let methods = methods.iter().map(ToString::to_string).collect();
    let service = Some("member".to_owned());
    RouteDoc { id: id.to_owned(), service, path: path.to_owned(), methods, public: false, roles: Vec::new() }
}

fn made(routes: &[RouteDoc]) -> Value {
    serde_json::from_slice(&document("TS Portal", "1.2.3", routes)).unwrap()
}

/// Every `METHOD path` of the routes, our own apart.
fn operations(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        if path != "/" && !path.starts_with("/health") {
            let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
            found.extend(methods.map(|method| format!("{method} {path}")));
        }
    }
    found
}

#[track_caller]
fn check(routes: &[RouteDoc], expected: &[&str]) {
    assert_eq!(operations(&made(routes)), expected);
}

#[test]
fn patterns_become_paths() {
    check(&[route("a", "/a", &["GET"])], &["get /a"]);
    check(&[route("a", "/a/{id}", &["GET", "PUT"])], &["get /a/{id}", "put /a/{id}"]);
    check(&[route("a", "/a/*", &["GET"])], &["get /a", "get /a/{path}"]);
    check(&[route("a", "/a/{path}/*", &["GET"])], &["get /a/{path}", "get /a/{path}/{path_2}"]);
    check(&[route("a", "/a/{x}/{x}", &["GET"])], &["get /a/{x}/{x_2}"]);
    check(&[route("a", "/*", &["GET"])], &["get /{path}"]);
}

#[test]
fn a_route_without_methods_shows_the_usual_ones() {
    check(&[route("a", "/a", &[])], &["get /a", "post /a", "put /a", "patch /a", "delete /a"]);
    check(&[route("a", "/a", &["HEAD", "PURGE"])], &["head /a"]);
    check(&[route("a", "/a", &["PURGE"])], &[]);
}

#[test]
fn templates_that_differ_in_names_alone_are_one_path() {
    check(&[route("a", "/a/{id}", &["GET"]), route("b", "/a/{name}", &["PUT"])], &["get /a/{id}", "put /a/{id}"]);
    check(
        &[route("a", "/a/*", &["GET", "PUT"]), route("b", "/a/{id}", &["GET"])],
        &["get /a", "put /a", "get /a/{id}", "put /a/{id}"],
    );
    let document = made(&[route("a", "/a/*", &["GET", "PUT"]), route("b", "/a/{id}", &["GET"])]);
    let item = &document["paths"]["/a/{id}"];
    assert_eq!((&item["get"]["operationId"], &item["put"]["operationId"]), (&json!("get_b"), &json!("put_a_below")));
    assert_eq!(
        item["parameters"],
        json!([{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }])
    );
}

#[test]
fn routes_of_one_pattern_tell_of_each_other() {
    let document = made(&[route("a", "/a", &["GET"]), route("b", "/a", &["GET"])]);
    let description = document["paths"]["/a"]["get"]["description"].as_str().unwrap();
    assert!(description.contains("route `b`"), "{description}");
}

#[test]
fn operation_ids_are_unique() {
    let ids = ["a", "a_below", "a b", "a/b"];
    let routes: Vec<_> = ids.iter().enumerate().map(|(at, id)| route(id, &format!("/{at}/*"), &[])).collect();
    let document = made(&routes);
    let items = document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let all: Vec<_> = items.filter_map(|operation| operation["operationId"].as_str()).collect();
    let distinct: HashSet<_> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (4 + 4 * 5 * 2, all.len()), "{all:?}");
}

#[test]
fn what_needs_a_token_says_so() {
    let public = RouteDoc { public: true, ..route("open", "/open", &["POST"]) };
    let roles = vec!["admin".to_owned(), "owner".to_owned(), "admin".to_owned()];
    let closed = RouteDoc { roles, ..route("closed", "/closed", &["GET"]) };
    let document = made(&[public, closed]);
    let (open, closed) = (&document["paths"]["/open"]["post"], &document["paths"]["/closed"]["get"]);
    assert_eq!((&open["security"], &closed["security"]), (&json!([]), &json!([{ "bearerAuth": [] }])));
    let statuses = |operation: &Value| operation["responses"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(statuses(open), ["404", "429", "503", "default"]);
    assert_eq!(statuses(closed), ["401", "403", "404", "429", "503", "default"]);
    assert!(closed["description"].as_str().unwrap().ends_with("Asks for roles: `admin`, `owner`."), "{closed}");
    assert_eq!(document["components"]["securitySchemes"]["bearerAuth"]["scheme"], "bearer");
}

#[test]
fn services_are_tags_and_the_gateway_is_one_of_them() {
    let redirect = RouteDoc { service: None, ..route("old", "/old", &["GET"]) };
    let document = made(&[redirect, route("a", "/a", &["GET"])]);
    let tags: Vec<_> = document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].clone()).collect();
    assert_eq!(tags, ["member", "gateway"]);
    assert_eq!(document["paths"]["/old"]["get"]["tags"], json!(["gateway"]));
    for path in ["/", "/health", "/health/live", "/health/ready"] {
        assert_eq!(document["paths"][path]["get"]["tags"], json!(["gateway"]), "{path}");
    }
    assert_eq!(document["info"]["title"], "TS Portal");
    assert_eq!((&document["openapi"], &document["info"]["version"]), (&json!("3.1.0"), &json!("1.2.3")));
}

#[test]
fn every_reference_leads_somewhere() {
    let document = made(&[route("a", "/a/*", &[])]);
    let text = document.to_string();
    let references: HashSet<_> =
        text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    assert!(references.len() >= 10, "{references:?}");
    for reference in references {
        assert!(document.pointer(&reference).is_some(), "{reference}");
    }
}
