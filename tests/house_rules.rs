//! The architecture, as tests. A failure names the file, the line and the rule.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const CAPABILITIES: &[&str] = &[
    "routing",
    "addresses",
    "cors",
    "limits",
    "auth",
    "ext_auth",
    "upstream",
    "resilience",
    "observability",
    "own",
    "store",
    "tls",
    "security_headers",
];

/// Who may import whom. A module may always import itself and `types`. A new arrow is a reviewed line here.
///
/// `*/config.rs` files are data: `config` may import those of every module, whatever its layer.
const MAY_IMPORT: [(&str, &[&str]); 26] = [
    ("types", &[]),
    // What the process may use of its machine: read once, from files and system calls.
    ("machine", &[]),
    ("store", &[]),
    ("net", &[]),
    ("files", &[]),
    ("tls", &["files"]),
    ("security_headers", &[]),
    ("observability", &[]),
    ("resilience", &[]),
    ("routing", &[]),
    ("addresses", &["files"]),
    ("cors", &[]),
    ("limits", &["store"]),
    ("auth", &["store", "net"]),
    ("ext_auth", &["net"]),
    ("own", &[]),
    ("upstream", &["files", "resilience", "tls"]),
    (
        "config",
        &[
            "files",
            "net",
            "routing",
            "addresses",
            "cors",
            "limits",
            "auth",
            "ext_auth",
            "upstream",
            "resilience",
            "observability",
            "own",
            "store",
            "tls",
            "security_headers",
            "admin",
        ],
    ),
    (
        "runtime",
        &[
            "config",
            "routing",
            "addresses",
            "cors",
            "limits",
            "store",
            "tls",
            "security_headers",
            "auth",
            "ext_auth",
            "upstream",
            "resilience",
            "observability",
            "own",
        ],
    ),
    ("connection", &["observability", "tls"]),
    ("admin", &["auth", "runtime", "config", "upstream", "resilience", "observability", "tls"]),
    (
        "proxy",
        &[
            "connection",
            "runtime",
            "security_headers",
            "own",
            "routing",
            "addresses",
            "cors",
            "limits",
            "auth",
            "ext_auth",
            "upstream",
            "resilience",
            "observability",
        ],
    ),
    (
        "server",
        &[
            "addresses",
            "auth",
            "files",
            "machine",
            "proxy",
            "connection",
            "admin",
            "runtime",
            "config",
            "observability",
            "upstream",
            "tls",
        ],
    ),
    ("demo", &[]),
    ("cli", &["net", "server", "demo", "runtime", "config", "auth", "observability"]),
    ("main", &["cli"]),
];
/// Lines of code of a file, its tests apart.
const MAX_FILE: usize = 400;
/// Lines of a function.
const MAX_FUNCTION: usize = 40;

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of `src` without its tests: path, text.
fn all() -> Vec<(PathBuf, String)> {
    let src = root().join("src");
    let mut found = Vec::new();
    sources(&src, &mut found);
    found.retain(|path| !path.to_string_lossy().ends_with("_tests.rs"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(&src).unwrap().to_owned(), text.split("#[cfg(test)]\n").next().unwrap().to_owned())
    };
    found.into_iter().map(read).collect()
}

fn module(path: &Path) -> String {
    path.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Modules named after `crate::` anywhere in the text, including inside `use crate::{a, b::c}`, with their lines.
fn imports(text: &str) -> Vec<(usize, String)> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let line = text[..at].lines().count().max(1);
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(members(group).into_iter().map(|name| (line, word(name)))),
            None => found.push((line, word(rest))),
        }
    }
    found.retain(|(_, name)| !name.is_empty());
    found
}

/// The entries of `a, b::{c, d}}`, up to the brace that closes the group.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                found.push(group[start..at].trim_start());
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => (),
        }
    }
    found
}

#[track_caller]
fn none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn modules_import_only_what_is_below_them() {
    let mut broken = Vec::new();
    for (path, text) in all() {
        let module = module(&path);
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else { continue };
        for (line, target) in imports(&text) {
            if target != module && target != "types" && !allowed.contains(&target.as_str()) {
                broken.push(format!("src/{}:{line}: `{module}` may not import `{target}`", path.display()));
            }
        }
    }
    none(&broken);
}

#[test]
fn the_layers_have_no_circle() {
    let mut done = BTreeSet::from(["types"]);
    // `config` imports `admin/config.rs`, which is data, and nothing else of `admin`.
    let data = |name: &str, target: &str| (name, target) == ("config", "admin");
    while let Some((name, _)) = MAY_IMPORT.iter().find(|(name, below)| {
        !done.contains(name) && below.iter().all(|target| done.contains(target) || data(name, target))
    }) {
        done.insert(name);
    }
    let circles = MAY_IMPORT.iter().filter(|(name, _)| !done.contains(name));
    none(&circles.map(|(name, _)| format!("{name} is in a circle")).collect::<Vec<_>>());
}

