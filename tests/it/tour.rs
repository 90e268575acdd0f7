//! The README's tour, run as it stands: every command in one shell, every output compared.

use super::support::{Gateway, binary, within_patience};
use regex::Regex;
use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

/// What stands between the outputs of two commands.
const MARK: &str = "@@ next @@";

/// A command of the page and what it prints.
struct Step {
    command: String,
    output: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Blocks marked `console`: a `$ ` begins a command, what follows is its output.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in page.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
        for line in block.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => steps.push(Step { command: command.to_owned(), output: String::new() }),
                None => steps.last_mut().unwrap().output.push_str(&format!("{line}\n")),
            }
        }
    }
    steps
}

/// What differs from run to run: tokens, ids, dates, times and the port.
fn without_chance(text: &str, address: SocketAddr) -> String {
    let mut text = text.replace('\r', "").replace(&address.to_string(), "127.0.0.1:8080");
    for (pattern, word) in [
        (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "TOKEN"),
        (r"req-[0-9a-f]{16}", "req-ID"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r#""\d+ms""#, "\"MS\""),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, word).into_owned();
    }
    text.trim_end().to_owned()
}

/// As somebody would paste them, one after the other, into one shell.
fn pasted(steps: &[Step], address: SocketAddr) -> Vec<String> {
    let folder = tempfile::TempDir::new().unwrap();
    std::os::unix::fs::symlink(root().join("conf"), folder.path().join("conf")).unwrap();
    let mut shell = Command::new("sh")
        .arg("-s")
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut script = String::new();
    for step in steps {
        let command = step.command.replace("127.0.0.1:8080", &address.to_string());
        let command = command.replace("target/debug/edgeway", binary().to_str().unwrap());
        script.push_str(&format!("{command}\necho; echo '{MARK}'\n"));
    }
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = String::from_utf8(shell.wait_with_output().unwrap().stdout).unwrap();
    let outputs = output.split(MARK).map(|output| without_chance(output.trim_start_matches('\n'), address));
    outputs.take(steps.len()).collect()
}

#[test]
fn the_tour_of_the_readme_runs_as_it_is_written() {
    leads_through(&Gateway::demo());
}

/// That everything of the tour is as it is written.
pub fn leads_through(gateway: &Gateway) {
    let page = fs::read_to_string(root().join("README.md")).unwrap();
    let steps = steps(&page);
    assert!(steps.len() > 15, "the tour is gone");
    // The first probes are on their way while the gateway already serves.
    let well = |body: &str| body.matches("\"healthy\"").count() == 7;
    assert!(within_patience(|| well(&gateway.get("/health", &[]).body)));
    let outputs = pasted(&steps, gateway.address);
    let mut wrong = Vec::new();
    for (step, output) in steps.iter().zip(&outputs) {
        let written = without_chance(&step.output, gateway.address);
        if written != *output {
            wrong.push(format!("$ {}\n--- README.md\n{written}\n--- in fact\n{output}", step.command));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n\n"));
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
