use crate::config::ConfigErrors;
use parking_lot::Mutex;
use std::time::SystemTime;
use tokio::sync::oneshot;

/// What became of the reloads of this process. The start counts as the first success, and as no reload.
#[derive(Debug)]
pub struct Reloads(Mutex<History>);

/// The same at one moment.
#[derive(Clone, Debug)]
pub struct History {
    /// Reloads after which a new configuration served.
    pub succeeded: u64,
    /// Reloads that changed nothing.
    pub failed: u64,
    /// When the configuration that serves was loaded.
    pub last_success: SystemTime,
    /// Whether the last one, or the start, was taken over: what stands in the file serves.
    pub last_succeeded: bool,
    /// The last one that changed nothing, and why: one line per error.
    pub last_failure: Option<(SystemTime, Vec<String>)>,
}

/// Somebody wants a reload, and waits for what comes of it.
#[derive(Debug)]
pub struct ReloadAsked {
    /// Hears the new generation, or every error.
    pub done: oneshot::Sender<Result<u64, ReloadError>>,
}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file is wrong.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// A fault of the gateway's own.
    #[error("{0}")]
    Internal(String),
}

impl Reloads {
    pub(super) fn new(started: SystemTime) -> Self {
        let (last_success, last_succeeded) = (started, true);
        Self(Mutex::new(History { succeeded: 0, failed: 0, last_success, last_succeeded, last_failure: None }))
    }

    /// A reload ended, at `now`.
    pub fn ended(&self, outcome: &Result<u64, ReloadError>, now: SystemTime) {
        // Held for a few stores, a few times an hour.
        let mut history = self.0.lock();
        history.last_succeeded = outcome.is_ok();
        match outcome {
            Ok(_) => (history.succeeded, history.last_success) = (history.succeeded + 1, now),
            Err(error) => {
                history.failed += 1;
                history.last_failure = Some((now, error.lines()));
            }
        }
    }

    /// What is known so far.
    pub fn history(&self) -> History {
        self.0.lock().clone()
    }
}

impl ReloadError {
    /// One line per error.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Config(errors) => errors.0.iter().map(ToString::to_string).collect(),
            Self::Internal(reason) => vec![reason.clone()],
        }
    }
}
