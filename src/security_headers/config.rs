use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `security_headers:`: `off`, `on`, or a section that says more.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-expects" = "on, off, or a section such as { frame_options: SAMEORIGIN }"))]
pub enum SecurityHeadersConfig {
    /// All with their defaults, or none.
    Switch(Switch),
    /// Each of them.
    Section(SecurityHeadersSection),
}

/// A word that switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// With the defaults of the section.
    On,
    /// Not at all.
    Off,
}

/// `security_headers:` as a section. An empty text leaves a header out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecurityHeadersSection {
    /// `Strict-Transport-Security`, only on answers over HTTPS. Default: max-age=31536000; includeSubDomains.
    pub hsts: String,
    /// `X-Content-Type-Options`. Default: nosniff.
    pub content_type_options: String,
    /// `X-Frame-Options`. Default: DENY.
    pub frame_options: String,
    /// `Referrer-Policy`. Default: strict-origin-when-cross-origin.
    pub referrer_policy: String,
}

impl Default for SecurityHeadersSection {
    fn default() -> Self {
        Self {
            hsts: "max-age=31536000; includeSubDomains".to_owned(),
            content_type_options: "nosniff".to_owned(),
            frame_options: "DENY".to_owned(),
            referrer_policy: "strict-origin-when-cross-origin".to_owned(),
        }
    }
}

impl Default for SecurityHeadersConfig {
    fn default() -> Self {
        Self::Switch(Switch::Off)
    }
}
