//! Headers in and out: what we add, and what we never let through.

use super::{
    client::{FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PORT, FORWARDED_PROTO},
    ctx::RequestCtx,
    forwarded::{self, FORWARDED},
    strict::is_websocket,
};
use crate::{
    auth::{Authenticator, Identity, Protected, TokenPlaces},
    cors::CORS_HEADERS,
    ext_auth::{Allowed, Authoriser},
    limits,
    security_headers::Transport,
    types::is_same_for_cgi,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, header,
    request::Parts,
    uri::{Authority, PathAndQuery},
};
use pingora::{
    http::{RequestHeader, ResponseHeader},
    prelude::Result,
};

/// The name of a request in both directions. `static`, so that a head can borrow the text.
pub(super) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long the service is waited for, in milliseconds.
static PATIENCE: HeaderName = HeaderName::from_static("x-request-timeout-ms");

/// What only a proxy may say. A caller who is none is not believed, and neither are underscores in place of dashes.
const PROXY_WORDS: [&str; 3] = ["forwarded", "x-real-ip", "x-request-id"];
const PROXY_PREFIXES: [&str; 2] = ["x-forwarded-", "x-amzn-oidc-"];

/// pingora takes hop-by-hop headers (RFC 9110 section 7.6.1) out of requests and leaves them in responses.
const HOP_BY_HOP: [HeaderName; 7] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
];

/// What tells callers which software runs behind the gateway.
const REVEALING: [HeaderName; 2] = [header::SERVER, HeaderName::from_static("x-powered-by")];

/// What the service is told. Names are written in small letters, whatever the caller's are: they mean the same (RFC 9110
/// section 5.1), and to keep both spellings costs a second map for each head.
pub(super) fn to_upstream(request: &mut Parts, ctx: &RequestCtx) {
    let headers = &mut request.headers;
    speak_for(headers, ctx.found.identity.as_deref(), ctx.snapshot.auth.protected(), ctx.client.word());
    forwarded(headers, ctx);
    headers.insert(REQUEST_ID.clone(), ctx.id.header());
    if let Some(host) = ctx.upstream_host() {
        headers.insert(header::HOST, host);
    }
    // Over whatever a caller or a proxy says: it is this gateway that waits.
    if let Some(patience) = ctx.patience() {
        headers.insert(PATIENCE.clone(), patience);
    }
    if let Some(path) = &ctx.rewritten {
        request.uri = path.clone().into();
    }
    strip_handshake(request, ctx.snapshot.auth.tokens());
    let (headers, route) = (&mut request.headers, ctx.route());
    if route.is_some_and(|route| !route.auth.is_public()) {
        strip(headers, &ctx.snapshot.auth);
    }
    // After that: what the authoriser says in place of the caller's credentials is for the service.
    if let Some(authoriser) = route.and_then(|route| route.ext_auth.as_deref()) {
        say_for(headers, authoriser, ctx.found.told.as_ref());
    }
    if let Some(route) = route {
        route.request_headers.apply_to_request(headers);
    }
}

/// Whether the peer's word about others counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// A trusted proxy's.
    Counts,
    /// A stranger's.
    IsNothing,
}

/// Put what the gateway knows about the caller in place of what the caller says, in every spelling. Most requests carry
/// nothing that has to go, and then nothing is allocated.
pub fn speak_for(headers: &mut HeaderMap, identity: Option<&Identity>, protected: &Protected, word: Word) {
    remove(headers, |name| !is_believed(name, protected, word));
    for (name, value) in identity.map_or(&[][..], Identity::headers) {
        headers.insert(name.clone(), value.clone());
    }
}

fn remove(headers: &mut HeaderMap, is_meant: impl Fn(&HeaderName) -> bool) {
    let found: Vec<HeaderName> = headers.keys().filter(|name| is_meant(name)).cloned().collect();
    found.iter().for_each(|name| _ = headers.remove(name));
}

/// Put what an authoriser says in place of what the caller says, whether it says anything or not.
fn say_for(headers: &mut HeaderMap, authoriser: &Authoriser, told: Option<&Allowed>) {
    remove(headers, |name| authoriser.owns(name));
    for (name, value) in told.into_iter().flat_map(|told| told.iter()) {
        headers.append(name.clone(), value.clone());
    }
}

