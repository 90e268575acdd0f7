use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

/// A request as a service saw it, byte for byte.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// `GET /path HTTP/1.1`.
    pub line: String,
    /// As they came, in order.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the last byte of its body came.
    pub complete: bool,
    /// Where it is not what RFC 9112 allows a client to send. Empty, or the gateway has a hole.
    pub faults: Vec<String>,
}

impl Seen {
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }
}

/// A service that takes nothing for granted: it reads requests to the letter of RFC 9112 and writes down whatever is
/// outside of it. Answers each request with its own first line and body.
pub struct Recorder {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Those that are open.
    connections: Arc<Mutex<HashMap<usize, TcpStream>>>,
    ended: Arc<AtomicBool>,
}

impl Recorder {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let recorder = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            connections: Arc::default(),
            ended: Arc::default(),
        };
        let (seen, connections, ended) = (recorder.seen.clone(), recorder.connections.clone(), recorder.ended.clone());
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                if ended.load(SeqCst) {
                    return;
                }
                connections.lock().unwrap().insert(number, stream.try_clone().unwrap());
                let (seen, connections) = (seen.clone(), connections.clone());
                thread::spawn(move || {
                    Reader::new(stream, &seen).serve();
                    connections.lock().unwrap().remove(&number);
                });
            }
        });
        recorder
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything since the last time.
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.ended.store(true, SeqCst);
        _ = TcpStream::connect(self.address);
        for stream in self.connections.lock().unwrap().values() {
            _ = stream.shutdown(Shutdown::Both);
        }
    }
}

struct Reader<'s> {
    stream: BufReader<TcpStream>,
    seen: &'s Mutex<Vec<Seen>>,
}

impl<'s> Reader<'s> {
    fn new(stream: TcpStream, seen: &'s Mutex<Vec<Seen>>) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream), seen }
    }

