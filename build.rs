//! Tells the binary which commit it was built from, for `edgeway --version`.

use std::{path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=.git/HEAD");
    // Each commit moves the branch and not HEAD; only who builds for release should wait for that.
    let (moves, profile) = (Path::new(".git/logs/HEAD"), std::env::var("PROFILE").unwrap_or_default());
    if profile == "release" && moves.exists() {
        println!("cargo:rerun-if-changed={}", moves.display());
    }
    println!("cargo:rerun-if-env-changed=EDGEWAY_BOLT");
    // scripts/release.sh has BOLT move the code, which it can where it knows every address in it.
    if std::env::var_os("EDGEWAY_BOLT").is_some() {
        println!("cargo:rustc-link-arg-bins=-Wl,--emit-relocs");
    }
    println!("cargo:rerun-if-env-changed=EDGEWAY_COMMIT");
    // A build from a tarball has no git; a packager may name the commit.
    let named = std::env::var("EDGEWAY_COMMIT").ok();
    let asked = || Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok();
    let commit =
        named.or_else(|| asked().filter(|out| out.status.success()).and_then(|out| String::from_utf8(out.stdout).ok()));
    println!("cargo:rustc-env=EDGEWAY_COMMIT={}", commit.as_deref().map_or("unknown", str::trim));
    println!("cargo:rustc-env=EDGEWAY_PROFILE={profile}");
}
