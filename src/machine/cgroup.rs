//! Where the control groups of this process are.

use std::{
    fmt, fs,
    path::{Component, Path, PathBuf},
};

/// Which cgroups: each controller has a tree of its own in version 1, all share one in version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `cgroup`.
    V1,
    /// `cgroup2`.
    V2,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "cgroup v1",
            Self::V2 => "cgroup v2",
        })
    }
}

/// The groups of this process in one tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) version: Version,
    /// From its own group to the top of what is mounted.
    pub(super) folders: Vec<PathBuf>,
}

/// A mounted tree of groups.
struct Mount {
    version: Version,
    /// Of version 1: its controllers, with commas.
    controllers: String,
    /// The group that is at `point`: not always the top one in a container.
    root: String,
    point: String,
}

/// Where `controller` may have limits for this process: a place in a tree of version 1, one of version 2, or both.
/// Nothing where there are no cgroups.
pub(super) fn places(root: &Path, controller: &str) -> Vec<Place> {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let mounts = mounts(&read("proc/self/mountinfo"));
    let place = |line: &str| {
        let (version, group) = group(line, controller)?;
        let fits = |mount: &&Mount| mount.version == version && mount.has(controller);
        // One that shows the group of the process, where there are several.
        let mount = mounts.iter().filter(fits).find(|mount| below(group, &mount.root).is_some());
        let mount = mount.or_else(|| mounts.iter().find(fits))?;
        Some(Place { version, folders: folders(root, mount, group) })
    };
    read("proc/self/cgroup").lines().filter_map(place).collect()
}

impl Mount {
    fn has(&self, controller: &str) -> bool {
        self.version == Version::V2 || self.controllers.split(',').any(|one| one == controller)
    }
}

/// The group of one line of `/proc/self/cgroup`, if it is about `controller`: `4:cpu,cpuacct:/a/b`, `0::/a/b`.
fn group<'l>(line: &'l str, controller: &str) -> Option<(Version, &'l str)> {
    let mut fields = line.splitn(3, ':');
    let (number, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
    match (number, controllers) {
        ("0", "") => Some((Version::V2, group)),
        _ => controllers.split(',').any(|one| one == controller).then_some((Version::V1, group)),
    }
}

/// The trees in `/proc/self/mountinfo`: `31 23 0:28 ROOT POINT OPTIONS [MORE…] - TYPE SOURCE OPTIONS` (proc(5)).
fn mounts(text: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (unescaped(before.next()?), unescaped(before.next()?));
        let mut after = after.split(' ');
        let version = match after.next()? {
            "cgroup" => Version::V1,
            "cgroup2" => Version::V2,
            _ => return None,
        };
        Some(Mount { version, controllers: after.nth(1).unwrap_or_default().to_owned(), root, point })
    };
    text.lines().filter_map(mount).collect()
}

/// Blanks, tabs, line ends and backslashes are octal there.
fn unescaped(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |field, (code, letter)| field.replace(code, letter))
}

/// What of `group` is below `root`, if it is.
fn below<'g>(group: &'g str, root: &str) -> Option<&'g str> {
    let rest = group.strip_prefix(root.trim_end_matches('/'))?;
    // `..`: it was moved out of the namespace that the process sees.
    let inside = !Path::new(rest).components().any(|part| part == Component::ParentDir);
    ((rest.is_empty() || rest.starts_with('/')) && inside).then_some(rest)
}

/// The folders of `group` and of all groups around it, as far as they are mounted.
fn folders(root: &Path, mount: &Mount, group: &str) -> Vec<PathBuf> {
    let top = root.join(mount.point.trim_start_matches('/'));
    // A container without a namespace of its own sees only its group, under a name that it does not see.
    let own = top.join(below(group, &mount.root).unwrap_or_default().trim_matches('/'));
    own.ancestors().take_while(|folder| folder.starts_with(&top)).map(Path::to_owned).collect()
}
