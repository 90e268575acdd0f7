use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// What an authoriser is told about a request, beside the headers that it is configured to hear.
#[derive(Clone, Copy)]
pub struct Question<'r> {
    /// The request's method.
    pub method: &'r Method,
    /// Path as normalised, and query.
    pub uri: &'r str,
    /// Whom the caller asked for.
    pub host: Option<&'r HeaderValue>,
    /// `http` or `https`, as the caller used it.
    pub scheme: &'static str,
    /// Callers' addresses, as the service gets them.
    pub chain: Option<&'r HeaderValue>,
    /// What the caller sent.
    pub headers: &'r HeaderMap,
    /// Whether a header of this name is the caller's to say.
    pub is_believed: &'r (dyn Fn(&HeaderName) -> bool + Sync),
    /// What the gateway knows about the caller.
    pub identity: &'r [(HeaderName, HeaderValue)],
}

/// In the words of Traefik, which many authorisers know.
static METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
static URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
static HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl Question<'_> {
    /// Everything that is sent; `chosen`: names that are sent too.
    pub(super) fn said(&self, chosen: &[HeaderName]) -> HeaderMap {
        let mut said = HeaderMap::with_capacity(5 + chosen.len());
        for name in chosen {
            let known = self.identity.iter().find(|(own, _)| own == name);
            match known {
                Some((_, value)) => _ = said.insert(name.clone(), value.clone()),
                None if (self.is_believed)(name) => {
                    self.headers.get_all(name).iter().for_each(|value| _ = said.append(name.clone(), value.clone()));
                }
                None => (),
            }
        }
        let method = HeaderValue::from_str(self.method.as_str()).ok();
        let uri = HeaderValue::from_str(self.uri).ok();
        let ours = [(&METHOD, method), (&URI, uri), (&HOST, self.host.cloned()), (&FOR, self.chain.cloned())];
        let given = ours.into_iter().filter_map(|(name, value)| Some((name, value?)));
        given.for_each(|(name, value)| _ = said.insert(name.clone(), value));
        said.insert(PROTO.clone(), HeaderValue::from_static(self.scheme));
        said
    }
}
