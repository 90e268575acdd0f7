//! Sections whose shape is right, asked themselves: keys that are none, origins, addresses, roles, rewrites.
//!
//! The snapshot asks them again when it is built. Asking here too brings their errors into the same run as all others.

use super::{ConfigError, ListenerConfig, check, faults::not_set, source_map::below, tree::Tree};
use crate::{
    addresses::{AddressFiles, Addresses, AddressesConfig},
    admin::AdminConfig,
    auth::{Access, AccessConfig, AuthConfig, Authenticator, Language},
    cors::{Cors, CorsConfig},
    ext_auth::{Authorisers, ExtAuthConfig},
    limits::{Counters, Limit, LimitConfig, LimitsConfig},
    routing::{MatchConfig, Pattern, RedirectTo, Rewrite, RewriteConfig},
    security_headers::{SecurityHeaders, SecurityHeadersConfig},
    tls::{Certificates, ListenerTls, ListenerTlsConfig},
    types::{Secret, ServiceId},
    upstream::{Common, DnsConfig, HealthConfig, Service, ServiceConfig, States},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::{num::NonZeroU32, sync::Arc};

pub(super) fn check(tree: &Tree, errors: &mut Vec<ConfigError>) {
    let mut sections = Sections { tree, errors: Vec::new() };
    // Where a key source is missing or doubled, the rest of `auth` would only say so again.
    if errors.iter().all(|error| !error.path.starts_with("auth")) {
        sections.auth();
    }
    sections.listeners();
    sections.ext_auth();
    sections.admin();
    let listeners = tree.value.pointer("/listeners").and_then(Value::as_array).map_or(0, Vec::len);
    (0..listeners).for_each(|index| sections.listener(&format!("/listeners/{index}")));
    sections.cors("/cors");
    sections.security_headers("/security_headers");
    sections.limits();
    sections.dns();
    sections.services();
    let language = Language::default();
    for (index, route) in check::routes(&tree.value) {
        sections.route(&format!("/routes/{index}"), route, &language);
    }
    errors.extend(sections.errors);
}

struct Sections<'t> {
    tree: &'t Tree,
    errors: Vec<ConfigError>,
}

