//! What the document says of the gateway itself: its own paths, and the answers that all routes share.

use super::openapi::GATEWAY;
use serde_json::{Value, json};

/// `/`, `/health` and what is below it.
pub(super) fn paths() -> [(&'static str, Value); 4] {
    [
        ("/", own("gateway_root", "Name, version and links", &json!({ "200": answer("What runs here.", "Root") }))),
        (
            "/health",
            own("gateway_health", "Health of all services", &json!({ "200": answer("The gateway serves.", "Health") })),
        ),
        ("/health/live", own("gateway_live", "Liveness", &json!({ "200": answer("The process serves.", "Status") }))),
        (
            "/health/ready",
            own(
                "gateway_ready",
                "Readiness",
                &json!({
                    "200": answer("New requests may come.", "Status"),
                    "503": answer("The gateway is about to end; send new requests elsewhere.", "Status"),
                }),
            ),
        ),
    ]
}

fn own(id: &str, summary: &str, responses: &Value) -> Value {
    json!({ "get": {
        "tags": [GATEWAY], "operationId": id, "summary": summary, "security": [], "responses": responses,
    } })
}

fn answer(description: &str, schema: &str) -> Value {
    let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
    json!({ "description": description, "content": { "application/json": { "schema": schema } } })
}

/// What operations refer to.
pub(super) fn components() -> Value {
    json!({
        "securitySchemes": { "bearerAuth": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "`Authorization: Bearer …` with a token that the gateway can verify.",
        } },
        "requestBodies": { "Any": {
            "description": "What the service takes.", "content": { "application/json": { "schema": {} } },
        } },
        "responses": {
            "Service": { "description": "What the service answers." },
            "Unauthenticated": refusal("No token, or none that counts.", "WWW-Authenticate"),
            "Forbidden": problem("A token, and not enough."),
            "NotFound": problem("Nothing is found at this path."),
            "TooManyRequests": refusal("More requests than the limit allows.", "Retry-After"),
            "Unavailable": problem("The service is not available."),
        },
        "schemas": { "Problem": problem_schema(), "Root": root(), "Health": health(), "Status": status() },
    })
}

fn problem(description: &str) -> Value {
    let schema = json!({ "$ref": "#/components/schemas/Problem" });
    json!({ "description": description, "content": { "application/problem+json": { "schema": schema } } })
}

fn refusal(description: &str, header: &str) -> Value {
    let mut value = problem(description);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("headers".to_owned(), json!({ header: { "schema": { "type": "string" } } }));
    }
    value
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "description": "A refusal by the gateway (RFC 9457).",
        "required": ["title", "status", "code", "detail", "request_id"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference", "default": "about:blank" },
            "title": { "type": "string", "examples": ["Not Found"] },
            "status": { "type": "integer", "examples": [404] },
            "code": { "type": "string", "description": "A stable name of the reason.", "examples": ["no_route"] },
            "detail": { "type": "string", "examples": ["nothing is found at this path"] },
            "request_id": { "type": "string", "description": "As in `X-Request-ID` and in the log." },
        },
    })
}

fn root() -> Value {
    json!({
        "type": "object",
        "required": ["name", "version", "status", "links"],
        "properties": {
            "name": { "type": "string" },
            "version": { "type": "string" },
            "status": { "const": "running" },
            "links": { "type": "object", "additionalProperties": { "type": "string" } },
        },
    })
}

fn health() -> Value {
    json!({
        "type": "object",
        "required": ["status", "gateway", "timestamp", "services"],
        "properties": {
            "status": { "enum": ["healthy", "degraded", "unhealthy"] },
            "gateway": { "type": "string" },
            "timestamp": { "type": "string", "format": "date-time" },
            "services": { "type": "object", "additionalProperties": {
                "type": "object",
                "required": ["status", "response_time"],
                "properties": {
                    "status": { "enum": ["healthy", "unhealthy", "unknown"] },
                    "response_time": { "type": ["string", "null"], "examples": ["15ms"] },
                    "error": { "type": "string", "examples": ["connect"] },
                },
            } },
        },
    })
}

fn status() -> Value {
    json!({
        "type": "object",
        "required": ["status"],
        "properties": { "status": { "enum": ["live", "ready", "draining"] } },
    })
}
