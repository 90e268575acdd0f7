use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

/// What a service saw.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET /path HTTP/1.1`.
    pub line: String,
    /// Names as they came, in order.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// How many requests came on this connection before.
    pub nth: usize,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

/// What a service does with a request.
pub enum Answer {
    /// These bytes, and the connection is kept.
    Raw(String),
    /// 200 with this text.
    Text(String),
    /// Nothing, for ever.
    Hang,
    /// Close without a byte.
    Close,
    /// These bytes, then close.
    RawThenClose(String),
}

/// A service that records what it sees. Ends with the test, all its connections too.
pub struct Upstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    ended: Arc<AtomicBool>,
}

impl Upstream {
    /// 200 with its request line as text, for everything.
    pub fn echo() -> Self {
        Self::start(|request| Answer::Text(request.line.clone()))
    }

    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_on(0, answer)
    }

    /// On a port that an earlier one had.
    pub fn start_on(port: u16, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            connections: Arc::default(),
            ended: Arc::default(),
        };
        let (seen, connections, ended) = (upstream.seen.clone(), upstream.connections.clone(), upstream.ended.clone());
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(SeqCst) {
                    return;
                }
                connections.lock().unwrap().push(stream.try_clone().unwrap());
                let (seen, answer) = (seen.clone(), answer.clone());
                thread::spawn(move || serve(stream, &seen, &*answer));
            }
        });
        upstream
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, probes apart.
    pub fn seen(&self) -> Vec<Request> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|request| !request.line.starts_with("GET /health ")).cloned().collect()
    }

    pub fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }

    /// The only request so far.
    #[track_caller]
    pub fn only(&self) -> Request {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen.into_iter().next().unwrap()
    }
}

/// As a killed process: the listener is gone, connections are closed in the middle of whatever they do.
impl Drop for Upstream {
    fn drop(&mut self) {
        self.ended.store(true, SeqCst);
        // Wakes the accepting thread, which then drops the listener.
        _ = TcpStream::connect(self.address);
        for stream in self.connections.lock().unwrap().drain(..) {
            _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Request>>, answer: &dyn Fn(&Request) -> Answer) {
    _ = stream.set_nodelay(true);
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    for nth in 0.. {
        let Some(request) = read(&mut reader, nth) else { return };
        seen.lock().unwrap().push(request.clone());
        let sent = match answer(&request) {
            Answer::Raw(bytes) => writer.write_all(bytes.as_bytes()),
            Answer::Text(text) => writer.write_all(plain(&text).as_bytes()),
            Answer::Hang => {
                // Until the caller or the test gives up.
                _ = reader.read(&mut [0]);
                return;
            }
            Answer::Close => {
                _ = writer.shutdown(Shutdown::Both);
                return;
            }
            Answer::RawThenClose(bytes) => {
                _ = writer.write_all(bytes.as_bytes());
                _ = writer.shutdown(Shutdown::Both);
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// An answer in one write.
fn plain(text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}", text.len())
}

fn read(reader: &mut BufReader<TcpStream>, nth: usize) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut request = Request { line: line.trim_end().to_owned(), nth, ..Request::default() };
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut body = Vec::new();
    if let Some(length) = request.header("content-length").and_then(|length| length.parse::<u64>().ok()) {
        reader.take(length).read_to_end(&mut body).ok()?;
    } else if request.header("transfer-encoding").is_some() {
        chunks(reader, &mut body)?;
    }
    request.body = String::from_utf8_lossy(&body).into_owned();
    Some(request)
}

fn chunks(reader: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> Option<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let length = u64::from_str_radix(line.trim(), 16).ok()?;
        reader.take(length).read_to_end(body).ok()?;
        reader.read_line(&mut line).ok()?;
        if length == 0 {
            return Some(());
        }
    }
}