#[test]
fn only_proxy_and_connection_know_the_session() {
    // As a key that is refused by name, the word is only a word.
    // And a probe is a client of pingora's, whose exchange with a server has the same name.
    let client = ["get_http_session", "client::HttpSession as Exchange"];
    let code = |line: &str| {
        client
            .iter()
            .fold(line.replace("\"session\"", "").replace("\"sessions\"", ""), |line, word| line.replace(word, ""))
    };
    let named = |line: &str| code(line).contains("Session") || code(line).contains("session");
    let knows = |line: &str| !line.trim_start().starts_with("//") && named(line);
    let mut broken = Vec::new();
    let others = all().into_iter().filter(|(path, _)| !["proxy", "connection"].contains(&module(path).as_str()));
    for (path, text) in others {
        let lines = text.lines().enumerate().filter(|(_, line)| knows(line));
        broken.extend(lines.map(|(at, _)| format!("src/{}:{}: `Session` belongs to `proxy`", path.display(), at + 1)));
    }
    none(&broken);
}

#[test]
fn capabilities_do_not_know_status_codes() {
    // A preflight and a page of ours are whole answers.
    let whole = ["cors", "own"];
    let knows = |path: &Path, text: &str| text.contains("StatusCode") && !whole.contains(&module(path).as_str());
    let capabilities = all().into_iter().filter(|(path, _)| CAPABILITIES.contains(&module(path).as_str()));
    let broken = capabilities.filter(|(path, text)| knows(path, text));
    none(
        &broken
            .map(|(path, _)| format!("src/{}: statuses belong to `proxy/rejection.rs`", path.display()))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn files_and_functions_stay_readable() {
    let mut broken = Vec::new();
    for (path, text) in all() {
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > MAX_FILE {
            broken.push(format!("src/{}: {} lines, at most {MAX_FILE}", path.display(), lines.len()));
        }
        for (start, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("fn ")) {
            let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
            let length = lines[start..].iter().position(|line| *line == end).unwrap_or(0) + 1;
            if length > MAX_FUNCTION && !line.trim_start().starts_with("//") && !line.trim_end().ends_with(';') {
                broken.push(format!("src/{}:{}: {length} lines, at most {MAX_FUNCTION}", path.display(), start + 1));
            }
        }
    }
    none(&broken);
}

#[test]
fn every_module_is_listed() {
    let known = |name: &str| name == "lib" || MAY_IMPORT.iter().any(|(listed, _)| *listed == name);
    let broken = all().into_iter().filter(|(path, _)| !known(&module(path)));
    none(&broken.map(|(path, _)| format!("src/{}: add its module to MAY_IMPORT", path.display())).collect::<Vec<_>>());
}

#[test]
fn shipped_configurations_are_valid() {
    for entry in fs::read_dir(root().join("conf")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path).unwrap();
            parses(&text, &path.display().to_string());
        }
    }
}

#[test]
fn documented_configurations_are_valid() {
    let mut pages = vec![root().join("README.md"), root().join("ARCHITECTURE.md")];
    pages.push(root().join("docs/ko/README.md"));
    pages.extend(fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    for path in pages.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(&path).unwrap();
        for block in text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            parses(block, &path.display().to_string());
        }
    }
}

#[test]
fn examples_in_module_documents_are_valid() {
    for (path, text) in all() {
        let document: String = text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .map(|line| format!("{}\n", line.trim_start_matches("//!").strip_prefix(' ').unwrap_or("")))
            .collect();
        for block in document.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            parses(block, &path.display().to_string());
        }
    }
}

#[track_caller]
fn parses(text: &str, file: &str) {
    let secret = |name: &str| (name == "JWT_SECRET_KEY").then(|| "house-rules-0123456789-0123456789".to_owned());
    let loaded = edgeway::config::Config::parse(text, file, &secret);
    loaded.unwrap_or_else(|errors| panic!("{errors}"));
}

/// The project speaks of itself alone: neither of the machine it was made on nor of registries' hosts.
#[test]
fn no_address_of_a_workplace_stands_in_the_tree() {
    let words = ["/work/", "/tmp/wt", "crates.io/api", "pypi.org", "registry.npmjs"];
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        sources(&root().join(folder), &mut files);
    }
    files.extend(
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile"].map(|name| root().join(name)),
    );
    files.retain(|path| !path.ends_with("house_rules.rs"));
    let mut broken = Vec::new();
    for path in files.into_iter().filter(|path| path.exists()) {
        let text = fs::read_to_string(&path).unwrap();
        broken.extend(
            words.iter().filter(|word| text.contains(**word)).map(|word| format!("{}: {word}", path.display())),
        );
    }
    none(&broken);
}
