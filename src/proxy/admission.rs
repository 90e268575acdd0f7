//! Every question asked before a request may go upstream, in the order that safety asks for.

use super::{Rejection, client::Client, permission::Matched, strict::is_websocket};
use crate::{
    addresses::{Addresses, Verdict as AddressVerdict},
    auth::{Credentials, Identity},
    cors,
    ext_auth::Allowed,
    limits::{self, Asker, Limit, Refused},
    own::{Page, Pages},
    routing::{EncodedSlash, Found, Target, TargetError},
    runtime::{Action, Route, RouteIndex, ServiceIndex, Snapshot},
    types::{ClientCertificate, Reply},
};
use http::{HeaderMap, Method, header};
use pingora::http::RequestHeader;
use std::{net::IpAddr, sync::Arc};

/// What admission found out, also when it ended with a rejection: a 401 needs its route's CORS headers.
#[derive(Debug, Default)]
pub(super) struct Admission {
    pub(super) route: Option<RouteIndex>,
    pub(super) identity: Option<Arc<Identity>>,
    /// What the service is told by whoever was asked besides.
    pub(super) told: Option<Allowed>,
    /// What the strictest limit says, also when it lets the request pass.
    pub(super) limit: Option<limits::Headers>,
    /// The code of the first refusal that only `mode: observe` let pass.
    pub(super) observed: Option<&'static str>,
    /// The nearest route of a 404 and what did not match, for the log.
    pub(super) nearest: Option<Box<str>>,
}

/// What becomes of a request that may pass.
#[derive(Debug)]
pub(super) enum Verdict {
    Forward(ServiceIndex),
    Answer(Reply),
    /// The answer has to be gathered first.
    Metrics,
}

/// Who is connected, as far as the connection tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer<'r> {
    /// From where, through which proxies.
    pub(super) client: &'r Client,
    /// What the handshake has proven.
    pub(super) certificate: Option<&'r ClientCertificate>,
}

/// Decide. `target` may be replaced by the form that its route asks for (`encoded_slash: decode`).
pub(super) async fn admit(
    snapshot: &Snapshot,
    head: &RequestHeader,
    target: &mut Target,
    peer: Peer<'_>,
    found: &mut Admission,
) -> Result<Verdict, Rejection> {
    let asked = cors::preflight_method(target.method(), &head.headers);
    if asked.is_none()
        && let Some(page) = own_page(snapshot, target, &head.headers)
    {
        if Pages::is_inside(target.path()) && !snapshot.own_auth.is_public() {
            Box::pin(see_inside(snapshot, head, peer, target.query(), found)).await?;
        }
        return page;
    }
    // A preflight speaks for another method, and carries no credentials: it is answered before auth.
    if let Some(method) = asked {
        return Ok(Verdict::Answer(preflight(snapshot, head, target, &method, found)));
    }
    let (index, route) = find(snapshot, target, &head.headers, found)?;
    found.route = Some(index);
    check_address(route.addresses.as_ref(), peer.client.address, found)?;
    if target.has_encoded_slash() {
        *target = slashes(snapshot, head, target, index, route)?;
    }

    let (headers, client, websocket) = (&head.headers, peer.client, is_websocket(&head.headers, head.version));
    let matched = Matched { snapshot, route, target, headers, client, websocket };
    permit(&matched, head, peer, found).await?;
    match &route.action {
        Action::Forward(service) => Ok(Verdict::Forward(*service)),
        Action::Redirect(redirect) => Ok(Verdict::Answer(redirect.reply(target))),
        Action::Respond(reply) => Ok(Verdict::Answer(reply.clone())),
    }
}

/// Whether this caller may see a page about the inside.
async fn see_inside(
    snapshot: &Snapshot,
    head: &RequestHeader,
    peer: Peer<'_>,
    query: Option<&str>,
    found: &mut Admission,
) -> Result<(), Rejection> {
    let outcome = snapshot.auth.authenticate(snapshot.own_auth, &credentials(head, peer, query)).await;
    found.identity = outcome.map_err(|error| Rejection::Unauthenticated(error, snapshot.own_auth))?;
    Ok(())
}