impl Sections<'_> {
    fn wrong(&mut self, pointer: &str, reason: String) {
        self.errors.push(self.tree.sources.error(pointer, reason));
    }

    /// A section as its type has it; what does not fit the type is the schema's business.
    fn read<T: DeserializeOwned>(&self, pointer: &str) -> Option<T> {
        self.tree.value.pointer(pointer).and_then(|value| T::deserialize(value).ok())
    }

    fn auth(&mut self) {
        let Some(config) = self.read::<AuthConfig>("/auth") else { return };
        for error in Authenticator::build(&config, None, &Arc::default()).err().into_iter().flatten() {
            self.wrong(&error.pointer, error.reason);
        }
    }

    fn listeners(&mut self) {
        let count = self.tree.value.pointer("/listeners").and_then(Value::as_array).map_or(0, Vec::len);
        let certificates = Certificates::default();
        for here in (0..count).map(|index| format!("/listeners/{index}/tls")) {
            let Some(config) = self.read::<ListenerTlsConfig>(&here) else { continue };
            for (pointer, reason) in ListenerTls::build(&config, &certificates).err().into_iter().flatten() {
                self.wrong(&format!("{here}{pointer}"), reason);
            }
        }
    }

    fn ext_auth(&mut self) {
        let entries = self.tree.value.get("ext_auth").and_then(Value::as_object);
        // One by one, so that an entry of the wrong shape does not hide the others.
        for (name, entry) in entries.into_iter().flatten() {
            let Ok(config) = ExtAuthConfig::deserialize(entry) else { continue };
            let built = Authorisers::build(&[(name.clone(), config)].into(), None);
            for (pointer, reason) in built.err().into_iter().flatten() {
                self.wrong(&format!("/ext_auth{pointer}"), reason);
            }
        }
    }

    fn admin(&mut self) {
        if self.read::<AdminConfig>("/admin").is_some_and(|config| config.is_open()) {
            let unset = self.tree.not_given.get("/admin/token").map(|names| format!("{}: ", not_set(names)));
            let reason = "others can reach this address, and could change things; add a token, or listen on 127.0.0.1";
            let place = if unset.is_some() { "/admin/token" } else { "/admin/address" };
            self.wrong(place, unset.unwrap_or_default() + reason);
        }
        let is_blank = |token: &Secret| !token.expose().bytes().all(|byte| byte.is_ascii_graphic());
        if self.read::<Secret>("/admin/token").is_some_and(|token| is_blank(&token)) {
            self.wrong(
                "/admin/token",
                "cannot be sent in a header; use visible ASCII: openssl rand -hex 32".to_owned(),
            );
        }
    }

    fn listener(&mut self, here: &str) {
        self.addresses(here);
        if self.read::<ListenerConfig>(here).is_some_and(|one| one.proxy_protocol && one.trusted_proxies.is_empty()) {
            let reason = "nobody may write a PROXY protocol header; name the balancers in trusted_proxies";
            self.wrong(&format!("{here}/proxy_protocol"), reason.to_owned());
        }
    }

    fn addresses(&mut self, here: &str) {
        let Some(config) = self.read::<AddressesConfig>(&format!("{here}/addresses")) else { return };
        let allow = format!("{here}/addresses/allow");
        if let Some(names) = self.tree.not_given.get(&allow).filter(|_| config.allow_file.is_none()) {
            // Elsewhere that means the default, which is everybody here.
            self.wrong(&allow, format!("{}, or take the key out", not_set(names)));
        }
        for (key, reason) in Addresses::build(&config, &AddressFiles::default()).err().into_iter().flatten() {
            self.wrong(&format!("{here}/addresses/{key}"), reason);
        }
    }

    fn cors(&mut self, here: &str) {
        let Some(config) = self.read::<CorsConfig>(here) else { return };
        if let Err(error) = Cors::build(&config) {
            self.wrong(&format!("{here}/{}", error.key), error.reason);
        }
    }

    fn security_headers(&mut self, here: &str) {
        let Some(config) = self.read::<SecurityHeadersConfig>(here) else { return };
        for (pointer, reason) in SecurityHeaders::build(&config).err().into_iter().flatten() {
            self.wrong(&format!("{here}{pointer}"), reason);
        }
    }

    fn limits(&mut self) {
        let general = self.read::<LimitsConfig>("/limits").unwrap_or_default();
        let counters = Counters::new(1);
        // What is not used may be mistaken all the same.
        let asked = LimitsConfig { requests: general.requests.or(Some(NonZeroU32::MIN)), ..general.clone() };
        if let Err(error) = Limit::general(&asked, &counters) {
            self.wrong(&format!("/limits/{}", error.key), error.reason);
        }
        for (index, route) in check::routes(&self.tree.value) {
            let here = format!("/routes/{index}/limits");
            let own = route.get("limits").and_then(|limits| Vec::<LimitConfig>::deserialize(limits).ok());
            for (at, limit) in own.iter().flatten().enumerate() {
                if let Err(error) = Limit::build("x", limit, &general, &counters) {
                    self.wrong(&format!("{here}/{at}/{}", error.key), error.reason);
                }
            }
        }
    }

    fn dns(&mut self) {
        if let Some((key, reason)) = self.read::<DnsConfig>("/dns").and_then(|config| config.problem()) {
            self.wrong(&format!("/dns/{key}"), reason);
        }
    }

    fn services(&mut self) {
        let general = self.read::<HealthConfig>("/health").unwrap_or_default();
        let common = Common { health: &general, zone: None };
        let states = States::default();
        let services = self.tree.value.get("services").and_then(Value::as_object);
        for (id, section) in services.into_iter().flatten() {
            let Ok(config) = ServiceConfig::deserialize(section) else { continue };
            let built = Service::build(ServiceId::from(id.as_str()), &config, common, &states);
            for (pointer, reason) in built.err().into_iter().flatten() {
                self.wrong(&format!("{}{pointer}", below("/services", id)), reason);
            }
        }
    }

    fn route(&mut self, here: &str, route: &Map<String, Value>, language: &Language) {
        self.addresses(here);
        if route.contains_key("cors") {
            self.cors(&format!("{here}/cors"));
        }
        self.security_headers(&format!("{here}/security_headers"));
        let rules = route.get("access").and_then(Value::as_array).into_iter().flatten().enumerate();
        for (at, rule) in rules {
            // One by one, so that a rule of the wrong shape does not hide the others.
            let Ok(rule) = AccessConfig::deserialize(rule) else { continue };
            for (_, key, reason) in Access::build(&[rule], language).err().into_iter().flatten() {
                self.wrong(format!("{here}/access/{at}/{key}").trim_end_matches('/'), reason);
            }
        }
        let matching = self.read::<MatchConfig>(&format!("{here}/match"));
        let Some(pattern) = matching.and_then(|matching| Pattern::parse(&matching).ok()) else { return };
        if let Some(rewrite) = self.read::<RewriteConfig>(&format!("{here}/rewrite"))
            && let Err(reason) = Rewrite::build(&rewrite, &pattern)
        {
            self.wrong(&format!("{here}/rewrite"), reason);
        }
        if let Some(to) = self.read::<String>(&format!("{here}/redirect/to"))
            && let Err(reason) = RedirectTo::build(&to, &pattern)
        {
            self.wrong(&format!("{here}/redirect/to"), reason);
        }
    }
}
