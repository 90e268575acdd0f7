use edgeway::auth::{JwtConfig, MintClaims, Minter};
use std::time::Duration;

/// The secret of all gateways in these tests; 32 bytes, so that nothing warns.
pub const SECRET: &str = "integration-tests-0123456789abcd";

/// A token of user 7, kim, with this role.
pub fn token(role: &str) -> String {
    let config = format!("{{ algorithm: HS256, secret: {SECRET} }}");
    let config: JwtConfig = serde_yaml::from_str(&config).unwrap();
    let claims = MintClaims {
        sub: "7".to_owned(),
        username: Some("kim".to_owned()),
        role: Some(role.to_owned()),
        permissions: vec!["read".to_owned(), "write".to_owned()],
        ttl: Duration::from_secs(3600),
    };
    Minter::build(&config, None).unwrap().mint(&claims).unwrap()
}

/// The header line of [`token`].
pub fn bearer(role: &str) -> String {
    format!("Authorization: Bearer {}", token(role))
}
