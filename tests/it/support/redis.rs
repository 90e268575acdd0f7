use super::{closed_port, within_patience};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    process::{Child, Command, Stdio},
    sync::Mutex,
};
use tempfile::TempDir;

/// A redis-server of the test's own. Ends with the test.
pub struct Redis {
    pub port: u16,
    folder: TempDir,
    child: Mutex<Child>,
}

impl Redis {
    pub fn start() -> Self {
        // The port may be taken between two looks: rarely, and then another is tried.
        (0..5).find_map(|_| Self::on(closed_port())).expect("no redis-server; scripts/setup.sh test installs it")
    }

    fn on(port: u16) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let child = spawn(port, &folder);
        let redis = Self { port, folder, child: Mutex::new(child) };
        redis.is_up().then_some(redis)
    }

    fn is_up(&self) -> bool {
        within_patience(|| self.child.lock().unwrap().try_wait().unwrap().is_some() || self.connection().is_some())
            && self.connection().is_some()
    }

    fn connection(&self) -> Option<redis::Connection> {
        redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap().get_connection().ok()
    }

    /// The answer to one command.
    pub fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let mut call = redis::cmd(command[0]);
        call.arg(&command[1..]);
        call.query(&mut self.connection().unwrap()).unwrap()
    }

    /// All keys, with their time to live in milliseconds (-1: none).
    pub fn keys(&self) -> Vec<(String, i64)> {
        let names: Vec<String> = self.ask(&["KEYS", "*"]);
        names.into_iter().map(|name| (name.clone(), self.ask(&["PTTL", &name]))).collect()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.lock().unwrap().id().try_into().unwrap()), signal).unwrap();
    }

    /// Gone at once.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// A new one, empty, where the old one was.
    pub fn restart(&self) {
        *self.child.lock().unwrap() = spawn(self.port, &self.folder);
        assert!(self.is_up());
    }

    /// The lines that a configuration needs; `deadline` is how long a request waits for it.
    pub fn config(&self, deadline: &str) -> String {
        format!("redis: {{ host: 127.0.0.1, port: {}, deadline: {deadline} }}\n", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        _ = child.kill();
        _ = child.wait();
    }
}

fn spawn(port: u16, folder: &TempDir) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("no redis-server; scripts/setup.sh test installs it")
}
