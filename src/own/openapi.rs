//! `/openapi.json`: the route table as an OpenAPI 3.1 document.

use super::contract;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// The tag of what the gateway answers itself.
pub(super) const GATEWAY: &str = "gateway";

/// What a route that names no methods is shown with; the others are questions of tools, not of people.
const USUAL_METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// What the documentation tells about a route.
#[derive(Clone, Debug)]
pub struct RouteDoc {
    /// Its name in the file.
    pub id: String,
    /// The service it forwards to; `None`: the gateway answers.
    pub service: Option<String>,
    /// Its pattern, as it is written in the file.
    pub path: String,
    /// Its methods, in capitals; none: every method.
    pub methods: Vec<String>,
    /// Whether it asks for no token.
    pub public: bool,
    /// The roles that its rules name.
    pub roles: Vec<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    openapi: &'static str,
    info: Info<'a>,
    servers: [Server; 1],
    tags: Vec<Tag<'a>>,
    paths: BTreeMap<String, Item<'a>>,
    components: Value,
}

#[derive(Serialize)]
struct Info<'a> {
    title: &'a str,
    version: &'a str,
    description: &'static str,
}

#[derive(Serialize)]
struct Server {
    url: &'static str,
    description: &'static str,
}

#[derive(Serialize)]
struct Tag<'a> {
    name: &'a str,
    description: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Own(Value),
    Routed(Box<PathItem<'a>>),
}

/// One path with the methods that OpenAPI knows, in the order in which people look for them.
#[derive(Default, Serialize)]
struct PathItem<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<Parameter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    get: Option<Operation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post: Option<Operation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    put: Option<Operation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<Operation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete: Option<Operation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<Operation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Operation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<Operation<'a>>,
}

#[derive(Serialize)]
struct Parameter {
    name: String,
    r#in: &'static str,
    required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'static str>,
    schema: Schema,
}

#[derive(Serialize)]
struct Schema {
    r#type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation<'a> {
    tags: [&'a str; 1],
    operation_id: String,
    summary: String,
    description: String,
    security: &'static [Security],
    #[serde(skip_serializing_if = "Option::is_none")]
    request_body: Option<Reference>,
    responses: Responses,
    /// The pattern it comes from.
    #[serde(skip)]
    pattern: &'a str,
}

#[derive(Serialize)]
struct Security {
    #[serde(rename = "bearerAuth")]
    scopes: [(); 0],
}

#[derive(Serialize)]
struct Reference {
    #[serde(rename = "$ref")]
    to: &'static str,
}

/// Statuses, each with its name among the components.
struct Responses(&'static [(&'static str, &'static str)]);

const BEARER: &[Security] = &[Security { scopes: [] }];
const PUBLIC_ANSWERS: Responses = Responses(&[
    ("404", "#/components/responses/NotFound"),
    ("429", "#/components/responses/TooManyRequests"),
    ("503", "#/components/responses/Unavailable"),
    ("default", "#/components/responses/Service"),
]);
const ANSWERS: Responses = Responses(&[
    ("401", "#/components/responses/Unauthenticated"),
    ("403", "#/components/responses/Forbidden"),
    ("404", "#/components/responses/NotFound"),
    ("429", "#/components/responses/TooManyRequests"),
    ("503", "#/components/responses/Unavailable"),
    ("default", "#/components/responses/Service"),
]);

impl Serialize for Responses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(status, to)| (status, Reference { to })))
    }
}

impl<'a> PathItem<'a> {
    fn slot(&mut self, method: &str) -> Option<&mut Option<Operation<'a>>> {
        match method {
            "GET" => Some(&mut self.get),
            "POST" => Some(&mut self.post),
            "PUT" => Some(&mut self.put),
            "PATCH" => Some(&mut self.patch),
            "DELETE" => Some(&mut self.delete),
            "HEAD" => Some(&mut self.head),
            "OPTIONS" => Some(&mut self.options),
            "TRACE" => Some(&mut self.trace),
            // OpenAPI 3.1 cannot say it.
            _ => None,
        }
    }
}

