use std::{
    env, fs, io,
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
    fs::create_dir_all(folder)?;
    let (draft, pid_file) = (folder.join(format!("edgeway.pid.{}", process::id())), folder.join("edgeway.pid"));
    fs::write(&draft, format!("{}\n", process::id()))?;
    fs::rename(&draft, &pid_file)?;
    Ok(pid_file)
}