    fn serve(mut self) {
        loop {
            let mut request = Seen::default();
            match self.request(&mut request) {
                Some(true) => {}
                // Nothing came, or not all of it: what did is written down.
                ended => {
                    if ended == Some(false) {
                        self.seen.lock().unwrap().push(request);
                    }
                    return;
                }
            }
            request.complete = true;
            let text = format!("{} {}", request.line, String::from_utf8_lossy(&request.body));
            let head = request.line.starts_with("HEAD ");
            let upgrade = request.all("upgrade") == ["websocket"];
            self.seen.lock().unwrap().push(request);
            if upgrade {
                return self.tunnel();
            }
            let body = if head { "" } else { &text };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", text.len());
            if self.stream.get_mut().write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// After 101 every byte comes back.
    fn tunnel(mut self) {
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        _ = self.stream.get_mut().write_all(answer);
        let mut bytes = [0; 1024];
        while let Some(read) = self.stream.read(&mut bytes).ok().filter(|read| *read > 0) {
            if self.stream.get_mut().write_all(&bytes[..read]).is_err() {
                return;
            }
        }
    }

    /// `None`: the connection ended before a byte; `Some(false)`: in the middle.
    fn request(&mut self, request: &mut Seen) -> Option<bool> {
        let mut raw = Vec::new();
        self.stream.read_until(b'\n', &mut raw).ok().filter(|read| *read > 0)?;
        request.line = line(&raw, &mut request.faults);
        check_first(&request.line, &mut request.faults);
        loop {
            let Some(text) = self.line(&mut request.faults) else { return Some(false) };
            if text.is_empty() {
                break;
            }
            check_field(&text, &mut request.faults);
            let (name, value) = text.split_once(':').unwrap_or((&text, ""));
            request.headers.push((name.to_owned(), value.trim_matches(' ').to_owned()));
        }
        check_head(request);
        Some(self.body(request).is_some())
    }

    fn line(&mut self, faults: &mut Vec<String>) -> Option<String> {
        let mut raw = Vec::new();
        self.stream.read_until(b'\n', &mut raw).ok().filter(|read| *read > 0 && raw.ends_with(b"\n"))?;
        Some(line(&raw, faults))
    }

    fn body(&mut self, request: &mut Seen) -> Option<()> {
        if let [length] = request.all("content-length")[..] {
            let length: u64 = length.parse().ok()?;
            let read = (&mut self.stream).take(length).read_to_end(&mut request.body).ok()?;
            return (read as u64 == length).then_some(());
        }
        if request.all("transfer-encoding").is_empty() {
            return Some(());
        }
        loop {
            let text = self.line(&mut request.faults)?;
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                request.faults.push(format!("size of a chunk: {text:?}"));
                return None;
            }
            let size = u64::from_str_radix(&text, 16).ok()?;
            let read = (&mut self.stream).take(size).read_to_end(&mut request.body).ok()?;
            if read as u64 != size {
                return None;
            }
            let end = self.line(&mut request.faults)?;
            if !end.is_empty() {
                request.faults.push(format!("end of a chunk: {end:?}"));
            }
            if size == 0 {
                return Some(());
            }
        }
    }
}

fn line(raw: &[u8], faults: &mut Vec<String>) -> String {
    let text = raw.strip_suffix(b"\r\n").unwrap_or_else(|| {
        faults.push(format!("end of the line {:?}", String::from_utf8_lossy(raw)));
        raw
    });
    if !text.iter().all(|byte| (b' '..=b'~').contains(byte) || *byte == b'\t' || *byte >= 0x80) {
        faults.push(format!("bytes of the line {:?}", String::from_utf8_lossy(raw)));
    }
    String::from_utf8_lossy(text).into_owned()
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn check_first(line: &str, faults: &mut Vec<String>) {
    let parts: Vec<_> = line.split(' ').collect();
    let [method, target, "HTTP/1.1"] = parts[..] else { return faults.push(format!("first line {line:?}")) };
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"#\\\"<>^`{|}".contains(&byte);
    if !is_token(method) || !target.starts_with('/') || !target.bytes().all(plain) || target.starts_with("//") {
        faults.push(format!("first line {line:?}"));
    }
}

fn check_field(text: &str, faults: &mut Vec<String>) {
    let name = text.split_once(':').map_or("", |(name, _)| name);
    if !is_token(name) {
        faults.push(format!("header {text:?}"));
    }
}

/// What two servers could understand in two ways, and what was for the gateway only.
fn check_head(request: &mut Seen) {
    let count = |name: &str| request.all(name).len();
    let mut faults = Vec::new();
    if count("host") != 1 || request.all("host")[0].is_empty() {
        faults.push(format!("Host: {:?}", request.all("host")));
    }
    if count("content-length") + count("transfer-encoding") > 1 {
        faults.push("two ways to frame the body".to_owned());
    }
    let decimal =
        |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit()) && (*text == "0" || !text.starts_with('0'));
    if !request.all("content-length").iter().all(decimal) {
        faults.push(format!("Content-Length: {:?}", request.all("content-length")));
    }
    if !request.all("transfer-encoding").iter().all(|text| *text == "chunked") {
        faults.push(format!("Transfer-Encoding: {:?}", request.all("transfer-encoding")));
    }
    for name in ["keep-alive", "proxy-connection", "te", "trailer", "http2-settings", "proxy-authorization"] {
        if count(name) > 0 {
            faults.push(format!("{name}, which is for one hop"));
        }
    }
    for name in ["connection", "upgrade"] {
        if count(name) > 0 && request.all("upgrade") != ["websocket"] {
            faults.push(format!("{name} without WebSocket"));
        }
    }
    for (name, _) in &request.headers {
        if name.starts_with(':') || ["content_length", "transfer_encoding"].contains(&&*name.to_ascii_lowercase()) {
            faults.push(format!("header {name}"));
        }
    }
    if count("x-request-id") != 1 || count("x-forwarded-for") != 1 {
        faults.push("what the gateway says of the caller is missing or doubled".to_owned());
    }
    request.faults.extend(faults);
}