/// Whether a header of this name may be the caller's: neither the gateway's own word nor, of a stranger, a proxy's.
pub(super) fn is_believed(name: &HeaderName, protected: &Protected, word: Word) -> bool {
    // No proxy writes underscores; whoever does means to be mistaken for one.
    let proxy = word == Word::Counts && !name.as_str().contains('_');
    !protected.is_protected(name) && (proxy || !is_word_of_a_proxy(name.as_str()))
}

fn is_word_of_a_proxy(name: &str) -> bool {
    let begins = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| is_same_for_cgi(start, prefix));
    PROXY_PREFIXES.into_iter().any(begins) || PROXY_WORDS.iter().any(|word| is_same_for_cgi(name, word))
}

/// Take the credentials out that are meant for the gateway alone.
fn strip(headers: &mut HeaderMap, auth: &Authenticator) {
    let tokens = auth.tokens();
    if auth.keeps_password(headers) {
        headers.remove(&header::AUTHORIZATION);
    }
    if let Some(name) = tokens.stripped_header(headers).cloned() {
        headers.remove(&name);
    }
    let cookies = tokens.stripped_cookie(headers);
    replace(headers, header::COOKIE, cookies);
}

/// Tokens of WebSocket handshakes are for the gateway alone, whatever the route asks for.
fn strip_handshake(request: &mut Parts, tokens: &TokenPlaces) {
    if !is_websocket(&request.headers, request.version) {
        return;
    }
    let protocols = tokens.stripped_protocols(&request.headers);
    replace(&mut request.headers, header::SEC_WEBSOCKET_PROTOCOL, protocols);
    let Some(rest) = request.uri.query().and_then(|query| tokens.stripped_query(query)) else { return };
    let path = request.uri.path();
    let stripped = if rest.is_empty() { path.to_owned() } else { format!("{path}?{rest}") };
    // What was an address stays one without a part of its query.
    if let Ok(stripped) = PathAndQuery::try_from(stripped) {
        request.uri = stripped.into();
    }
}

/// An empty value takes the header away.
fn replace(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        None => (),
        Some(value) if value.is_empty() => _ = headers.remove(&name),
        Some(value) => _ = headers.insert(name, value),
    }
}

/// `X-Forwarded-For`, `-Port`, `-Proto` and `-Host`, and `Forwarded`: what the service cannot see itself.
fn forwarded(headers: &mut HeaderMap, ctx: &RequestCtx) {
    match ctx.client.chain(headers) {
        Some(chain) => _ = headers.insert(FORWARDED_FOR.clone(), chain),
        None => _ = headers.remove(&FORWARDED_FOR),
    }
    let chain = |headers: &HeaderMap| forwarded::chain(&ctx.client, headers);
    // A chain that ends before the gateway would be half the truth: it is continued or dropped.
    match ctx.listener().filter(|listener| listener.forwarded).and_then(|_| chain(headers)) {
        Some(chain) => _ = headers.insert(FORWARDED.clone(), chain),
        // What strangers say is gone already.
        None if ctx.client.trusted => _ = headers.remove(&FORWARDED),
        None => (),
    }
    // After `speak_for`: what is there now came from a trusted proxy. One that tells the scheme and no port has another
    // port than the gateway.
    if let Some(port) = ctx.client.port
        && !headers.contains_key(&FORWARDED_PORT)
        && !headers.contains_key(&FORWARDED_PROTO)
    {
        headers.insert(FORWARDED_PORT.clone(), HeaderValue::from(port));
    }
    if !headers.contains_key(&FORWARDED_PROTO) {
        headers.insert(FORWARDED_PROTO.clone(), HeaderValue::from_static(ctx.client.scheme));
    }
    if !headers.contains_key(&FORWARDED_HOST)
        && let Some(host) = headers.get(header::HOST).cloned()
    {
        headers.insert(FORWARDED_HOST.clone(), host);
    }
}

