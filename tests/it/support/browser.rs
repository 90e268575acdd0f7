use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

/// A browser of this machine, without a window, whose names are those of `hosts` (`MAP name address`, with commas).
/// Without a browser nobody knows whether pages work.
pub fn chromium(profile: &Path, hosts: &str) -> Command {
    let folders = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = env::split_paths(&folders).collect();
    let mut places = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let place = places.find(|place| place.is_file()).expect("chromium is not on PATH; run scripts/setup.sh test");
    let mut command = Command::new(place);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--host-resolver-rules={hosts}"))
        .arg(format!("--user-data-dir={}", profile.display()))
        .env("HOME", profile)
        .stdin(Stdio::null());
    command
}
