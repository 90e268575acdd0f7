//! What is in the files of control groups.

use super::Version;
use std::{
    cmp::Ordering,
    fmt,
    path::{Path, PathBuf},
};

/// From here on a limit of memory of version 1 is none: the kernel writes the largest number of whole pages.
const BOUNDLESS: u64 = 1 << 62;

/// A kind of limit.
pub(super) trait Limit: Sized {
    /// The files that may hold one, in the folder of a group.
    fn files(version: Version) -> &'static [&'static str];

    /// What is in the file at `path`. `None`: nothing that could be there; `Some(None)`: that there is no limit.
    fn parse(version: Version, text: &str, path: &Path) -> Option<Option<Self>>;

    /// The smaller limit first.
    fn order(&self, other: &Self) -> Ordering;
}

/// How much CPU time a group may use.
#[derive(Clone, Debug, PartialEq)]
pub struct CpuLimit {
    /// In CPUs: 0.5 is half of one.
    pub cpus: f64,
    /// Where it is from.
    pub version: Version,
    /// The file that holds it.
    pub file: PathBuf,
}

/// How much memory a group may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// In bytes. Above `memory.high` a group is slowed down, above the others it is killed.
    pub bytes: u64,
    /// Where it is from.
    pub version: Version,
    /// The file that holds it.
    pub file: PathBuf,
}

impl Limit for CpuLimit {
    fn files(version: Version) -> &'static [&'static str] {
        match version {
            Version::V1 => &["cpu.cfs_quota_us"],
            Version::V2 => &["cpu.max"],
        }
    }

    fn parse(version: Version, text: &str, path: &Path) -> Option<Option<Self>> {
        let (quota, period) = match version {
            // The other half is in a file beside it.
            Version::V1 => (text, std::fs::read_to_string(path.with_file_name("cpu.cfs_period_us")).ok()?),
            Version::V2 => text.split_once(' ').map(|(quota, period)| (quota, period.to_owned()))?,
        };
        let period: u64 = period.trim().parse().ok().filter(|period| *period > 0)?;
        if quota == "max" || quota == "-1" {
            return Some(None);
        }
        let quota: u64 = quota.parse().ok().filter(|quota| *quota > 0)?;
        Some(Some(Self { cpus: quota as f64 / period as f64, version, file: path.to_owned() }))
    }

    fn order(&self, other: &Self) -> Ordering {
        self.cpus.total_cmp(&other.cpus)
    }
}

impl Limit for MemoryLimit {
    fn files(version: Version) -> &'static [&'static str] {
        match version {
            Version::V1 => &["memory.limit_in_bytes"],
            Version::V2 => &["memory.max", "memory.high"],
        }
    }

    fn parse(version: Version, text: &str, path: &Path) -> Option<Option<Self>> {
        if text == "max" {
            return Some(None);
        }
        let bytes: u64 = text.parse().ok()?;
        Some((bytes < BOUNDLESS).then(|| Self { bytes, version, file: path.to_owned() }))
    }

    fn order(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl fmt::Display for CpuLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = (self.cpus * 100.0).round() / 100.0;
        write!(f, "{hundredths} ({}, {})", self.version, self.file.display())
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB ({}, {})", self.bytes >> 20, self.version, self.file.display())
    }
}