/// The document of these routes, as JSON.
pub(super) fn document(name: &str, version: &str, routes: &[RouteDoc]) -> Vec<u8> {
    let document = Document {
        openapi: "3.1.0",
        info: Info {
            title: name,
            version,
            description: "What this gateway lets through, and to which service. Refusals are `application/problem+json`.",
        },
        servers: [Server { url: "/", description: "This gateway" }],
        tags: tags(routes),
        paths: paths(routes),
        components: contract::components(),
    };
    serde_json::to_vec(&document).unwrap_or_default()
}

fn tag(route: &RouteDoc) -> &str {
    route.service.as_deref().unwrap_or(GATEWAY)
}

/// Services in the order of their routes; the gateway comes last.
fn tags(routes: &[RouteDoc]) -> Vec<Tag<'_>> {
    let mut seen = HashSet::from([GATEWAY]);
    let fresh = routes.iter().map(tag).filter(|tag| seen.insert(*tag));
    let mut tags: Vec<_> =
        fresh.map(|name| Tag { name, description: format!("Forwarded to the service `{name}`.") }).collect();
    tags.push(Tag { name: GATEWAY, description: "Answered by the gateway itself.".to_owned() });
    tags
}

fn paths(routes: &[RouteDoc]) -> BTreeMap<String, Item<'_>> {
    // OpenAPI takes templates that differ in names alone for the same path: the first one's names are used.
    let mut found: BTreeMap<String, (String, PathItem<'_>)> = BTreeMap::new();
    let mut ids = HashSet::new();
    let is_tree = |route: &&RouteDoc| route.path.ends_with("/*");
    // Trees come last: what a plain path or a template takes, they do not get.
    for route in routes.iter().filter(|route| !is_tree(route)).chain(routes.iter().filter(is_tree)) {
        for place in Place::all_of(&route.path) {
            let (key, place) = (place.key(), place);
            let (_, item) = found.entry(key).or_insert_with(|| {
                (place.template.clone(), PathItem { parameters: place.parameters(), ..PathItem::default() })
            });
            add(item, route, &place, &mut ids);
        }
    }
    let routed = found.into_values().filter(|(_, item)| item.has_operations());
    let mut paths: BTreeMap<_, _> = routed.map(|(path, item)| (path, Item::Routed(Box::new(item)))).collect();
    paths.extend(contract::paths().into_iter().map(|(path, item)| (path.to_owned(), Item::Own(item))));
    paths
}

impl PathItem<'_> {
    fn has_operations(&self) -> bool {
        let all = [&self.get, &self.post, &self.put, &self.patch, &self.delete, &self.head, &self.options, &self.trace];
        all.into_iter().any(Option::is_some)
    }
}

/// Put the operations of a route where nobody more specific is.
fn add<'a>(item: &mut PathItem<'a>, route: &'a RouteDoc, place: &Place, ids: &mut HashSet<String>) {
    let named = route.methods.iter().map(String::as_str);
    let usual = USUAL_METHODS.into_iter().filter(|_| route.methods.is_empty());
    for method in named.chain(usual) {
        match item.slot(method) {
            Some(slot @ None) => *slot = Some(operation(route, place, method, ids)),
            // Told apart by host, headers or query parameters.
            Some(Some(first)) if first.pattern == route.path => {
                first
                    .description
                    .push_str(&format!(" For some hosts, headers or query parameters: route `{}`.", route.id));
            }
            _ => (),
        }
    }
}

