use std::{
    env,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    process,
};

/// The folder of the pid file (and, once the handoff is built, of its socket).
pub(super) struct RunDir {
    pid_file: Option<PathBuf>,
}

impl RunDir {
    /// Write the pid file into `wanted`, else into a folder of the user's own; else go without and say so.
    pub(super) fn open(wanted: &str) -> Self {
        let own = env::temp_dir().join(format!("edgeway-{}", nix::unistd::getuid()));
        let first = Path::new(wanted);
        let written = write_pid(first).or_else(|error| {
            log::info!("{}: {error}; using {} instead", first.display(), own.display());
            write_pid(&own)
        });
        match written {
            Ok(pid_file) => Self { pid_file: Some(pid_file) },
            Err(error) => {
                log::warn!("{}: {error}; running without pid file and without handoff", own.display());
                Self { pid_file: None }
            }
        }
    }

    /// Remove the pid file, if it is still ours: another process may have written its number since.
    pub(super) fn clean(&self) {
        let ours = |path: &&PathBuf| fs::read_to_string(path).is_ok_and(|pid| pid.trim() == process::id().to_string());
        if let Some(path) = self.pid_file.as_ref().filter(ours) {
            _ = fs::remove_file(path);
        }
    }
}

/// Whole or not at all: written beside its place, then moved there.
fn write_pid(folder: &Path) -> io::Result<PathBuf> {
    own_folder(folder)?;
    let (draft, pid_file) = (folder.join(format!("edgeway.pid.{}", process::id())), folder.join("edgeway.pid"));
    // One of a former process of this number; whatever it is, it is not followed.
    _ = fs::remove_file(&draft);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&draft)?;
    writeln!(file, "{}", process::id())?;
    fs::rename(&draft, &pid_file)?;
    Ok(pid_file)
}

/// A folder that nobody else can write to: in the temp folder others might have put one of this name there.
fn own_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = fs::symlink_metadata(folder)?;
    let strangers = found.mode() & 0o022 != 0 || found.uid() != nix::unistd::geteuid().as_raw();
    match found.is_dir() && !strangers {
        true => Ok(()),
        false => Err(io::Error::other("others can write there, or own it; make it a folder of this user, mode 0700")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_folder_that_others_could_write_to_is_not_used() {
        let place = env::temp_dir().join(format!("edgeway-run-dir-{}", process::id()));
        let (open, link, good) = (place.join("open"), place.join("link"), place.join("good"));
        fs::create_dir_all(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        symlink(&open, &link).unwrap();
        assert!(write_pid(&open).is_err() && write_pid(&link).is_err());
        // A link where the draft goes is taken away and not followed.
        fs::create_dir_all(&good).unwrap();
        fs::set_permissions(&good, fs::Permissions::from_mode(0o700)).unwrap();
        let victim = place.join("victim");
        symlink(&victim, good.join(format!("edgeway.pid.{}", process::id()))).unwrap();
        let written = fs::read_to_string(write_pid(&good).unwrap()).unwrap();
        assert_eq!((written.trim(), victim.exists()), (process::id().to_string().as_str(), false));
        fs::remove_dir_all(place).unwrap();
    }
}
