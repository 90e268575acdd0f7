use super::{Client, closed_port, within_patience};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// A real Prometheus with the shipped files, on a free port. Ends with the test.
pub struct Prometheus {
    child: Child,
    pub address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// conf/observability/prometheus.yml as it is, but that it scrapes `target` instead, and oftener.
    pub fn start(target: SocketAddr) -> Self {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/observability");
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("rules")).unwrap();
        fs::copy(shipped.join("rules/edgeway.yml"), folder.path().join("rules/edgeway.yml")).unwrap();
        let mut text = fs::read_to_string(shipped.join("prometheus.yml")).unwrap();
        for (from, to) in [
            ("scrape_interval: 15s", "scrape_interval: 1s\n  scrape_timeout: 1s"),
            ("evaluation_interval: 15s", "evaluation_interval: 1s"),
            ("targets: [\"edgeway:9901\"]", &format!("targets: [\"{target}\"]")),
        ] {
            assert_eq!(text.matches(from).count(), 1, "{from} in prometheus.yml");
            text = text.replace(from, to);
        }
        fs::write(folder.path().join("prometheus.yml"), text).unwrap();
        // Between asking for a free port and taking it, somebody else may.
        let running = (0..5).find_map(|_| spawn(folder.path()));
        let (child, address) = running.expect("prometheus does not start");
        Self { child, address, _folder: folder }
    }

    /// The values that a query has now.
    pub fn ask(&self, query: &str) -> Vec<f64> {
        let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
        let result = self.get(&format!("/api/v1/query?query={query}"));
        let value = |one: &serde_json::Value| one["value"][1].as_str().unwrap_or_default().parse().unwrap();
        result["result"].as_array().map(|all| all.iter().map(value).collect()).unwrap_or_default()
    }

    /// `data` of what its API answers.
    pub fn get(&self, path: &str) -> serde_json::Value {
        let mut client = Client::connect(self.address);
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).as_bytes());
        let mut answer: serde_json::Value = serde_json::from_str(&client.answer(false).body).unwrap_or_default();
        answer["data"].take()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn spawn(folder: &Path) -> Option<(Child, SocketAddr)> {
    let address = SocketAddr::from(([127, 0, 0, 1], closed_port()));
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", folder.join("prometheus.yml").display()));
    command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
    command.arg(format!("--web.listen-address={address}")).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("prometheus is missing: run scripts/setup.sh test");
    let mut ended = false;
    let ready = within_patience(|| {
        ended = child.try_wait().unwrap().is_some();
        ended || TcpStream::connect(address).is_ok()
    });
    if ready && !ended {
        return Some((child, address));
    }
    _ = child.kill();
    _ = child.wait();
    None
}

/// What promtool says to this; an error is what it says when it is not content.
pub fn promtool(arguments: &[&str], stdin: &str) -> Result<String, String> {
    let mut command = Command::new("promtool");
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is missing: run scripts/setup.sh test");
    // It may have what it needs before all is written.
    _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    if output.status.success() { Ok(said) } else { Err(said) }
}
