//! The service that the callers' requests are meant for: whatever it answers tells whose answer it is.

use super::requests::{ok, uploaded};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

/// Between two events of a stream.
const BETWEEN_EVENTS: Duration = Duration::from_millis(20);

/// Serves to the end of the test process.
pub struct StandIn {
    pub address: SocketAddr,
}

struct Asked {
    method: String,
    path: String,
    id: String,
    length: Option<usize>,
    last_event: u64,
}

impl StandIn {
    /// `/load` takes this long.
    pub fn start(takes: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || serve(stream, takes));
            }
        });
        Self { address }
    }
}

/// Until the gateway has enough of the connection.
fn serve(mut stream: TcpStream, takes: Duration) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let asked = head(&mut reader)?;
        let body = body(&mut reader, &asked)?;
        let text = match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/get") => ok(&asked.id),
            ("POST", "/upload") => uploaded(&asked.id, &body),
            ("GET", path) if path.starts_with("/load/") => {
                thread::sleep(takes);
                "ok".to_owned()
            }
            ("GET", "/socket") => return echo(&mut stream, &mut reader),
            ("GET", "/events") => return tell(&mut stream, asked.last_event),
            _ => String::new(),
        };
        let status = if text.is_empty() { "404 Not Found" } else { "200 OK" };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

fn line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    Some(line.trim_end().to_owned())
}

fn head(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let first = line(reader)?;
    let mut words = first.split(' ').map(str::to_owned);
    let mut asked =
        Asked { method: words.next()?, path: words.next()?, id: String::new(), length: Some(0), last_event: 0 };
    loop {
        let line = line(reader)?.to_lowercase();
        match line.split_once(':').map(|(name, value)| (name, value.trim())) {
            None => return Some(asked),
            Some(("x-request-id", id)) => asked.id = id.to_owned(),
            Some(("content-length", length)) => asked.length = length.parse().ok(),
            Some(("transfer-encoding", _)) => asked.length = None,
            Some(("last-event-id", number)) => asked.last_event = number.parse().ok()?,
            Some(_) => (),
        }
    }
}

fn body(reader: &mut BufReader<TcpStream>, asked: &Asked) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    if let Some(length) = asked.length {
        body.resize(length, 0);
        reader.read_exact(&mut body).ok()?;
        return Some(body);
    }
    loop {
        let length = usize::from_str_radix(&line(reader)?, 16).ok()?;
        let before = body.len();
        body.resize(before + length, 0);
        reader.read_exact(&mut body[before..]).ok()?;
        line(reader)?;
        if length == 0 {
            return Some(body);
        }
    }
}

/// Sends back what comes, unmasked, as short frames have it (RFC 6455 section 5.2).
fn echo(stream: &mut TcpStream, reader: &mut BufReader<TcpStream>) -> Option<()> {
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").ok()?;
    loop {
        let mut head = [0; 6];
        reader.read_exact(&mut head).ok()?;
        let mut payload = vec![0; usize::from(head[1] & 0x7f)];
        reader.read_exact(&mut payload).ok()?;
        let mask = head[2..].iter().cycle();
        let payload: Vec<u8> = payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
        stream.write_all(&[&[head[0], head[1] & 0x7f], &payload[..]].concat()).ok()?;
        if head[0] == 0x88 {
            return None;
        }
    }
}

/// Events from the one after `last` on.
fn tell(stream: &mut TcpStream, last: u64) -> Option<()> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).ok()?;
    for number in last + 1.. {
        let event = format!("id: {number}\ndata: x\n\n");
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).ok()?;
        thread::sleep(BETWEEN_EVENTS);
    }
    None
}
