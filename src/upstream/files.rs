//! Files of endpoints, and what stood in them last.

use super::{EndpointConfig, address::Written, endpoints_file};
use crate::files::Watched;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Every file that a service names: read when it is first named, and then looked at in the background. Outlives reloads.
#[derive(Default)]
pub(super) struct Files(Mutex<HashMap<PathBuf, Arc<File>>>);

/// One file. Services hold it, so that it is forgotten with the last of them.
pub(super) struct File {
    path: PathBuf,
    content: Mutex<Content>,
}

struct Content {
    watched: Watched,
    /// Of the last good content.
    entries: Arc<[Written]>,
    /// What is wrong with what stands there now.
    problem: Option<String>,
}

impl Files {
    /// The file at `path`. Blocks where it is new, as long as the file system does.
    pub(super) fn open(&self, path: &Path) -> Arc<File> {
        self.0.lock().entry(path.to_owned()).or_insert_with(|| Arc::new(File::read(path))).clone()
    }

    /// Look at all of them, and tell what has changed on stderr. `true`: there are other endpoints now.
    pub(super) fn look(&self) -> bool {
        let files: Vec<Arc<File>> = self.0.lock().values().cloned().collect();
        // Each of them, also after one that has changed.
        files.iter().filter(|file| file.look()).count() > 0
    }

    /// Forget those that no service names any more.
    pub(super) fn forget_unused(&self) {
        self.0.lock().retain(|_, file| Arc::strong_count(file) > 1);
    }
}

impl File {
    fn read(path: &Path) -> Self {
        let content = Content { watched: Watched::new(path.to_owned()), entries: Arc::new([]), problem: None };
        let file = Self { path: path.to_owned(), content: Mutex::new(content) };
        file.content.lock().look();
        file
    }

    /// The endpoints of the last good content.
    pub(super) fn entries(&self) -> Arc<[Written]> {
        self.content.lock().entries.clone()
    }

    /// What is wrong with what stands there; a file that is not there yet may still come.
    pub(super) fn problem(&self) -> Option<String> {
        self.content.lock().problem.clone().filter(|_| self.path.exists())
    }

    fn look(&self) -> bool {
        let mut content = self.content.lock();
        let before = content.entries.clone();
        let was_bad = content.problem.is_some();
        if !content.look() {
            return false;
        }
        let (path, changed) = (self.path.display(), *before != *content.entries);
        match &content.problem {
            Some(reason) => log::error!("{path}: {reason}; the endpoints that were known stay"),
            None if changed || was_bad => log::info!("{path}: {} endpoints", content.entries.len()),
            None => (),
        }
        changed
    }
}

impl Content {
    /// `true`: something else stands there than at the last look, good or bad.
    fn look(&mut self) -> bool {
        let Some(found) = self.watched.look() else { return false };
        match found.and_then(|text| endpoints_file::parse(&text)).and_then(|entries| read(&entries)) {
            Ok(entries) => (self.entries, self.problem) = (entries, None),
            Err(reason) => self.problem = Some(reason),
        }
        true
    }
}

fn read(entries: &[EndpointConfig]) -> Result<Arc<[Written]>, String> {
    let read = |(at, entry)| {
        Written::read(entry).map_err(|(key, reason)| format!("[{at}]{}: {reason}", key.replace('/', ".")))
    };
    entries.iter().enumerate().map(read).collect()
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({})", self.path.display())
    }
}
