//! What goes on in the background.

use std::{future::Future, time::Duration};
use tokio::task::JoinHandle;

/// A task that ends with whoever holds it.
#[derive(Debug)]
pub struct Task(JoinHandle<()>);

impl Task {
    /// Begin it, on the runtime that runs this.
    pub fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }

    /// One that was to go on for ever and has ended met a fault of ours.
    pub fn has_ended(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Up to a tenth less, so that many instances, endpoints and names do not ask in step.
pub fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(1.0 - fastrand::f64() / 10.0)
}
