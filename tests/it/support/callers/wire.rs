//! One connection, so raw that nothing is sent twice without being counted.

use super::super::PATIENCE;
use std::{
    fmt,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

/// What goes over a connection: plain, or within TLS.
pub trait Bytes: Read + Write + Send {}

impl<T: Read + Write + Send> Bytes for T {}

/// A connection to the gateway.
pub struct Wire {
    stream: BufReader<Box<dyn Bytes>>,
    /// The same connection, to ask whether the other side has closed it.
    socket: TcpStream,
}

/// An answer, whole.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// Whether the connection may be used again.
    pub keeps: bool,
}

/// There is no whole answer.
pub struct Broken {
    /// Whether a byte of it came.
    pub begun: bool,
    error: io::Error,
}

impl Broken {
    /// The connection ended without a byte of the answer. A timeout is something else.
    pub fn is_unanswered_close(&self) -> bool {
        let closed = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        !self.begun && closed.contains(&self.error.kind())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = if self.begun { "in the middle of the answer" } else { "before the answer" };
        write!(f, "{when}: {:?}: {}", self.error.kind(), self.error)
    }
}

impl Wire {
    pub fn plain(address: SocketAddr) -> io::Result<Self> {
        let socket = connected(address)?;
        Ok(Self { stream: BufReader::new(Box::new(socket.try_clone()?)), socket })
    }

    /// Within TLS, after a whole handshake.
    pub fn tls(address: SocketAddr, config: Arc<rustls::ClientConfig>, name: &'static str) -> io::Result<Self> {
        let socket = connected(address)?;
        let mut session = rustls::ClientConnection::new(config, name.try_into().unwrap()).map_err(io::Error::other)?;
        let mut below = socket.try_clone()?;
        while session.is_handshaking() {
            session.complete_io(&mut below)?;
        }
        Ok(Self { stream: BufReader::new(Box::new(rustls::StreamOwned::new(session, below))), socket })
    }

    /// Whether the other side has closed it, as far as has arrived here. Everybody who keeps connections asks this first.
    pub fn is_closed(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let open = matches!(self.socket.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
        self.socket.set_nonblocking(false).unwrap();
        !open
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes).and_then(|()| stream.flush())
    }

    /// The next answer with its body.
    pub fn answer(&mut self) -> Result<Answer, Broken> {
        let head = self.head()?;
        let mut answer = Answer { status: head.status, body: Vec::new(), keeps: head.keeps };
        let read = match head.length {
            Some(length) => self.exactly(length, &mut answer.body),
            None => self.chunks(&mut answer.body),
        };
        read.map(|()| answer).map_err(|error| Broken { begun: true, error })
    }

    /// The next head, with everything that decides about what follows.
    pub fn head(&mut self) -> Result<Head, Broken> {
        // The first byte decides whether there is an answer.
        let first = self.stream.fill_buf().map(<[u8]>::is_empty);
        let error = match first {
            Ok(false) => None,
            Ok(true) => Some(ErrorKind::UnexpectedEof.into()),
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            return Err(Broken { begun: false, error });
        }
        self.rest_of_head().map_err(|error| Broken { begun: true, error })
    }

    fn rest_of_head(&mut self) -> io::Result<Head> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(ErrorKind::InvalidData)?;
        let mut head = Head { status, length: None, keeps: true };
        loop {
            let line = self.line()?.to_lowercase();
            match line.split_once(':').map(|(name, value)| (name, value.trim())) {
                None => return Ok(head),
                Some(("content-length", value)) => head.length = value.parse().ok(),
                Some(("connection", value)) => head.keeps &= value != "close",
                Some(_) => (),
            }
        }
    }

    /// To the end of a line, without it.
    pub fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        match line.strip_suffix(b"\r\n").or(line.strip_suffix(b"\n")) {
            Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
            None => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    /// A whole body of chunks.
    fn chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        while self.chunk(body)? {}
        Ok(())
    }

    /// One more chunk; `false`: it was the last one.
    pub fn chunk(&mut self, body: &mut Vec<u8>) -> io::Result<bool> {
        let length = usize::from_str_radix(&self.line()?, 16).map_err(io::Error::other)?;
        self.exactly(length, body)?;
        self.line()?;
        Ok(length > 0)
    }

    /// So many bytes more.
    pub fn exactly(&mut self, length: usize, body: &mut Vec<u8>) -> io::Result<()> {
        let before = body.len();
        body.resize(before + length, 0);
        self.stream.read_exact(&mut body[before..])
    }

    /// Whether not even the first byte of something more came.
    pub fn is_at_end(&mut self) -> io::Result<bool> {
        self.stream.fill_buf().map(<[u8]>::is_empty)
    }
}

/// A head of an answer.
pub struct Head {
    pub status: u16,
    /// `None`: the body is in chunks, or there is none.
    pub length: Option<usize>,
    pub keeps: bool,
}

fn connected(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}
