use super::{capacity::Capacity, threads::Workers};
use crate::{
    config::Config,
    machine::{Descriptors, Machine, MemoryLimit},
    runtime::Memory,
};
use std::path::Path;

/// What this process makes of the machine it is on.
pub(super) struct Resources {
    pub(super) workers: Workers,
    pub(super) capacity: Capacity,
    memory: Memory,
    memory_limit: Option<MemoryLimit>,
    /// What could be read or raised only in part.
    problems: Vec<String>,
}

impl Resources {
    /// Look at the machine, and raise what may be raised.
    pub(super) fn take(config: &Config) -> Self {
        let (machine, descriptors) = (Machine::read(Path::new("/")), Descriptors::raise());
        let workers = Workers::of(&config.server, &machine);
        let capacity = Capacity::of(config, workers.count, descriptors.most);
        let memory = Memory::of(config, capacity.callers(config), workers.count);
        let problems = machine.problems.into_iter().chain(descriptors.refused).collect();
        Self { workers, capacity, memory, memory_limit: machine.memory_limit, problems }
    }

    /// Say what was decided, and by what. Not before it is known that there will be a start.
    pub(super) fn tell(&self) {
        self.problems.iter().for_each(|problem| log::warn!("{problem}"));
        log::info!("{}", self.workers);
        self.capacity.warning().iter().for_each(|warning| log::warn!("{warning}"));
        log::info!("{}", self.memory);
        let Some(limit) = &self.memory_limit else { return };
        match self.memory.warning(limit.bytes) {
            Some(warning) => log::warn!("{warning}; the limit is {limit}"),
            None => log::info!("the memory limit is {limit}"),
        }
    }
}
