//! The README's tour, run as it stands: every command in one shell, every output compared.

use super::support::{Gateway, pages, within_patience};
use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

/// That everything of the page is as it is written, to whoever asks this gateway.
pub fn leads_through(gateway: &Gateway, page: &str) {
    assert!(pages::steps(page).len() > 15, "the tour of {page} is gone");
    // The first probes are on their way while the gateway already serves.
    let well = |body: &str| body.matches("\"healthy\"").count() == 7;
    assert!(within_patience(|| well(&gateway.get("/health", &[]).body)));
    let folder = tempfile::TempDir::new().unwrap();
    symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf"), folder.path().join("conf")).unwrap();
    pages::run(page, folder.path(), gateway.address, &[]);
}

#[test]
fn the_tour_of_the_readme_runs_as_it_is_written() {
    leads_through(&Gateway::demo(), "README.md");
}

#[test]
fn the_tour_in_korean_runs_as_it_is_written() {
    leads_through(&Gateway::demo(), "docs/ko/README.md");
}

#[test]
fn the_demo_prints_commands_that_do_what_they_say() {
    let gateway = Gateway::demo();
    let welcome = fs::read_to_string(gateway.path("access.log")).unwrap();
    let commands: Vec<String> = {
        let indented = welcome.lines().filter_map(|line| line.strip_prefix("    "));
        let text = indented.collect::<Vec<_>>().join("\n").replace("\\\n  ", "");
        text.lines().map(str::to_owned).collect()
    };
    let assignments: Vec<&String> =
        commands.iter().filter(|line| line.contains("=") && !line.starts_with(['#', 'c'])).collect();
    assert_eq!(assignments.len(), 2, "{commands:#?}");
    for pair in commands.windows(2).filter(|pair| pair[0].starts_with("# ")) {
        let status = pair[0][2..].split(':').next().unwrap();
        let script = format!("{}\n{}\n{}", assignments[0], assignments[1], pair[1]);
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{}\n{}\n{said}", pair[0], pair[1]);
    }
}

#[test]
fn a_second_demo_says_how_to_start_it() {
    let gateway = Gateway::demo();
    let folder = tempfile::TempDir::new().unwrap();
    let address = gateway.address.to_string();
    let output = super::support::edgeway(folder.path()).args(["demo", "--listen", &address]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("is in use") && said.contains("edgeway demo --listen 127.0.0.1:"), "{said}");
}
