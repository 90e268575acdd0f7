//! Files of endpoints, and what stood in them last.

use super::{
    address::Written,
    endpoints_file::{Watched, parse},
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Every file that a service names. Touched only in the background and while members are built.
#[derive(Default)]
pub(super) struct Files(Mutex<HashMap<PathBuf, File>>);

struct File {
    watched: Watched,
    /// Of the last good content.
    entries: Arc<[Written]>,
    /// Whether the last content was bad: it is said once.
    is_bad: bool,
}

impl Files {
    /// What stands in a file, as far as it was looked at.
    pub(super) fn entries(&self, path: &Path) -> Option<Arc<[Written]>> {
        self.0.lock().get(path).map(|file| file.entries.clone())
    }

    /// Look at these files, and forget all others. `true`: one of them has changed.
    pub(super) fn look(&self, paths: &[PathBuf]) -> bool {
        // Nobody else waits for it long: a file is read only when it has changed.
        let mut files = self.0.lock();
        files.retain(|path, _| paths.contains(path));
        let mut changed = false;
        for path in paths {
            let new = || File { watched: Watched::new(path.clone()), entries: Arc::new([]), is_bad: false };
            changed |= files.entry(path.clone()).or_insert_with(new).look(path);
        }
        changed
    }
}

impl File {
    fn look(&mut self, path: &Path) -> bool {
        let Some(content) = self.watched.look() else { return false };
        match content.and_then(|entries| read(&entries)) {
            Ok(entries) => {
                let changed = *entries != *self.entries;
                if changed || self.is_bad {
                    log::info!("{}: {} endpoints", path.display(), entries.len());
                }
                (self.entries, self.is_bad) = (entries, false);
                changed
            }
            Err(reason) => {
                log::error!("{}: {reason}; the endpoints that were known stay", path.display());
                self.is_bad = true;
                false
            }
        }
    }
}

fn read(entries: &[super::EndpointConfig]) -> Result<Arc<[Written]>, String> {
    let read = |(at, entry)| {
        Written::read(entry).map_err(|(key, reason)| format!("[{at}]{}: {reason}", key.replace('/', ".")))
    };
    entries.iter().enumerate().map(read).collect()
}

/// What is wrong with a file, for who checks a configuration before it serves; a file that is not there yet is no error.
pub(super) fn check(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    parse(&text).and_then(|entries| read(&entries)).err()
}
