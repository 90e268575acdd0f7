use super::{capacity::Capacity, threads::Workers};
use crate::{
    config::Config,
    machine::{Descriptors, Machine},
};
use std::path::Path;

/// What this process makes of the machine it is on.
pub(super) struct Resources {
    pub(super) workers: Workers,
    pub(super) capacity: Capacity,
    /// What could be read or raised only in part.
    problems: Vec<String>,
}

impl Resources {
    /// Look at the machine, and raise what may be raised.
    pub(super) fn take(config: &Config) -> Self {
        let (machine, descriptors) = (Machine::read(Path::new("/")), Descriptors::raise());
        let workers = Workers::of(&config.server, &machine);
        let capacity = Capacity::of(config, workers.count, descriptors.most);
        let problems = machine.problems.into_iter().chain(descriptors.refused).collect();
        Self { workers, capacity, problems }
    }

    /// Say what was decided, and by what. Not before it is known that there will be a start.
    pub(super) fn tell(&self) {
        self.problems.iter().for_each(|problem| log::warn!("{problem}"));
        log::info!("{}", self.workers);
        self.capacity.warning().iter().for_each(|warning| log::warn!("{warning}"));
    }
}