fn operation<'a>(route: &'a RouteDoc, place: &Place, method: &str, ids: &mut HashSet<String>) -> Operation<'a> {
    let below = if place.rest.is_some() { ", everything below" } else { "" };
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let id: String = format!("{}_{}", method.to_ascii_lowercase(), route.id).chars().map(safe).collect();
    let sends = ["POST", "PUT", "PATCH"].contains(&method);
    Operation {
        tags: [tag(route)],
        operation_id: unique(&format!("{id}{}", if place.rest.is_some() { "_below" } else { "" }), ids),
        summary: format!("{}{below}", route.id),
        description: description(route),
        security: if route.public { &[] } else { BEARER },
        request_body: sends.then_some(Reference { to: "#/components/requestBodies/Any" }),
        responses: if route.public { PUBLIC_ANSWERS } else { ANSWERS },
        pattern: &route.path,
    }
}

fn description(route: &RouteDoc) -> String {
    let mut text = match &route.service {
        Some(service) => format!("Route `{}` to the service `{service}`.", route.id),
        None => format!("Route `{}`, answered by the gateway.", route.id),
    };
    text.push_str(if route.public { " Public: needs no token." } else { " Needs a token." });
    let mut seen = HashSet::new();
    let roles: Vec<_> = route.roles.iter().filter(|role| seen.insert(*role)).map(|role| format!("`{role}`")).collect();
    match roles.len() {
        0 => (),
        1 => text.push_str(&format!(" Asks for the role {}.", roles.concat())),
        _ => text.push_str(&format!(" Asks for roles: {}.", roles.join(", "))),
    }
    text
}

/// `wanted`, or the first of `wanted_2`, `wanted_3`, … that is free.
fn unique(wanted: &str, taken: &mut HashSet<String>) -> String {
    let mut name = wanted.to_owned();
    let mut count = 1_usize;
    while !taken.insert(name.clone()) {
        count += 1;
        name = format!("{wanted}_{count}");
    }
    name
}

/// A path of the document.
struct Place {
    template: String,
    names: Vec<String>,
    /// The parameter that stands for everything below a tree.
    rest: Option<String>,
}

impl Place {
    /// One for a plain path or a template, two for a tree: its root and what is below.
    fn all_of(pattern: &str) -> Vec<Self> {
        let Some(root) = pattern.strip_suffix("/*") else { return vec![Self::parse(pattern)] };
        let place = Self::parse(root);
        let mut taken: HashSet<String> = place.names.iter().cloned().collect();
        let rest = unique("path", &mut taken);
        let below = Self {
            template: format!("{}/{{{rest}}}", place.template),
            names: place.names.iter().cloned().chain([rest.clone()]).collect(),
            rest: Some(rest),
        };
        // The root of `/*` is a page of ours.
        if root.is_empty() { vec![below] } else { vec![place, below] }
    }

    fn parse(pattern: &str) -> Self {
        let (mut names, mut taken) = (Vec::new(), HashSet::new());
        let segment = |segment: &str| match parameter(segment) {
            Some(name) => {
                let name = unique(name, &mut taken);
                names.push(name.clone());
                format!("{{{name}}}")
            }
            None => segment.to_owned(),
        };
        let template = pattern.split('/').map(segment).collect::<Vec<_>>().join("/");
        Self { template, names, rest: None }
    }

    /// The template without its names.
    fn key(&self) -> String {
        let nameless = |segment| if parameter(segment).is_some() { "{}" } else { segment };
        self.template.split('/').map(nameless).collect::<Vec<_>>().join("/")
    }

    fn parameters(&self) -> Vec<Parameter> {
        let description = |name: &String| {
            (Some(name) == self.rest.as_ref())
                .then_some("What is below. Pages like this one can only send one segment.")
        };
        let schema = || Schema { r#type: "string" };
        let parameter = |name: &String| Parameter {
            name: name.clone(),
            r#in: "path",
            required: true,
            description: description(name),
            schema: schema(),
        };
        self.names.iter().map(parameter).collect()
    }
}

/// The name in `{name}`.
fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

#[cfg(test)]
#[path = "openapi_tests.rs"]
mod tests;
