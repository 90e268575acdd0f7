use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Longest file, in bytes.
const LONGEST: u64 = 4 << 20;

/// Looks after a change at which the content is read though nothing seems to have changed: two changes within one tick
/// of the file system's clock look like one.
const CAREFUL_LOOKS: u8 = 2;

/// A file, and what it was like at the last look. Looking blocks as long as the file system does.
#[derive(Debug)]
pub struct Watched {
    path: PathBuf,
    stamp: Option<Result<Stamp, io::ErrorKind>>,
    /// Of what was given out last, be it content or an error.
    hash: Option<u64>,
    careful: u8,
}

impl Watched {
    /// Nothing is read yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, stamp: None, hash: None, careful: 0 }
    }

    /// What stands in the file; `None`: what stood there at the last look. A bad or missing file is told once.
    pub fn look(&mut self) -> Option<Result<String, String>> {
        let stamp = Stamp::of(&self.path).map_err(|error| error.kind());
        if self.stamp.as_ref() == Some(&stamp) {
            self.careful = self.careful.checked_sub(1)?;
        } else {
            self.careful = CAREFUL_LOOKS;
        }
        let text = read(&self.path);
        if Stamp::of(&self.path).map_err(|error| error.kind()) != stamp {
            // Somebody is just writing it: half of it could look like a whole.
            self.stamp = None;
            return None;
        }
        self.stamp = Some(stamp);
        let hash = hash(&text);
        if self.hash.replace(hash) == Some(hash) {
            return None;
        }
        Some(text)
    }
}

/// Tells whether a file is another one than before, without reading it. Follows links: Kubernetes and others put new
/// content behind the old name by turning a link over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    path: PathBuf,
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of what stands at `path` now.
    ///
    /// # Errors
    /// There is nothing, or it cannot be seen.
    pub fn of(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let data = fs::metadata(&path)?;
        Ok(Self {
            path,
            device: data.dev(),
            inode: data.ino(),
            length: data.len(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }
}

/// The whole text, or why not.
fn read(path: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData => "not UTF-8; save it as UTF-8".to_owned(),
        io::ErrorKind::NotFound => "there is no such file; write it, or mend the path".to_owned(),
        _ => format!("{error}; the gateway must be able to read it"),
    };
    let data = fs::metadata(path).map_err(unreadable)?;
    if !data.is_file() {
        // A pipe would wait for somebody who writes.
        return Err("not a file; give the path of one".to_owned());
    }
    if data.len() > LONGEST {
        return Err(format!("longer than {} MiB; keep less in it", LONGEST >> 20));
    }
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text)).map_err(unreadable)?;
    Ok(text)
}

fn hash(content: &Result<String, String>) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    /// What the next look brings, in short.
    fn look(file: &mut Watched) -> String {
        match file.look() {
            None => "same".to_owned(),
            Some(Ok(text)) => text,
            Some(Err(reason)) => reason.split(';').next().unwrap().to_owned(),
        }
    }

    #[test]
    fn a_change_is_seen_once() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("list");
        let mut file = Watched::new(path.clone());
        assert_eq!(look(&mut file), "there is no such file");
        assert_eq!(look(&mut file), "same");
        // Of the same length, and perhaps within one tick of the clock.
        for (text, wanted) in [("[a]", "[a]"), ("[b]", "[b]"), ("[b]", "same"), ("{b}", "{b}"), ("[b]", "[b]")] {
            fs::write(&path, text).unwrap();
            assert_eq!(look(&mut file), wanted, "{text}");
            assert_eq!(look(&mut file), "same", "{text}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(look(&mut file), "there is no such file");
        fs::write(&path, "[b]").unwrap();
        assert_eq!(look(&mut file), "[b]", "told again after it was gone");
        assert_eq!((0..5).map(|_| look(&mut file)).collect::<String>(), "same".repeat(5));
    }

    #[test]
    fn a_link_that_is_turned_over_is_a_change() {
        let folder = TempDir::new().unwrap();
        for (version, text) in [("v1", "[a]"), ("v2", "[b]")] {
            fs::create_dir(folder.path().join(version)).unwrap();
            fs::write(folder.path().join(version).join("list"), text).unwrap();
        }
        // As Kubernetes mounts a ConfigMap: the file is a link into a folder that is a link.
        let (data, draft) = (folder.path().join("..data"), folder.path().join("..draft"));
        symlink("v1", &data).unwrap();
        symlink("..data/list", folder.path().join("list")).unwrap();
        let mut file = Watched::new(folder.path().join("list"));
        assert_eq!([look(&mut file), look(&mut file)], ["[a]", "same"]);
        symlink("v2", &draft).unwrap();
        fs::rename(&draft, &data).unwrap();
        assert_eq!([look(&mut file), look(&mut file)], ["[b]", "same"]);
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = TempDir::new().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(look(&mut Watched::new(pipe)), "not a file");
        assert_eq!(look(&mut Watched::new(folder.path().to_owned())), "not a file");
        let binary = folder.path().join("binary");
        fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
        assert_eq!(look(&mut Watched::new(binary)), "not UTF-8");
        let long = folder.path().join("long");
        fs::write(&long, "x".repeat(LONGEST as usize + 1)).unwrap();
        assert_eq!(look(&mut Watched::new(long)), "longer than 4 MiB");
    }
}
