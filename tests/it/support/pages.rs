//! Documents whose commands are run: blocks marked `console` as they stand, `console needs-cluster` not at all.

use super::binary;
use regex::Regex;
use std::{
    fs,
    io::Write,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

/// What stands between the outputs of two commands.
const MARK: &str = "@@ next @@";

/// A command of a page and what it prints. `…` is whatever stands there.
pub struct Step {
    pub command: String,
    pub output: String,
}

/// A block between fences: the word behind the first one, and what it holds.
pub struct Block {
    pub kind: String,
    pub lines: Vec<String>,
}

/// Of a page of the repository.
pub fn blocks(page: &str) -> Vec<Block> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let (mut blocks, mut open): (Vec<Block>, bool) = (Vec::new(), false);
    let mut indent = 0;
    for line in text.lines() {
        if let Some(kind) = line.trim_start().strip_prefix("```") {
            open = !open;
            if open {
                indent = line.len() - line.trim_start().len();
                blocks.push(Block { kind: kind.to_owned(), lines: Vec::new() });
            }
        } else if open {
            blocks.last_mut().unwrap().lines.push(line.get(indent..).unwrap_or_default().to_owned());
        }
    }
    assert!(!open, "{page}: a block has no end");
    blocks
}

/// Blocks marked `console`: a `$ ` begins a command, what follows is its output.
pub fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in blocks(page).into_iter().filter(|block| block.kind == "console") {
        for line in block.lines {
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

/// Whether `text` is `written`, where `…` stands for anything.
fn fits(written: &str, text: &str) -> bool {
    let mut pieces = written.split('…');
    let Some(mut rest) = text.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some((_, behind)) = rest.split_once(piece) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

#[test]
fn three_dots_stand_for_anything() {
    for (written, text, fit) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a…", "ab", true),
        ("…b…", "abc", true),
        ("a…d", "abc", false),
        ("a…b…c", "a1b2c", true),
        ("a…b…c", "a1c", false),
        ("…a", "aa", true),
    ] {
        assert_eq!(fits(written, text), fit, "{written} {text}");
    }
}

/// Run all commands of a page in one shell, as somebody would paste them, and compare what they print. 127.0.0.1:8080
/// is `address`, `edgeway` and `target/debug/edgeway` are the binary that is tested.
#[track_caller]
pub fn run(page: &str, folder: &Path, address: SocketAddr, variables: &[(&str, String)]) {
    let steps = steps(page);
    let outputs = pasted(&steps, folder, address, variables);
    let mut wrong = Vec::new();
    for (step, output) in steps.iter().zip(&outputs) {
        let written = without_chance(&step.output, address);
        if !fits(&written, output) {
            wrong.push(format!("$ {}\n--- {page}\n{written}\n--- in fact\n{output}", step.command));
        }
    }
    assert!(wrong.is_empty() && outputs.len() == steps.len(), "\n{}\n", wrong.join("\n\n"));
}

fn pasted(steps: &[Step], folder: &Path, address: SocketAddr, variables: &[(&str, String)]) -> Vec<String> {
    let programs = tempfile::TempDir::new().unwrap();
    symlink(binary(), programs.path().join("edgeway")).unwrap();
    let mut shell = Command::new("sh")
        .arg("-s")
        .current_dir(folder)
        .env("PATH", format!("{}:/usr/bin:/bin", programs.path().display()))
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // As on a terminal, where both are read.
    let mut script = "exec 2>&1\n".to_owned();
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
