//! An issuer of tokens: its keys, and the server that publishes them.

use jsonwebtoken::{Algorithm, EncodingKey, Header, crypto, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A key of P-256.
pub struct Key {
    kid: String,
    private: EncodingKey,
    public: Vec<u8>,
    pub pem: String,
}

/// What the server of keys does.
#[derive(Clone)]
pub enum Publishes {
    Keys(Value),
    Status(u16),
    Garbage,
    /// An endless answer.
    TooMuch,
    /// Nothing, for as long as the caller waits.
    Nothing,
}

/// Publishes keys, well or badly, and counts who asks.
pub struct KeyServer {
    pub address: SocketAddr,
    publishes: Arc<Mutex<Publishes>>,
    asked: Arc<AtomicUsize>,
    paths: Arc<Mutex<Vec<String>>>,
    gone: Arc<AtomicBool>,
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Key {
    pub fn new(kid: &str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let private = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        Self { kid: kid.to_owned(), private, public: pair.der_bytes().to_vec(), pem: pair.public_key_pem() }
    }

    /// RFC 7517.
    pub fn jwk(&self) -> Value {
        let (x, y) = self.public[1..].split_at(32);
        let (x, y) = (super::base64(x), super::base64(y));
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid, "x": x, "y": y })
    }

    /// A token of this header and these claims, whatever they are.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| super::base64(value.to_string().as_bytes());
        let message = format!("{}.{}", part(header), part(claims));
        format!("{message}.{}", self.sign(message.as_bytes()))
    }

    /// The signature of any message, in base64url.
    pub fn sign(&self, message: &[u8]) -> String {
        crypto::sign(message, &self.private, Algorithm::ES256).unwrap()
    }

    /// A token with these claims and a minute to live.
    pub fn token(&self, claims: &Value) -> String {
        self.token_of(Some(&self.kid), claims)
    }

    /// The same, which says that it was signed by another key, or does not say by which.
    pub fn token_of(&self, kid: Option<&str>, claims: &Value) -> String {
        let mut all = json!({ "sub": "7", "exp": now() + 60 });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::ES256) };
        encode(&header, &all, &self.private).unwrap()
    }
}

/// A set of keys.
pub fn set(keys: &[&Key]) -> Publishes {
    Publishes::Keys(json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }))
}

impl KeyServer {
    pub fn start(publishes: Publishes) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), publishes)
    }

    pub fn on(listener: TcpListener, publishes: Publishes) -> Self {
        let server = Self {
            address: listener.local_addr().unwrap(),
            publishes: Arc::new(Mutex::new(publishes)),
            asked: Arc::default(),
            paths: Arc::default(),
            gone: Arc::default(),
        };
        let (publishes, asked, paths, gone) =
            (server.publishes.clone(), server.asked.clone(), server.paths.clone(), server.gone.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if gone.load(SeqCst) {
                    break;
                }
                asked.fetch_add(1, SeqCst);
                let (publishes, paths) = (publishes.lock().unwrap().clone(), paths.clone());
                thread::spawn(move || answer(stream, &publishes, &paths));
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    pub fn publish(&self, publishes: Publishes) {
        *self.publishes.lock().unwrap() = publishes;
    }

    /// How many have asked so far.
    pub fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    pub fn paths(&self) -> Vec<String> {
        self.paths.lock().unwrap().clone()
    }

    /// From now on nobody listens.
    pub fn vanish(&self) {
        self.gone.store(true, SeqCst);
        // Wakes the thread, which ends and closes the socket.
        drop(TcpStream::connect(self.address));
        assert!(super::within_patience(|| TcpStream::connect(self.address).is_err()));
    }
}

fn answer(mut stream: TcpStream, publishes: &Publishes, paths: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(length) => head.extend(&piece[..length]),
        }
    }
    let line = String::from_utf8_lossy(&head);
    paths.lock().unwrap().push(line.split(' ').nth(1).unwrap_or_default().to_owned());
    let mut say = |status: u16, body: &str| {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        _ = stream.write_all(format!("{head}{body}").as_bytes());
    };
    match publishes {
        Publishes::Keys(Value::String(text)) => say(200, text),
        Publishes::Keys(keys) => say(200, &keys.to_string()),
        Publishes::Status(status) => say(*status, "{\"keys\":[]}"),
        Publishes::Garbage => say(200, "<html>we are down for maintenance</html>"),
        Publishes::TooMuch => {
            _ = stream.write_all(b"HTTP/1.1 200 X\r\n\r\n");
            while stream.write_all(&[b' '; 64 * 1024]).is_ok() {}
        }
        Publishes::Nothing => {
            _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
            _ = stream.read(&mut piece);
        }
    }
}
