use super::{
    AccessConfig, Identity,
    expression::{Expression, Facts, Language},
};
use crate::types::Mode;
use http::Method;
use std::borrow::Cow;

/// `access:` of a route, compiled: what a caller needs beyond a valid token.
#[derive(Debug, Default)]
pub struct Access(Box<[Rule]>);

#[derive(Debug)]
struct Rule {
    /// Its place in the list.
    at: usize,
    mode: Mode,
    /// Empty: every method.
    methods: Box<[Method]>,
    any_role: Box<[Box<str>]>,
    all_roles: Box<[Box<str>]>,
    any_permission: Box<[Box<str>]>,
    all_permissions: Box<[Box<str>]>,
    claims: Box<[(Box<str>, Values)]>,
    allow_if: Option<Expression>,
}

type Values = Box<[Box<str>]>;

/// Which entry of a list is wrong, which key of it, and what would be right.
pub type AccessError = (usize, String, String);

/// A caller who is known, and not allowed. The message is for the caller and names nothing of the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the caller is not allowed to do this")]
pub struct Forbidden {
    code: &'static str,
    reason: Cow<'static, str>,
}

impl Forbidden {
    /// Roles, permissions and claims.
    const BY_KEY: &str = "forbidden";
    /// `allow_if`.
    const BY_EXPRESSION: &str = "expression_denied";

    /// One of each code, for the table of codes.
    pub fn all() -> [Self; 2] {
        [Self::BY_KEY, Self::BY_EXPRESSION].map(|code| Self { code, reason: Cow::Borrowed("") })
    }

    /// Whether a role, permission or claim is missing, or an expression says no.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Which key of a rule was not met, for the log.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    fn by_key(reason: &'static str) -> Self {
        Self { code: Self::BY_KEY, reason: Cow::Borrowed(reason) }
    }
}

impl Access {
    /// Compile the section.
    ///
    /// # Errors
    /// What is wrong with each entry: its first fault.
    pub fn build(config: &[AccessConfig], language: &Language) -> Result<Self, Vec<AccessError>> {
        let (mut rules, mut errors) = (Vec::new(), Vec::new());
        for (at, config) in config.iter().enumerate() {
            match Rule::build(at, config, language) {
                Ok(rule) => rules.push(rule),
                Err((key, reason)) => errors.push((at, key, reason)),
            }
        }
        if errors.is_empty() { Ok(Self(rules.into())) } else { Err(errors) }
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `identity` may do this. Every rule that applies must let the request pass. The first that does not and is
    /// only observed comes back.
    ///
    /// # Errors
    /// The first rule that does not, and acts.
    pub fn check(&self, identity: Option<&Identity>, facts: &Facts<'_>) -> Result<Option<Forbidden>, Forbidden> {
        let mut observed = None;
        for rule in self.0.iter().filter(|rule| rule.applies(facts.method)) {
            let outcome = match identity {
                Some(identity) => rule.check(identity, facts),
                None => Err(Forbidden::by_key("access: nobody is known on a public route")),
            };
            match outcome {
                Err(forbidden) if rule.mode == Mode::Observe => _ = observed.get_or_insert(forbidden),
                other => other?,
            }
        }
        Ok(observed)
    }
}

impl Rule {
    fn build(at: usize, config: &AccessConfig, language: &Language) -> Result<Self, (String, String)> {
        let allow_if = config.allow_if.as_ref().map(|text| Expression::compile(text, language));
        let rule = Self {
            at,
            mode: config.mode,
            methods: config.methods.iter().enumerate().map(method).collect::<Result<_, _>>()?,
            any_role: texts(&config.any_role),
            all_roles: texts(&config.all_roles),
            any_permission: texts(&config.any_permission),
            all_permissions: texts(&config.all_permissions),
            claims: config.claims.iter().map(|(path, values)| (path.as_str().into(), texts(values))).collect(),
            allow_if: allow_if.transpose().map_err(|reason| ("allow_if".to_owned(), reason))?,
        };
        let lists = [&rule.any_role, &rule.all_roles, &rule.any_permission, &rule.all_permissions];
        if lists.iter().all(|list| list.is_empty()) && rule.claims.is_empty() && rule.allow_if.is_none() {
            let reason =
                "asks for nothing; name any_role, all_roles, any_permission, all_permissions, claims or allow_if";
            return Err((String::new(), reason.to_owned()));
        }
        if let Some((path, _)) = rule.claims.iter().find(|(_, values)| values.is_empty()) {
            let reason = "nobody could have it; list the values that are accepted";
            return Err((format!("claims/{path}"), reason.to_owned()));
        }
        Ok(rule)
    }

