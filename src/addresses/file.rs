//! Files of addresses, and what stood in them last.

use super::ranges::Ranges;
use crate::{
    files::Watched,
    types::{Network, Pinned, Swap},
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{task::spawn_blocking, time::sleep};

/// Most addresses and ranges in one file.
const MOST_ENTRIES: usize = 200_000;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Every file that a list names: read when it is first named, and then looked at in the background. Outlives reloads.
#[derive(Clone, Default)]
pub struct AddressFiles(Arc<Mutex<Known>>);

type Known = HashMap<(PathBuf, Kind), Arc<AddressFile>>;

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Of those who may: empty, it would let nobody in, and most likely somebody is just writing it.
    Allow,
    /// Of those who may not.
    Deny,
}

/// Of a file that could not be read to its end yet.
const UNREAD: &str = "is being written; try again when it is whole";

/// How often, and how far apart, a new file is looked at until it is whole.
const SETTLING: u32 = 10;
const SETTLE: Duration = Duration::from_millis(50);

/// One file. Lists hold it, so that it is forgotten with the last of them.
pub(super) struct AddressFile {
    path: PathBuf,
    kind: Kind,
    /// Of the last good content.
    ranges: Swap<Ranges>,
    /// Held while the file is read, as long as the file system likes.
    watched: Mutex<Watched>,
    /// What is wrong with what stands there now.
    problem: Mutex<Option<String>>,
}

impl AddressFiles {
    /// The file at `path`, as it is now. Blocks as long as the file system does.
    pub(super) fn open(&self, path: &Path, kind: Kind) -> Arc<AddressFile> {
        let mut known = self.0.lock();
        let file = known.entry((path.to_owned(), kind)).or_insert_with(|| Arc::new(AddressFile::new(path, kind)));
        let file = file.clone();
        drop(known);
        file.look();
        // Half of a new file would let in, or keep out, whoever stands in the other half.
        for _ in 0..SETTLING {
            if !file.is_unread() {
                break;
            }
            std::thread::sleep(SETTLE);
            file.look();
        }
        file
    }

    /// Look at all of them again and again, and say on stderr what has changed. Never ends.
    pub async fn watch(&self) {
        loop {
            sleep(LOOK_EVERY).await;
            let files = self.clone();
            // A file system may take its time.
            _ = spawn_blocking(move || files.look()).await;
        }
    }

    /// How many cannot be taken as they stand, so that what stood there before still counts.
    pub fn problems(&self) -> usize {
        let files: Vec<Arc<AddressFile>> = self.0.lock().values().cloned().collect();
        files.iter().filter(|file| file.problem().is_some()).count()
    }

    fn look(&self) {
        let files: Vec<Arc<AddressFile>> = {
            let mut known = self.0.lock();
            known.retain(|_, file| Arc::strong_count(file) > 1);
            known.values().cloned().collect()
        };
        files.iter().for_each(|file| file.look_and_tell());
    }
}

impl AddressFile {
    fn new(path: &Path, kind: Kind) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            ranges: Swap::new(Ranges::default()),
            watched: Mutex::new(Watched::new(path.to_owned())),
            problem: Mutex::new(Some(UNREAD.to_owned())),
        }
    }

    /// The last good content.
    pub(super) fn ranges(&self) -> Pinned<Ranges> {
        self.ranges.pin()
    }

    /// What is wrong with what stands there.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.lock().clone()
    }

    fn is_unread(&self) -> bool {
        self.problem.lock().as_deref() == Some(UNREAD)
    }

    /// `true`: something else stands there than at the last look, good or bad.
    fn look(&self) -> bool {
        let mut watched = self.watched.lock();
        let Some(text) = watched.look() else { return false };
        let problem = match text.and_then(|text| parse(&text, self.kind)) {
            Ok(networks) => {
                self.ranges.store(Ranges::new(networks));
                None
            }
            Err(reason) => Some(reason),
        };
        *self.problem.lock() = problem;
        true
    }

    fn look_and_tell(&self) {
        if !self.look() {
            return;
        }
        let path = self.path.display();
        match self.problem() {
            Some(reason) => log::error!("{path}: {reason}; the addresses that were known stay"),
            None => log::info!("{path}: {} ranges of addresses", self.ranges().len()),
        }
    }
}

/// One address or range a line; `#` begins a comment, also behind one.
fn parse(text: &str, kind: Kind) -> Result<Vec<Network>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut networks = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        if networks.len() == MOST_ENTRIES {
            return Err(format!("line {}: more than {MOST_ENTRIES} addresses; merge some into ranges", at + 1));
        }
        // The entry itself is not repeated: whatever stands in a file that is none of addresses is not for the log.
        networks.push(entry.parse().map_err(|reason| format!("line {}: {reason}", at + 1))?);
    }
    match kind {
        Kind::Allow if networks.is_empty() => Err("no address; write at least one that may call".to_owned()),
        _ => Ok(networks),
    }
}

impl fmt::Debug for AddressFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddressFiles({} files)", self.0.lock().len())
    }
}

impl fmt::Debug for AddressFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddressFile({})", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    #[track_caller]
    fn check(text: &str, expected: Result<&[&str], &str>) {
        let found =
            parse(text, Kind::Deny).map(|networks| networks.iter().map(ToString::to_string).collect::<Vec<_>>());
        let expected = expected.map(|list| list.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(found, expected.map_err(str::to_owned), "{text:?}");
    }

    #[test]
    fn a_line_is_an_address_or_a_range() {
        check("", Ok(&[]));
        check("# nobody\n\n  # yet\n", Ok(&[]));
        check(
            "10.0.0.0/8\r\n192.0.2.7 # a guest\n\t2001:db8::/32",
            Ok(&["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]),
        );
        check("\u{feff}10.0.0.1\n", Ok(&["10.0.0.1/32"]));
        let reason = "line 2: not an address range; write 10.0.0.0/8 or 192.0.2.7";
        for wrong in ["10.0.0", "10.0.0.0/33", "10.0.0.1 10.0.0.2", "- 10.0.0.1", "example.com", "10.0.0.1, 10.0.0.2"] {
            check(&format!("10.0.0.9\n{wrong}\n"), Err(reason));
        }
        assert_eq!(parse("# nobody\n", Kind::Allow).unwrap_err(), "no address; write at least one that may call");
        let most = "line 200001: more than 200000 addresses; merge some into ranges";
        check(&"::1\n".repeat(MOST_ENTRIES + 1), Err(most));
    }

    #[test]
    fn a_bad_content_leaves_the_last_good_one() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("list");
        let files = AddressFiles::default();
        let file = files.open(&path, Kind::Deny);
        assert!(file.problem().unwrap().starts_with("there is no such file"));
        let knows = |text: &str| file.ranges().contain(text.parse().unwrap());
        for (content, ten, eleven, problems) in [
            ("10.0.0.0/8\n", true, false, 0),
            ("11.0.0.0/8\nnonsense\n", true, false, 1),
            ("11.0.0.0/8\n", false, true, 0),
            ("", false, false, 0),
        ] {
            fs::write(&path, content).unwrap();
            files.look();
            assert_eq!(
                (knows("10.1.2.3"), knows("11.1.2.3"), files.problems()),
                (ten, eleven, problems),
                "{content:?}"
            );
        }
        drop(file);
        files.look();
        assert_eq!(format!("{files:?}"), "AddressFiles(0 files)", "what no list names is forgotten");
    }
}
