use std::{
    env,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    process,
};

/// The number of the process that is the gateway.
const PID_FILE: &str = "edgeway.pid";
/// Asked by `edgeway upgrade`.
const SOCKET: &str = "edgeway.sock";

/// The folder of the pid file and of the socket that `edgeway upgrade` asks.
pub(super) struct RunDir {
    folder: Option<PathBuf>,
}

impl RunDir {
    /// Take `wanted`, else a folder of the user's own; else go without and say so.
    pub(super) fn open(wanted: &str) -> Self {
        let (first, own) = (Path::new(wanted), own_place());
        let opened = usable(first).map(|()| first.to_owned()).or_else(|error| {
            log::info!("{}: {error}; using {} instead", first.display(), own.display());
            usable(&own).map(|()| own.clone())
        });
        match opened {
            Ok(folder) => Self { folder: Some(folder) },
            Err(error) => {
                log::warn!("{}: {error}; running without pid file, and `edgeway upgrade` cannot ask", own.display());
                Self { folder: None }
            }
        }
    }

    /// Go without.
    pub(super) fn none() -> Self {
        Self { folder: None }
    }

    /// This process is the gateway: write its number into the pid file.
    pub(super) fn claim(&self) {
        if let Some(folder) = &self.folder
            && let Err(error) = write_pid(folder)
        {
            log::warn!("{}: {error}; there is no pid file", folder.display());
        }
    }

    /// Where `edgeway upgrade` asks.
    pub(super) fn socket(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(SOCKET))
    }

    /// Remove the pid file, if it is still ours: another process may have written its number since.
    pub(super) fn clean(&self) {
        let ours = |path: &&PathBuf| fs::read_to_string(path).is_ok_and(|pid| pid.trim() == process::id().to_string());
        let Some(folder) = &self.folder else { return };
        let pid_file = folder.join(PID_FILE);
        if Some(&pid_file).filter(ours).is_some() {
            _ = fs::remove_file(pid_file);
            // Whoever follows has a pid file of its own by then, and the same socket.
            _ = fs::remove_file(folder.join(SOCKET));
        }
    }
}

/// Where a gateway of this `run_dir` may be asked: the folder that is wanted, then the user's own, if it is: in the temp
/// folder others might have put one of this name there.
pub(super) fn sockets(wanted: &str) -> Vec<PathBuf> {
    let own = Some(own_place()).filter(|own| is_own(own).is_ok());
    [Some(PathBuf::from(wanted)), own].into_iter().flatten().map(|folder| folder.join(SOCKET)).collect()
}

fn own_place() -> PathBuf {
    env::temp_dir().join(format!("edgeway-{}", nix::unistd::getuid()))
}

/// Whether files can be made there, and by nobody else.
fn usable(folder: &Path) -> io::Result<()> {
    own_folder(folder)?;
    let draft = folder.join(format!("edgeway.try.{}", process::id()));
    _ = fs::remove_file(&draft);
    OpenOptions::new().write(true).create_new(true).open(&draft)?;
    fs::remove_file(&draft)
}

/// Whole or not at all: written beside its place, then moved there.
fn write_pid(folder: &Path) -> io::Result<PathBuf> {
    own_folder(folder)?;
    let (draft, pid_file) = (folder.join(format!("{PID_FILE}.{}", process::id())), folder.join(PID_FILE));
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
    is_own(folder)
}

fn is_own(folder: &Path) -> io::Result<()> {
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