/// What the service answered, before anything else looks at it.
pub(super) fn from_upstream(response: &mut ResponseHeader, request: &RequestHeader, ctx: &RequestCtx) -> Result<()> {
    // A 101 keeps its `Upgrade` and `Connection`.
    let switching = response.status.is_informational();
    if !switching {
        remove_nominated(response);
    }
    // The gateway's own policy holds; two answers to one question confuse browsers.
    let cors = if ctx.cors().is_some() { &CORS_HEADERS[..] } else { &[] };
    let stays = |name: &HeaderName| switching && *name == header::UPGRADE;
    let refused = |name: &&HeaderName| {
        (HOP_BY_HOP.contains(name) && !stays(name)) || REVEALING.contains(name) || cors.contains(name)
    };
    // One look at what is there, not one for everything that could be.
    let found: Vec<HeaderName> = response.headers.keys().filter(refused).cloned().collect();
    for name in &found {
        response.remove_header(name);
    }
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        if let Some(value) = rewritten(response.headers.get(&name), request, ctx) {
            response.insert_header(name, value)?;
        }
    }
    if !response.status.is_informational()
        && let Some(ticket) = ctx.attempts.current.as_ref().and_then(|attempt| attempt.ticket(&ctx.caller(request)))
    {
        response.append_header(header::SET_COOKIE, ticket.clone())?;
    }
    Ok(())
}

/// RFC 9110 section 7.6.1: what `Connection` names is for the next hop only.
fn remove_nominated(response: &mut ResponseHeader) {
    let nominated: Vec<HeaderName> = response
        .headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.to_str().unwrap_or_default().split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        // Framing is not for anybody to take away.
        .filter(|name| ![header::CONTENT_LENGTH, header::TRANSFER_ENCODING].contains(name))
        .collect();
    for name in &nominated {
        response.remove_header(name);
    }
}

/// An address of the service's own, as the caller must write it. FastAPI redirects slashes with absolute URLs.
fn rewritten(value: Option<&HeaderValue>, request: &RequestHeader, ctx: &RequestCtx) -> Option<HeaderValue> {
    let text = value?.to_str().ok()?;
    let own = ctx.upstream_host()?;
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if !authority.eq_ignore_ascii_case(own.to_str().ok()?) {
        return None;
    }
    let said =
        |name: &HeaderName| request.headers.get(name).filter(|_| ctx.client.trusted).and_then(|v| v.to_str().ok());
    let scheme = ctx.client.scheme_of(&request.headers);
    let sent = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = said(&FORWARDED_HOST).or(sent).filter(|host| host.parse::<Authority>().is_ok())?;
    HeaderValue::from_str(&format!("{scheme}://{host}{path}")).ok()
}

/// How the caller's own request travelled, as far as a trusted proxy or the gateway's own connection says.
fn transport(request: &RequestHeader, ctx: &RequestCtx) -> Transport {
    if ctx.client.scheme_of(&request.headers) == "https" { Transport::Secure } else { Transport::Plain }
}

/// What the caller is told, by the service or by us: otherwise a browser could not read our own 401.
pub(super) fn to_downstream(response: &mut ResponseHeader, request: &RequestHeader, ctx: &RequestCtx) -> Result<()> {
    if let Some(route) = ctx.route() {
        route.response_headers.apply_to_response(response)?;
    }
    response.insert_header(REQUEST_ID.as_str(), ctx.id.header())?;
    if !response.status.is_informational() {
        let security = ctx.snapshot.security_headers_of(ctx.found.route);
        security.apply(response, transport(request, ctx))?;
    }
    for (name, value) in ctx.found.limit.iter().flat_map(limits::Headers::all) {
        response.insert_header(name, value)?;
    }
    let Some(cors) = ctx.cors() else { return Ok(()) };
    if cors.varies() && !response.headers.contains_key(header::ACCESS_CONTROL_ALLOW_METHODS) {
        // Also for origins that are not allowed, or a cache would hand one origin's answer to another.
        response.append_header(header::VARY, HeaderValue::from_static("Origin"))?;
    }
    for (name, value) in cors.headers_for(&request.headers) {
        response.insert_header(name, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_proxies_are_known_in_every_spelling() {
        for name in [
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded-anything",
            "forwarded",
            "x_real_ip",
            "x-request_id",
            "x-amzn-oidc-accesstoken",
        ] {
            assert!(is_word_of_a_proxy(name), "{name}");
        }
        for name in ["x-forward", "x-forwarde", "forwarded-x", "host", "x-real-ip2"] {
            assert!(!is_word_of_a_proxy(name), "{name}");
        }
    }
}
