use super::PATIENCE;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::AsRawFd,
};

/// An answer, taken apart.
#[derive(Debug, Default)]
pub struct Response {
    /// 0: the connection ended without an answer.
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Whether the body ended where its framing said.
    pub complete: bool,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// `code` of a refusal; empty where the body is none.
    pub fn code(&self) -> String {
        let value: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        value["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A kept connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// From 127.0.0.`last`: another caller than 127.0.0.1.
    pub fn connect_from(last: u8, address: SocketAddr) -> Self {
        let SocketAddr::V4(address) = address else { panic!("not an IPv4 address") };
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, last, 0)).unwrap();
        connect(socket.as_raw_fd(), &SockaddrIn::from(address)).unwrap();
        Self::over(TcpStream::from(socket))
    }

    /// Over a connection that was made some other way.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        // A refusal may come before all is sent.
        _ = self.stream.get_mut().write_all(bytes);
    }

    pub fn get(&mut self, path: &str, headers: &[&str]) -> Response {
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: gateway.test\r\n");
        headers.iter().for_each(|line| request.push_str(&format!("{line}\r\n")));
        self.send(format!("{request}\r\n").as_bytes());
        self.answer(false)
    }

    /// The next final answer. `bodiless`: it belongs to a HEAD request.
    pub fn answer(&mut self, bodiless: bool) -> Response {
        loop {
            let mut response = Response::default();
            if !self.head(&mut response) {
                return response;
            }
            if response.status != 101 && (100..200).contains(&response.status) {
                continue;
            }
            if bodiless || [101, 204, 304].contains(&response.status) {
                response.complete = true;
            } else {
                self.body(&mut response);
            }
            return response;
        }
    }

    /// The next head, interim or final.
    pub fn interim(&mut self) -> Response {
        let mut response = Response::default();
        self.head(&mut response);
        response
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).ok().filter(|read| *read > 0)?;
        Some(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    fn head(&mut self, response: &mut Response) -> bool {
        let Some(first) = self.line() else { return false };
        response.status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            response.headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        true
    }

    fn body(&mut self, response: &mut Response) {
        let mut body = Vec::new();
        if let Some(length) = response.header("content-length").and_then(|length| length.parse::<u64>().ok()) {
            response.complete =
                (&mut self.stream).take(length).read_to_end(&mut body).is_ok() && body.len() as u64 == length;
        } else if response.header("transfer-encoding") == Some("chunked") {
            response.complete = self.chunks(&mut body);
        } else {
            response.complete = self.stream.read_to_end(&mut body).is_ok();
        }
        response.body = String::from_utf8_lossy(&body).into_owned();
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> bool {
        while let Some(length) = self.line().and_then(|line| u64::from_str_radix(&line, 16).ok()) {
            let read = (&mut self.stream).take(length).read_to_end(body);
            if !read.is_ok_and(|read| read as u64 == length) || self.line().is_none() {
                return false;
            }
            if length == 0 {
                return true;
            }
        }
        false
    }

    /// Nothing more will be sent.
    pub fn finish(&mut self) {
        _ = self.stream.get_mut().shutdown(std::net::Shutdown::Write);
    }

    /// The next bytes, whatever they are; fewer where the connection ends.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        _ = (&mut self.stream).take(count as u64).read_to_end(&mut bytes);
        bytes
    }

    /// Whether the gateway has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(read) => read == 0,
            // Bytes that it has not read are on their way or with the system.
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// A request on a connection that closes after it.
pub fn text(method: &str, path: &str, headers: &[&str], body: &str) -> Vec<u8> {
    text_to("gateway.test", method, path, headers, body)
}

/// The same under another name of the machine.
pub fn text_to(host: &str, method: &str, path: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    headers.iter().for_each(|line| request.push_str(&format!("{line}\r\n")));
    if !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    format!("{request}\r\n{body}").into_bytes()
}

/// Bytes on a connection of their own, and the answer.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> Response {
    let mut client = Client::connect(address);
    client.send(bytes);
    client.answer(bytes.starts_with(b"HEAD "))
}

/// `GET path` on a connection of its own.
pub fn get(address: SocketAddr, path: &str, headers: &[&str]) -> Response {
    exchange(address, &text("GET", path, headers, ""))
}