    fn applies(&self, method: &Method) -> bool {
        // HEAD tells what GET tells (RFC 9110 section 9.3.2), so a rule for GET holds for it.
        let method = if method == Method::HEAD && !self.methods.contains(method) { &Method::GET } else { method };
        self.mode != Mode::Off && (self.methods.is_empty() || self.methods.contains(method))
    }

    fn check(&self, identity: &Identity, facts: &Facts<'_>) -> Result<(), Forbidden> {
        let any_role = self.any_role.is_empty() || self.any_role.iter().any(|role| identity.has_role(role));
        let all_roles = self.all_roles.iter().all(|role| identity.has_role(role));
        let has = |permission: &str| identity.has_permission(permission);
        let any_permission = self.any_permission.is_empty() || self.any_permission.iter().any(|one| has(one));
        let all_permissions = self.all_permissions.iter().all(|one| has(one));
        let claims = self.claims.iter().all(|(path, values)| identity.claims_one_of(path, values));
        let asked = [
            (any_role, "access.any_role is not met"),
            (all_roles, "access.all_roles is not met"),
            (any_permission, "access.any_permission is not met"),
            (all_permissions, "access.all_permissions is not met"),
            (claims, "access.claims is not met"),
        ];
        if let Some((_, reason)) = asked.iter().find(|(met, _)| !met) {
            return Err(Forbidden::by_key(reason));
        }
        // Last: it costs most.
        let Some(allow_if) = &self.allow_if else { return Ok(()) };
        allow_if.holds(facts, identity).map_err(|denied| Forbidden {
            code: Forbidden::BY_EXPRESSION,
            reason: format!("access[{}].allow_if {}", self.at, denied.reason()).into(),
        })
    }
}

fn method((at, name): (usize, &String)) -> Result<Method, (String, String)> {
    let known = name.parse().ok().filter(|_| name.bytes().all(|byte| byte.is_ascii_uppercase()));
    known.ok_or_else(|| (format!("methods/{at}"), format!("no method is called {name:?}; write them as GET")))
}

fn texts(list: &[String]) -> Box<[Box<str>]> {
    list.iter().map(|text| text.as_str().into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::identity::Told;
    use serde_json::json;

    fn build(rules: &str) -> Result<Access, Vec<AccessError>> {
        Access::build(&serde_yaml::from_str::<Vec<_>>(rules).unwrap(), &Language::default())
    }

    fn ask(
        access: &Access,
        method: &Method,
        identity: Option<&Identity>,
    ) -> Result<Option<&'static str>, &'static str> {
        let facts = Facts {
            method,
            path: "/a",
            host: "portal.example",
            scheme: "http",
            query: None,
            headers: &http::HeaderMap::new(),
            is_hidden: &|_| false,
            is_doubtful: &|_| false,
            client: [192, 0, 2, 1].into(),
            route: "r",
            service: None,
            now: 0,
        };
        let outcome = access.check(identity, &facts);
        outcome.map(|observed| observed.map(|one| one.code())).map_err(|forbidden| forbidden.code())
    }

    fn identity() -> Identity {
        let claims = json!({ "role": ["editor", "member"], "permissions": "read write,list",
            "realm": { "roles": ["x", 7] }, "a.b": "c" });
        let told = Told::default();
        Identity::new(claims.as_object().unwrap().clone(), &told)
    }

    #[track_caller]
    fn check(rules: &str, method: &Method, expected: bool) {
        let access = build(rules).unwrap();
        assert_eq!(ask(&access, method, Some(&identity())).is_ok(), expected, "{rules} {method}");
        assert_eq!(
            ask(&access, method, None).is_ok(),
            rules == "[]" || access.0.iter().all(|one| !one.applies(method))
        );
    }

    #[test]
    fn roles_permissions_and_claims_are_asked_for_in_every_way() {
        for (rules, expected) in [
            ("[]", true),
            ("[{ any_role: [admin, editor] }]", true),
            ("[{ any_role: admin }]", false),
            ("[{ all_roles: \"editor, member\" }]", true),
            ("[{ all_roles: [editor, admin] }]", false),
            ("[{ any_permission: [list] }]", true),
            ("[{ any_permission: [delete] }]", false),
            ("[{ all_permissions: [read, write] }]", true),
            ("[{ all_permissions: [read, delete] }]", false),
            ("[{ claims: { realm.roles: [x] } }]", true),
            ("[{ claims: { realm.roles: \"7\" } }]", true),
            ("[{ claims: { realm.roles: [y], a.b: [c] } }]", false),
            ("[{ claims: { a.b: [c] } }]", true),
            ("[{ claims: { none.such: [c] } }]", false),
            ("[{ any_role: [editor] }, { any_role: [admin] }]", false),
        ] {
            check(rules, &Method::GET, expected);
        }
    }

    #[test]
    fn a_rule_holds_for_its_methods_and_that_of_get_for_head() {
        check("[{ methods: [DELETE], any_role: [admin] }]", &Method::GET, true);
        check("[{ methods: [DELETE], any_role: [admin] }]", &Method::DELETE, false);
        check("[{ methods: [GET], any_role: [admin] }]", &Method::HEAD, false);
        check("[{ methods: [HEAD], any_role: [admin] }]", &Method::GET, true);
    }

    #[test]
    fn a_rule_that_asks_for_nothing_or_for_what_nobody_has_is_refused() {
        for rules in ["[{}]", "[{ methods: [GET] }]", "[{ claims: { a: [] } }]", "[{ methods: [get], any_role: [x] }]"]
        {
            assert!(build(rules).is_err(), "{rules}");
        }
    }

    #[test]
    fn what_is_only_observed_lets_pass_and_tells_the_first() {
        for (rules, expected) in [
            ("[{ any_role: admin, mode: observe }]", Ok(Some("forbidden"))),
            ("[{ any_role: admin, mode: \"off\" }]", Ok(None)),
            ("[{ allow_if: \"now > 5\", mode: observe }]", Ok(Some("expression_denied"))),
            (
                "[{ allow_if: \"now > 5\", mode: observe }, { any_role: admin, mode: observe }]",
                Ok(Some("expression_denied")),
            ),
            ("[{ any_role: admin, mode: observe }, { any_role: editor }]", Ok(Some("forbidden"))),
            ("[{ any_role: admin, mode: observe }, { any_role: root }]", Err("forbidden")),
            ("[{ any_role: editor, allow_if: \"now > 5\" }]", Err("expression_denied")),
            ("[{ any_role: editor, allow_if: \"now < 5\" }]", Ok(None)),
        ] {
            assert_eq!(ask(&build(rules).unwrap(), &Method::GET, Some(&identity())), expected, "{rules}");
        }
    }

    #[test]
    fn every_entry_that_is_wrong_is_told() {
        let errors = build("[{ allow_if: \"no\" }, { any_role: x }, { methods: [get], any_role: x }]").unwrap_err();
        let places: Vec<_> = errors.iter().map(|(at, key, _)| (*at, key.as_str())).collect();
        assert_eq!(places, [(0, "allow_if"), (2, "methods/0")]);
    }
}
