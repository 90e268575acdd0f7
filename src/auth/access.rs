use super::{AccessConfig, Identity};
use http::Method;

/// `access:` of a route, compiled: what a caller needs beyond a valid token.
#[derive(Debug, Default)]
pub struct Access(Box<[Rule]>);

#[derive(Debug)]
struct Rule {
    /// Empty: every method.
    methods: Box<[Method]>,
    any_role: Box<[Box<str>]>,
    all_roles: Box<[Box<str>]>,
    any_permission: Box<[Box<str>]>,
    all_permissions: Box<[Box<str>]>,
    claims: Box<[(Box<str>, Values)]>,
}

type Values = Box<[Box<str>]>;

/// A caller who is known, and not allowed. The message is for the caller and names nothing of the rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the caller is not allowed to do this")]
pub struct Forbidden(&'static str);

impl Forbidden {
    /// Which key of a rule was not met, for the log.
    pub fn reason(self) -> &'static str {
        self.0
    }
}

impl Access {
    /// Compile the section.
    ///
    /// # Errors
    /// Which entry (its place), which key, and what would be right.
    pub fn build(config: &[AccessConfig]) -> Result<Self, (usize, String, String)> {
        let rule = |(at, config)| Rule::build(config).map_err(|(key, reason)| (at, key, reason));
        config.iter().enumerate().map(rule).collect::<Result<_, _>>().map(Self)
    }

    /// Whether `identity` may do this. Every rule that applies must let the request pass.
    ///
    /// # Errors
    /// The first rule that does not.
    pub fn check(&self, method: &Method, identity: Option<&Identity>) -> Result<(), Forbidden> {
        self.0.iter().filter(|rule| rule.applies(method)).try_for_each(|rule| match identity {
            Some(identity) => rule.check(identity),
            None => Err(Forbidden("access: nobody is known on a public route")),
        })
    }
}

impl Rule {
    fn build(config: &AccessConfig) -> Result<Self, (String, String)> {
        let method = |(at, name): (usize, &String)| {
            let known = name.parse().ok().filter(|_| name.bytes().all(|byte| byte.is_ascii_uppercase()));
            let wrong = || (format!("methods/{at}"), format!("no method is called {name:?}; write them as GET"));
            known.ok_or_else(wrong)
        };
        let texts = |list: &[String]| list.iter().map(|text| text.as_str().into()).collect::<Box<[Box<str>]>>();
        let rule = Self {
            methods: config.methods.iter().enumerate().map(method).collect::<Result<_, _>>()?,
            any_role: texts(&config.any_role),
            all_roles: texts(&config.all_roles),
            any_permission: texts(&config.any_permission),
            all_permissions: texts(&config.all_permissions),
            claims: config.claims.iter().map(|(path, values)| (path.as_str().into(), texts(values))).collect(),
        };
        let lists = [&rule.any_role, &rule.all_roles, &rule.any_permission, &rule.all_permissions];
        if lists.iter().all(|list| list.is_empty()) && rule.claims.is_empty() {
            let reason = "asks for nothing; name any_role, all_roles, any_permission, all_permissions or claims";
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
        self.methods.is_empty() || self.methods.contains(method)
    }

    fn check(&self, identity: &Identity) -> Result<(), Forbidden> {
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
        asked.iter().find(|(met, _)| !met).map_or(Ok(()), |(_, reason)| Err(Forbidden(reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::identity::Told;
    use serde_json::json;

    #[track_caller]
    fn check(rules: &str, method: &Method, expected: bool) {
        let access = Access::build(&serde_yaml::from_str::<Vec<_>>(rules).unwrap()).unwrap();
        let claims = json!({ "role": ["editor", "member"], "permissions": "read write,list",
            "realm": { "roles": ["x", 7] }, "a.b": "c" });
        let told = Told { headers: Box::default(), claims: Default::default() };
        let identity = Identity::new(claims.as_object().unwrap().clone(), &told);
        assert_eq!(access.check(method, Some(&identity)).is_ok(), expected, "{rules} {method}");
        assert!(!rules.contains("[]") || access.check(method, None).is_ok());
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
            assert!(Access::build(&serde_yaml::from_str::<Vec<_>>(rules).unwrap()).is_err(), "{rules}");
        }
    }
}
