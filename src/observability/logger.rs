use super::{LogConfig, LogLevel};
use arc_swap::ArcSwap;
use env_logger::Builder;
use log::{LevelFilter, Log, Metadata, Record};
use std::{fmt, sync::Arc};

/// Writes everything but the access log to stderr, from a level on that a reload may change.
#[derive(Clone)]
pub struct Logger(Arc<ArcSwap<env_logger::Logger>>);

impl Logger {
    /// Write from now on. `debug` raises the level of the file.
    pub fn start(config: &LogConfig, debug: bool) -> Self {
        let logger = Self(Arc::new(ArcSwap::from_pointee(build(level(config, debug)))));
        // Fails where somebody writes already: in a test process with several gateways.
        _ = log::set_boxed_logger(Box::new(Facade(logger.0.clone())));
        logger.set(config, debug);
        logger
    }

    /// Write from another level on.
    pub fn set(&self, config: &LogConfig, debug: bool) {
        let level = level(config, debug);
        self.0.store(Arc::new(build(level)));
        log::set_max_level(level);
    }
}

fn level(config: &LogConfig, debug: bool) -> LevelFilter {
    match (config.level, debug) {
        (LogLevel::Trace, _) => LevelFilter::Trace,
        (LogLevel::Debug, _) | (_, true) => LevelFilter::Debug,
        (LogLevel::Info, _) => LevelFilter::Info,
        (LogLevel::Warn, _) => LevelFilter::Warn,
        (LogLevel::Error, _) => LevelFilter::Error,
    }
}

fn build(level: LevelFilter) -> env_logger::Logger {
    // pingora reports each connection's trouble as an error; what matters of it is in our own log line.
    let pingora = if level >= LevelFilter::Debug { level } else { LevelFilter::Off };
    let mut builder = Builder::new();
    builder.filter_level(level.min(LevelFilter::Warn)).filter_module("edgeway", level);
    for module in ["pingora", "pingora_core", "pingora_proxy", "pingora_load_balancing", "pingora_runtime"] {
        builder.filter_module(module, pingora);
    }
    // What it says when a listener cannot accept: descriptors used up.
    builder.filter_module("pingora_core::services::listening", level.min(LevelFilter::Warn).max(pingora));
    builder.format_target(false).build()
}

/// What the `log` crate holds for as long as the process lives.
struct Facade(Arc<ArcSwap<env_logger::Logger>>);

impl Log for Facade {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.load().enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        self.0.load().log(record);
    }

    fn flush(&self) {
        self.0.load().flush();
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Logger({})", self.0.load().filter())
    }
}
