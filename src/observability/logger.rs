use super::{LogConfig, LogLevel, stderr::Stderr};
use arc_swap::ArcSwap;
use env_logger::{Builder, Target, WriteStyle};
use log::{LevelFilter, Log, Metadata, Record};
use std::{
    fmt,
    io::{self, IsTerminal},
    sync::Arc,
};

/// Changes by operators are written from this level on, however little else is.
const AUDIT: LevelFilter = LevelFilter::Info;

/// Writes everything but the access log to stderr, from a level on that may change.
#[derive(Clone)]
pub struct Logger {
    writing: Arc<ArcSwap<Writing>>,
    stderr: Stderr,
}

struct Writing {
    level: LogLevel,
    logger: env_logger::Logger,
}

impl Logger {
    /// Write from now on. `debug` raises the level of the file.
    pub fn start(config: &LogConfig, debug: bool) -> Self {
        let stderr = Stderr::start();
        let writing = Writing::new(level(config, debug), &stderr);
        let logger = Self { writing: Arc::new(ArcSwap::from_pointee(writing)), stderr };
        // Fails where somebody writes already: in a test process with several gateways.
        _ = log::set_boxed_logger(Box::new(Facade(logger.clone())));
        logger.set(config, debug);
        logger
    }

    /// Write from the file's level on.
    pub fn set(&self, config: &LogConfig, debug: bool) {
        self.set_level(level(config, debug));
    }

    /// Write from another level on.
    pub fn set_level(&self, level: LogLevel) {
        self.writing.store(Arc::new(Writing::new(level, &self.stderr)));
        log::set_max_level(filter(level).max(AUDIT));
    }

    /// The least important level that is written.
    pub fn level(&self) -> LogLevel {
        self.writing.load().level
    }
}

impl Writing {
    fn new(level: LogLevel, stderr: &Stderr) -> Self {
        Self { level, logger: build(filter(level), stderr.clone()) }
    }
}

fn level(config: &LogConfig, debug: bool) -> LogLevel {
    if debug { config.level.max(LogLevel::Debug) } else { config.level }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Trace => LevelFilter::Trace,
        LogLevel::Debug => LevelFilter::Debug,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Error => LevelFilter::Error,
    }
}

fn build(level: LevelFilter, stderr: Stderr) -> env_logger::Logger {
    // pingora reports each connection's trouble as an error; what matters of it is in our own log line.
    let pingora = if level >= LevelFilter::Debug { level } else { LevelFilter::Off };
    let mut builder = Builder::new();
    // Colours for people only.
    builder.write_style(if io::stderr().is_terminal() { WriteStyle::Always } else { WriteStyle::Never });
    builder.target(Target::Pipe(Box::new(stderr)));
    builder.filter_level(level.min(LevelFilter::Warn)).filter_module("edgeway", level);
    for module in ["pingora", "pingora_core", "pingora_load_balancing", "pingora_runtime"] {
        builder.filter_module(module, pingora);
    }
    // From debug on these write heads as they came, with tokens, cookies and queries.
    for module in ["pingora_proxy", "pingora_core::protocols"] {
        builder.filter_module(module, pingora.min(LevelFilter::Info));
    }
    // Who changed what is written at every level.
    builder.filter_module("edgeway::admin", level.max(AUDIT));
    // What it says when a listener cannot accept: descriptors used up.
    builder.filter_module("pingora_core::services::listening", level.min(LevelFilter::Warn).max(pingora));
    builder.format_target(false).build()
}

/// What the `log` crate holds for as long as the process lives.
struct Facade(Logger);

impl Log for Facade {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.writing.load().logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        self.0.writing.load().logger.log(record);
    }

    fn flush(&self) {
        self.0.stderr.end();
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Logger({:?})", self.level())
    }
}
