use crate::{config::Config, observability::LogLevel};
use env_logger::Builder;
use log::LevelFilter;

/// Everything but the access log goes to stderr, from the level that the file asks for.
pub(super) fn start(config: &Config) {
    let level = match (config.log.level, config.server.debug) {
        (LogLevel::Trace, _) => LevelFilter::Trace,
        (LogLevel::Debug, _) | (_, true) => LevelFilter::Debug,
        (LogLevel::Info, _) => LevelFilter::Info,
        (LogLevel::Warn, _) => LevelFilter::Warn,
        (LogLevel::Error, _) => LevelFilter::Error,
    };
    // pingora reports each connection's trouble as an error; what matters of it is in our own log line.
    let pingora = if level >= LevelFilter::Debug { level } else { LevelFilter::Off };
    let mut builder = Builder::new();
    builder
        .filter_level(level.min(LevelFilter::Warn))
        .filter_module("edgeway", level)
        .filter_module("pingora", pingora);
    for module in ["pingora_core", "pingora_proxy", "pingora_load_balancing", "pingora_runtime"] {
        builder.filter_module(module, pingora);
    }
    // What it says when a listener cannot accept: descriptors used up.
    builder.filter_module("pingora_core::services::listening", level);
    // A test process may have one already.
    _ = builder.format_target(false).try_init();
}
