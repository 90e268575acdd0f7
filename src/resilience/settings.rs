//! From what the file says to what the state machines are given.

use super::{
    AdaptiveSettings, Backoff, BreakerConfig, BreakerSettings, BudgetSettings, ConcurrencyConfig, EjectionConfig,
    EjectionSettings, GateSettings, QueueSettings, RetryBudgetConfig, RetryConfig,
};
use std::time::Duration;

impl BreakerConfig {
    /// Compiled.
    pub fn settings(&self) -> BreakerSettings {
        BreakerSettings {
            mode: self.mode,
            consecutive: self.consecutive,
            share: self.share.get(),
            least: self.least.get(),
            window: self.window.get(),
            open: self.open.get(),
            longest_open: self.longest_open.get(),
            trials: self.trials.get(),
        }
    }
}

impl EjectionConfig {
    /// Compiled.
    pub fn settings(&self) -> EjectionSettings {
        EjectionSettings {
            mode: self.mode,
            after: self.after.get(),
            time: self.time.get(),
            longest: self.longest.get(),
            most: self.most.get(),
        }
    }
}

impl RetryBudgetConfig {
    /// Compiled.
    pub fn settings(&self) -> BudgetSettings {
        BudgetSettings { share: self.share.get(), least_per_second: self.least_per_second }
    }
}

impl RetryConfig {
    /// Compiled.
    pub fn backoff(&self) -> Backoff {
        Backoff { base: self.backoff.get(), longest: self.longest_backoff.get() }
    }
}

impl ConcurrencyConfig {
    /// Compiled.
    pub fn settings(&self) -> GateSettings {
        let queue =
            |queue: super::QueueConfig| QueueSettings { length: queue.length.get() as usize, wait: queue.wait.get() };
        let adaptive = |adaptive: super::AdaptiveConfig| AdaptiveSettings {
            least: adaptive.least.get(),
            most: adaptive.most.get(),
            tolerance: adaptive.tolerance.get().into(),
            window: Duration::from_millis(100),
        };
        GateSettings {
            mode: self.mode,
            max: self.max.map(Into::into),
            queue: self.queue.map(queue),
            adaptive: self.adaptive.map(adaptive),
        }
    }
}