fn credentials<'r>(head: &'r RequestHeader, peer: Peer<'r>, query: Option<&'r str>) -> Credentials<'r> {
    let (trusted, certificate) = (peer.client.trusted, peer.certificate);
    Credentials {
        headers: &head.headers,
        query,
        websocket: is_websocket(&head.headers, head.version),
        trusted,
        certificate,
    }
}

/// Whether this caller may do this.
async fn permit(
    matched: &Matched<'_>,
    head: &RequestHeader,
    peer: Peer<'_>,
    found: &mut Admission,
) -> Result<(), Rejection> {
    let Matched { snapshot, route, target, .. } = *matched;
    identify(snapshot, route, head, peer, target.query(), found).await?;
    matched.check_access(found)?;
    check_length(&head.headers, route.max_body)?;
    if let Some(authoriser) = &route.ext_auth {
        // Boxed: requests that ask nobody should not carry its state along.
        Box::pin(matched.ask(authoriser, found)).await?;
    }
    if route.revoke_token {
        revoke(snapshot, found);
    }
    Ok(())
}

/// Who calls, beside what the token says.
#[derive(Clone, Copy)]
struct Caller<'r> {
    client: IpAddr,
    headers: &'r HeaderMap,
    route: &'r str,
}

/// Whether one may call from `address`: asked before anything that costs more than a look-up.
pub(super) fn check_address(
    addresses: Option<&Addresses>,
    address: IpAddr,
    found: &mut Admission,
) -> Result<(), Rejection> {
    let Some(addresses) = addresses else { return Ok(()) };
    if addresses.check(address)? == AddressVerdict::Observed {
        found.observed = found.observed.or(Some("address_denied"));
    }
    Ok(())
}

/// Who calls, and whether they call too often.
async fn identify(
    snapshot: &Snapshot,
    route: &Route,
    head: &RequestHeader,
    peer: Peer<'_>,
    query: Option<&str>,
    found: &mut Admission,
) -> Result<(), Rejection> {
    let caller = Caller { client: peer.client.address, headers: &head.headers, route: route.id.as_str() };
    // Before auth: a flood of bad tokens must not cost a signature check each.
    limit(snapshot, &route.limits.before, caller, false, found).await?;
    let outcome = snapshot.auth.authenticate(route.auth, &credentials(head, peer, query)).await;
    let refused = outcome.map(|identity| found.identity = identity).err();
    // Where nobody is known the address pays: who guesses tokens is soon over the limit.
    limit(snapshot, &route.limits.after, caller, refused.is_some(), found).await?;
    refused.map_or(Ok(()), |error| Err(Rejection::Unauthenticated(error, route.auth)))
}

/// A way out: the token that came with the request is over, whatever the service says then.
fn revoke(snapshot: &Snapshot, found: &Admission) {
    let Some(revocation) = found.identity.as_deref().and_then(|identity| snapshot.auth.revocation(identity)) else {
        return;
    };
    let settings = &snapshot.config.auth.revocation;
    if let Err(error) = snapshot.process.revocations.revoke(settings, &revocation) {
        log::error!("a token stays valid although its owner left: {error}");
    }
}

/// Ask every limit, until one refuses; the strictest is told to the caller. Those asked before the one that refuses have
/// counted the request: shorter windows come first, so that no long one is used up by a burst.
async fn limit(
    snapshot: &Snapshot,
    limits: &[Arc<Limit>],
    caller: Caller<'_>,
    refused: bool,
    found: &mut Admission,
) -> Result<(), Rejection> {
    let Caller { client, headers, route } = caller;
    for limit in limits {
        let identity = found.identity.as_deref();
        let number = |claim: &str| identity.and_then(|identity| identity.number(claim));
        let consumer = identity.and_then(Identity::id);
        let asker = Asker { client, consumer, refused, headers, route, number: &number };
        let Some(decision) = limit.admit(&asker, &snapshot.process.limits, &snapshot.process.store).await? else {
            continue;
        };
        let said = limits::Headers::new(limit, decision);
        if found.limit.as_ref().is_none_or(|known| said.is_stricter_than(known)) {
            found.limit = Some(said);
        }
        if let Some(retry) = decision.retry {
            return Err(Refused::OverLimit(retry).into());
        }
    }
    Ok(())
}

