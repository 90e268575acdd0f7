//! May they: the rules of a route, and whoever is asked besides.

use super::{
    Rejection,
    admission::Admission,
    client::{Client, FORWARDED_HOST},
    headers::is_believed,
};
use crate::{
    auth::{Facts, Identity},
    ext_auth::{Authoriser, Question, Refused},
    routing::Target,
    runtime::{Action, Route, Snapshot},
    types::{Mode, is_same_for_cgi, unix_seconds},
};
use http::{HeaderMap, HeaderName, header};

/// A request that was matched, and where it comes from.
#[derive(Clone, Copy)]
pub(super) struct Matched<'r> {
    pub(super) snapshot: &'r Snapshot,
    pub(super) route: &'r Route,
    pub(super) target: &'r Target,
    pub(super) headers: &'r HeaderMap,
    pub(super) client: &'r Client,
    /// Whether it asks for a WebSocket.
    pub(super) websocket: bool,
}

/// Whether the service may see something else under this name than is seen here: a header that `Connection` takes away on
/// the next hop, or one that CGI and its heirs cannot tell from another of the request.
fn is_doubtful(headers: &HeaderMap, name: &HeaderName) -> bool {
    let lines = headers.get_all(header::CONNECTION).iter().filter_map(|line| line.to_str().ok());
    let mut nominated = lines.flat_map(|line| line.split(',')).map(str::trim);
    let same = |other: &HeaderName| other != name && is_same_for_cgi(other.as_str(), name.as_str());
    nominated.any(|one| one.eq_ignore_ascii_case(name.as_str())) || headers.keys().any(same)
}

impl Matched<'_> {
    /// Whether the rules of the route let it pass.
    pub(super) fn check_access(&self, found: &mut Admission) -> Result<(), Rejection> {
        if self.route.access.is_empty() {
            return Ok(());
        }
        let Self { snapshot, route, target, headers, client, .. } = *self;
        let protected = snapshot.auth.protected();
        let is_hidden = |name: &HeaderName| !is_believed(name, protected, client.word());
        let facts = Facts {
            method: target.method(),
            path: target.path(),
            host: target.host(),
            scheme: client.scheme_of(headers),
            query: target.query(),
            headers,
            is_hidden: &is_hidden,
            is_doubtful: &|name| is_doubtful(headers, name),
            client: client.address,
            route: route.id.as_str(),
            service: self.service(),
            now: unix_seconds(),
        };
        let identity: Option<&Identity> = found.identity.as_deref();
        if let Some(observed) = route.access.check(identity, &facts)? {
            found.observed.get_or_insert(observed.code());
        }
        Ok(())
    }

    /// Whether an authoriser lets it pass.
    pub(super) async fn ask(&self, authoriser: &Authoriser, found: &mut Admission) -> Result<(), Rejection> {
        if authoriser.mode() == Mode::Off {
            return Ok(());
        }
        let question = self.question(authoriser, found.identity.as_deref());
        match authoriser.ask(question).await {
            Ok(told) => found.told = Some(told),
            Err(refused) => {
                let passes = matches!(refused, Refused::Unavailable(_)) && authoriser.passes_on_failure();
                let rejection = Rejection::from(refused);
                if authoriser.mode() == Mode::Enforce && !passes {
                    return Err(rejection);
                }
                found.observed.get_or_insert(rejection.code());
            }
        }
        Ok(())
    }

    fn question(&self, authoriser: &Authoriser, identity: Option<&Identity>) -> HeaderMap {
        let Self { snapshot, target, headers, client, .. } = *self;
        let is_believed = |name: &HeaderName| {
            is_believed(name, snapshot.auth.protected(), client.word()) && !is_doubtful(headers, name)
        };
        let whole = target.path_and_query();
        // A token in the query is for the gateway alone.
        let handshake = target.query().filter(|_| self.websocket);
        let rest = handshake.and_then(|query| snapshot.auth.tokens().stripped_query(query));
        let stripped = rest.map(|rest| format!("{}?{rest}", target.path()));
        let said = headers.get(&FORWARDED_HOST).filter(|_| client.trusted);
        authoriser.question(&Question {
            method: target.method(),
            uri: stripped.as_deref().unwrap_or(whole),
            host: said.or(target.authority()),
            scheme: client.scheme_of(headers),
            chain: client.chain(headers).as_ref(),
            headers,
            is_believed: &is_believed,
            identity: identity.map_or(&[][..], Identity::headers),
        })
    }

    fn service(&self) -> Option<&str> {
        match &self.route.action {
            Action::Forward(index) => self.snapshot.service(*index).map(|service| service.id.as_str()),
            _ => None,
        }
    }
}
