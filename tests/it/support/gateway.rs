use super::{Client, Response, SECRET, http, within_patience};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Mutex,
    thread,
};
use tempfile::TempDir;

/// How a run of the binary ended.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The one that cargo has built, or another that is to be tested: EDGEWAY_BINARY=/path.
pub fn binary() -> PathBuf {
    std::env::var_os("EDGEWAY_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_edgeway").into(), PathBuf::from)
}

/// The binary, with an environment that holds nothing of the machine's.
pub fn edgeway(folder: &Path) -> Command {
    let mut command = Command::new(binary());
    command.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin").env("RUN_DIR", folder.join("run"));
    // The shipped file's default may be taken by another test.
    command.env("ADMIN_ADDRESS", "127.0.0.1:0");
    command
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// A running gateway in a folder of its own. Ends with the test.
pub struct Gateway {
    folder: TempDir,
    child: Mutex<Child>,
    pub address: SocketAddr,
    /// The operator's listener; port 0 where there is none.
    pub admin: SocketAddr,
}

impl Gateway {
    /// Start with these sections; server, listeners and auth are added where they are not given.
    pub fn start(sections: &str) -> Self {
        Self::start_with(sections, &[])
    }

    /// As [`Gateway::start`], with variables.
    pub fn start_with(sections: &str, variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("edgeway.yaml");
        fs::write(&file, whole(sections, folder.path())).unwrap();
        Self::start_file(folder, &file, variables)
    }

    /// As [`Gateway::start`], with an access log that goes elsewhere.
    pub fn start_logging_to(sections: &str, stdout: impl Into<Stdio>) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("edgeway.yaml");
        fs::write(&file, whole(sections, folder.path())).unwrap();
        let mut command = edgeway(folder.path());
        command.args(["run", "--config"]).arg(&file).stdout(stdout);
        let stderr = File::create(folder.path().join("err.log")).unwrap();
        Self::spawn_as_it_is(folder, command, stderr.into())
    }

    /// As [`Gateway::start`], with a stderr that is read until it serves and then no more.
    pub fn start_saying_to_nobody(sections: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("edgeway.yaml");
        fs::write(&file, whole(sections, folder.path())).unwrap();
        let mut command = edgeway(folder.path());
        command.args(["run", "--config"]).arg(&file).stdout(Stdio::null());
        let (reader, writer) = std::io::pipe().unwrap();
        let mut log = File::create(folder.path().join("err.log")).unwrap();
        thread::spawn(move || {
            let mut lines = BufReader::new(reader);
            let mut line = String::new();
            while !line.contains(" serves on ") {
                line.clear();
                lines.read_line(&mut line).unwrap();
                log.write_all(line.as_bytes()).unwrap();
            }
            // Open, and never read again.
            std::mem::forget(lines);
        });
        Self::spawn_as_it_is(folder, command, writer.into())
    }

    /// As [`Gateway::start`], started by what `wrap` makes of the command.
    pub fn start_below(sections: &str, wrap: impl FnOnce(Command) -> Command) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("edgeway.yaml");
        fs::write(&file, whole(sections, folder.path())).unwrap();
        let mut command = edgeway(folder.path());
        command.args(["run", "--config"]).arg(&file);
        let command = wrap(command);
        Self::spawn(folder, command)
    }

    /// Start with a file as it is.
    pub fn start_file(folder: TempDir, file: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = edgeway(folder.path());
        command.args(["run", "--config"]).arg(file).envs(variables.iter().copied());
        Self::spawn(folder, command)
    }

    /// The same file in the same folder, after this one has ended.
    pub fn start_again(self) -> Self {
        assert!(self.exit_code().is_some(), "it runs still");
        let mut ended = std::mem::ManuallyDrop::new(self);
        // Moved out: the folder is not to be removed.
        let folder = std::mem::replace(&mut ended.folder, TempDir::new().unwrap());
        let file = folder.path().join("edgeway.yaml");
        Self::start_file(folder, &file, &[])
    }

    /// `edgeway demo` on a free port.
    pub fn demo() -> Self {
        Self::demo_below(|command| command)
    }

    /// The same, started by what `wrap` makes of the command.
    pub fn demo_below(wrap: impl FnOnce(Command) -> Command) -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = edgeway(folder.path());
        command.args(["demo", "--listen", "127.0.0.1:0"]);
        let command = wrap(command);
        let gateway = Self::spawn(folder, command);
        // The welcome follows the line that says where it serves.
        assert!(within_patience(|| fs::read_to_string(gateway.path("access.log")).unwrap().contains("Ctrl-C")));
        gateway
    }

    fn spawn(folder: TempDir, mut command: Command) -> Self {
        command.stdout(File::create(folder.path().join("access.log")).unwrap());
        let stderr = File::create(folder.path().join("err.log")).unwrap();
        Self::spawn_as_it_is(folder, command, stderr.into())
    }

    fn spawn_as_it_is(folder: TempDir, mut command: Command, stderr: Stdio) -> Self {
        let child = command.stdin(Stdio::null()).stderr(stderr).spawn().unwrap();
        // It holds the other end of what the child writes to.
        drop(command);
        let nowhere = ([127, 0, 0, 1], 0).into();
        let mut gateway = Self { folder, child: Mutex::new(child), address: nowhere, admin: nowhere };
        let mut address = None;
        let started = within_patience(|| {
            address = gateway.listening();
            address.is_some() || gateway.exit_code().is_some()
        });
        assert!(started, "not started:\n{}", gateway.stderr());
        gateway.address = address.unwrap_or_else(|| panic!("ended at its start:\n{}", gateway.stderr()));
        gateway.admin = gateway.operated().unwrap_or(nowhere);
        gateway
    }

    /// The same line ends with the address of the operator's listener.
    fn operated(&self) -> Option<SocketAddr> {
        let text = self.stderr();
        let (_, rest) = text.split_once(" worker threads, admin on ")?;
        let address: SocketAddr = rest.lines().next()?.parse().ok()?;
        Some(callable(address))
    }

    /// The first address of the line that says where it serves.
    fn listening(&self) -> Option<SocketAddr> {
        self.listeners()?.into_iter().next()
    }

    /// The address of its second listener.
    pub fn other_address(&self) -> SocketAddr {
        self.listeners().unwrap()[1]
    }

    fn listeners(&self) -> Option<Vec<SocketAddr>> {
        let text = self.stderr();
        let (_, rest) = text.split_once(" serves on ")?;
        // Whole lines only: the admin listener's address stands at the end.
        let (line, _) = rest.split_once('\n')?;
        let (addresses, _) = line.split_once(" with ")?;
        addresses.split(", ").map(|address| Some(callable(address.parse().ok()?))).collect()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(self.path("err.log")).unwrap_or_default()
    }

    /// Wait until stderr holds all of `texts`, because a thread of its own writes it; everything it holds then.
    #[track_caller]
    pub fn tells(&self, texts: &[&str]) -> String {
        let told = within_patience(|| {
            let said = self.stderr();
            texts.iter().all(|text| said.contains(text))
        });
        assert!(told, "not told: {texts:?}\n{}", self.stderr());
        self.stderr()
    }

    /// Replace the sections of the file; nothing is reloaded yet.
    pub fn rewrite(&self, sections: &str) {
        let draft = self.path("draft.yaml");
        fs::write(&draft, whole(sections, self.folder.path())).unwrap();
        fs::rename(draft, self.path("edgeway.yaml")).unwrap();
    }

    /// SIGHUP, and wait until it is dealt with: `true` when the new configuration serves.
    pub fn reload(&self) -> bool {
        let count = |text: &str| text.matches("reloaded: ").count() + text.matches("reload refused").count();
        let before = self.stderr();
        self.signal(Signal::SIGHUP);
        assert!(
            within_patience(|| count(&self.stderr()) > count(&before)),
            "no word of the reload:\n{}",
            self.stderr()
        );
        self.stderr().matches("reloaded: ").count() > before.matches("reloaded: ").count()
    }

    pub fn signal(&self, signal: Signal) {
        let id = self.child.lock().unwrap().id();
        kill(Pid::from_raw(id.try_into().unwrap()), signal).unwrap();
    }

    /// The process that says it is the gateway.
    pub fn pid_file(&self) -> i32 {
        fs::read_to_string(self.path("run/edgeway.pid")).unwrap().trim().parse().unwrap()
    }

    /// Memory that it holds now, in bytes.
    pub fn resident(&self) -> usize {
        self.memory(&["VmRSS"])
    }

    /// The part of it that is no file's: the kernel drops pages of the binary as it likes.
    pub fn anonymous(&self) -> usize {
        self.memory(&["RssAnon", "VmSwap"])
    }

    /// The sum of some lines of `/proc/{pid}/status`, in bytes.
    fn memory(&self, names: &[&str]) -> usize {
        let id = self.child.lock().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = |name: &&str| status.lines().find_map(|line| line.strip_prefix(*name)?.strip_prefix(':')).unwrap();
        names.iter().map(|name| line(name).trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024).sum()
    }

    /// All numbers that `pattern` finds on stderr, one group each.
    pub fn said(&self, pattern: &str) -> Vec<u64> {
        let pattern = regex::Regex::new(pattern).unwrap();
        pattern.captures_iter(&self.stderr()).map(|found| found[1].parse().unwrap()).collect()
    }

    /// `None` while it runs.
    pub fn exit_code(&self) -> Option<i32> {
        self.child.lock().unwrap().try_wait().unwrap().map(|status| status.code().unwrap_or(-1))
    }

    pub fn wait_for_exit(&self) -> i32 {
        assert!(within_patience(|| self.exit_code().is_some()), "it runs on:\n{}", self.stderr());
        self.exit_code().unwrap()
    }

    /// Ask the operator's listener, on a connection of its own.
    pub fn operate(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Response {
        http::exchange(self.admin, &http::text_to("localhost", method, path, headers, body))
    }

    /// What a scrape says.
    pub fn metrics(&self) -> String {
        let response = self.operate("GET", "/metrics", &[], "");
        assert_eq!((response.status, response.complete), (200, true), "{response:?}");
        response.body
    }

    /// The value of one sample, as the scrape writes its name and labels; `None`: there is none.
    pub fn metric(&self, sample: &str) -> Option<f64> {
        let text = self.metrics();
        let value = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.map(|value| value.parse().unwrap())
    }

    /// A connection that is kept.
    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// `GET path` on a connection of its own, with more header lines.
    pub fn get(&self, path: &str, headers: &[&str]) -> Response {
        http::get(self.address, path, headers)
    }

    /// Any request on a connection of its own.
    pub fn request(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Response {
        http::exchange(self.address, &http::text(method, path, headers, body))
    }

    /// Whether anybody answers there.
    pub fn is_there(&self, path: &str) -> bool {
        let request = http::text("GET", path, &["Connection: close"], "");
        let answer = TcpStream::connect(self.address).and_then(|mut stream| {
            stream.set_read_timeout(Some(super::PATIENCE))?;
            stream.write_all(&request)?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).map(|_| answer)
        });
        answer.is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200"))
    }

    /// Raw bytes on a connection of their own.
    pub fn send(&self, bytes: &[u8]) -> Response {
        http::exchange(self.address, bytes)
    }

    /// The lines of the access log so far.
    pub fn access_log(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.path("access.log")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// Wait for the line of the request with this id.
    pub fn log_line(&self, id: &str) -> serde_json::Value {
        let mut found = None;
        let there = within_patience(|| {
            found = self.access_log().into_iter().find(|line| line["request_id"] == id);
            found.is_some()
        });
        assert!(there, "no line of {id}");
        found.unwrap()
    }
}

/// Who listens on every interface is called on this machine's own.
fn callable(address: SocketAddr) -> SocketAddr {
    let ip = if address.ip().is_unspecified() { [127, 0, 0, 1].into() } else { address.ip() };
    (ip, address.port()).into()
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        _ = child.kill();
        _ = child.wait();
        drop(child);
        // Those that took over.
        let file = fs::read_to_string(self.path("run/edgeway.pid")).ok().and_then(|pid| pid.trim().parse().ok());
        for pid in self.said(r"process (\d+) ").into_iter().chain(file) {
            _ = kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL);
        }
    }
}

/// What every file needs, where `sections` do not say it.
fn whole(sections: &str, folder: &Path) -> String {
    let mut text = String::new();
    let mut add = |key: &str, section: String| {
        if !sections.lines().any(|line| line.starts_with(&format!("{key}:"))) {
            text.push_str(&section);
        }
    };
    // Most tests reload when they mean to.
    let watched = sections.contains("# watched");
    let drain = "drain: { pause: 0s, deadline: 35s }";
    let run_dir = folder.display();
    add("server", format!("server: {{ threads: 2, run_dir: {run_dir}/run, reload_on_change: {watched}, {drain} }}\n"));
    add("listeners", "listeners: [{ address: \"127.0.0.1:0\" }]\n".to_owned());
    add("admin", "admin: { address: \"127.0.0.1:0\" }\n".to_owned());
    add("auth", format!("auth: {{ jwt: {{ algorithm: HS256, secret: {SECRET} }} }}\n"));
    text + sections
}