/// A page of ours. Its path belongs to us with every method, and to no route where there is nothing to answer.
fn own_page(snapshot: &Snapshot, target: &Target, headers: &HeaderMap) -> Option<Result<Verdict, Rejection>> {
    let Some(page) = snapshot.pages.answer(target.path(), headers, || snapshot.state()) else {
        return Pages::shadowed_by(target.path()).map(|_| Err(Rejection::NoRoute));
    };
    let read = [Method::GET, Method::HEAD].contains(target.method());
    Some(match page {
        _ if !read => Err(Rejection::MethodNotAllowed(vec![Method::GET, Method::HEAD])),
        Page::Ready(reply) => Ok(Verdict::Answer(reply)),
        Page::Metrics => Ok(Verdict::Metrics),
    })
}

/// Answered by the policy of the route that the real request will meet; where there is none, by the general one, so
/// that a page can read the 404 that follows.
fn preflight(
    snapshot: &Snapshot,
    head: &RequestHeader,
    target: &Target,
    method: &Method,
    found: &mut Admission,
) -> Reply {
    if let Found::Route(index) = snapshot.find(target, method, &head.headers) {
        found.route = Some(*index);
    }
    match snapshot.cors_of(found.route) {
        Some(cors) => cors.preflight(&head.headers),
        None => Reply::empty(http::StatusCode::NO_CONTENT),
    }
}

fn find<'s>(
    snapshot: &'s Snapshot,
    target: &Target,
    headers: &HeaderMap,
    found: &mut Admission,
) -> Result<(RouteIndex, &'s Route), Rejection> {
    match snapshot.find(target, target.method(), headers) {
        Found::Route(index) => snapshot.route(*index).map(|route| (*index, route)).ok_or(Rejection::Internal),
        // What nobody expects with a slash in disguise is no honest mistake of a path.
        _ if target.has_encoded_slash() => Err(TargetError::EncodedSlash.into()),
        Found::WrongMethod(allowed) => Err(Rejection::MethodNotAllowed(allowed)),
        Found::None(nearest) => {
            let route = |near: &crate::routing::Near<'_, RouteIndex>| snapshot.route(*near.value);
            let say = |near| route(&near).map(|route| format!("nearest route {}: {}", route.id, near.missed).into());
            found.nearest = nearest.and_then(say);
            Err(Rejection::NoRoute)
        }
    }
}

/// The route decides what an encoded slash is; as a real one it must not lead to another route.
fn slashes(
    snapshot: &Snapshot,
    head: &RequestHeader,
    target: &Target,
    index: RouteIndex,
    route: &Route,
) -> Result<Target, Rejection> {
    let decoded = match route.encoded_slash {
        EncodedSlash::Refuse => return Err(TargetError::EncodedSlash.into()),
        EncodedSlash::Keep => return target.keep_slashes().map(|()| target.clone()).map_err(Rejection::from),
        EncodedSlash::Decode => target.decode_slashes()?,
    };
    match snapshot.find(&decoded, decoded.method(), &head.headers) {
        Found::Route(other) if *other == index => Ok(decoded),
        _ => Err(TargetError::EncodedSlash.into()),
    }
}

/// Before a byte of the body is read. What has no length is counted as it arrives.
fn check_length(headers: &HeaderMap, max_body: u64) -> Result<(), Rejection> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    match length.map(str::parse::<u64>) {
        Some(Ok(length)) if length > max_body => Err(Rejection::BodyTooLarge),
        _ => Ok(()),
    }
}
