use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `log:`: what is written to stderr, and whether there is an access log. It goes to stdout, one JSON object a line.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// The least important level that is written. Default: info.
    pub level: LogLevel,
    /// Whether a line of the access log is written for each request. Default: true.
    pub access: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: LogLevel::Info, access: true }
    }
}

/// `log.level:`, in small letters or capitals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("enum" = ["error", "warn", "warning", "info", "debug", "trace"], "x-any-case" = true))]
#[allow(missing_docs)]
pub enum LogLevel {
    Error,
    // Python's word for it: the replaced gateway's LOG_LEVEL may say so.
    #[serde(alias = "warning")]
    Warn,
    Info,
    Debug,
    Trace,
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        })
    }
}
