//! Against real servers: whoever answers here is a thread with a socket.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

/// Long enough for anything that must happen on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a server writes for a path; nothing at all and an open connection where it is `None`.
type Answers = fn(&str, SocketAddr) -> Option<String>;

struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    fn start(answers: Answers) -> Self {
        Self::start_with(answers, Some)
    }

    fn start_with<S: Read + Write + Send + 'static>(
        answers: Answers,
        wrap: impl Fn(TcpStream) -> Option<S> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { address: listener.local_addr().unwrap(), connections: Arc::default() };
        let (address, connections) = (server.address, server.connections.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.fetch_add(1, SeqCst);
                let Some(stream) = wrap(stream) else { continue };
                thread::spawn(move || serve(stream, address, answers));
            }
        });
        server
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }
}

fn serve(stream: impl Read + Write, address: SocketAddr, answers: Answers) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if !stream.read_line(&mut first).is_ok_and(|read| read > 0) {
            return;
        }
        let mut line = String::new();
        while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
            line.clear();
        }
        let Some(answer) = answers(first.split(' ').nth(1).unwrap_or_default(), address) else {
            // Until the asker gives up.
            _ = stream.read(&mut [0]);
            return;
        };
        _ = stream.get_mut().write_all(answer.as_bytes());
        _ = stream.get_mut().flush();
        if !answer.starts_with("HTTP/1.1 ") || answer.contains("Connection: close") {
            return;
        }
    }
}

fn plain(body: &str) -> Option<String> {
    Some(format!("HTTP/1.1 200 OK\r\nX-Kind: plain\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

fn to(place: &str) -> Option<String> {
    Some(format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n"))
}

async fn ask(client: &Client, url: &Url, deadline: Duration) -> Result<Answer, NetError> {
    client.ask(Ask { method: Method::GET, url, headers: HeaderMap::new(), deadline, largest: 1_000 }).await
}

#[track_caller]
fn said(answer: &Result<Answer, NetError>) -> (u16, &str) {
    let answer = answer.as_ref().unwrap();
    (answer.status.as_u16(), str::from_utf8(&answer.body).unwrap())
}

#[tokio::test]
async fn an_answer_comes_whole_whatever_its_status_and_its_connection_is_kept() {
    let server = Server::start(|path, _| match path {
        "/gone" => Some("HTTP/1.1 410 Gone\r\nContent-Length: 2\r\n\r\nno".to_owned()),
        "/chunks" => {
            Some("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n".to_owned())
        }
        _ => plain("hello"),
    });
    let client = Client::build(None).unwrap();
    let answer = ask(&client, &server.url("/"), PATIENCE).await;
    assert_eq!(said(&answer), (200, "hello"));
    assert_eq!(answer.unwrap().headers["x-kind"], "plain");
    assert_eq!(said(&ask(&client, &server.url("/gone"), PATIENCE).await), (410, "no"));
    assert_eq!(said(&ask(&client, &server.url("/chunks"), PATIENCE).await), (200, "abcd"));
    assert_eq!(server.connections.load(SeqCst), 1);
}

#[tokio::test]
async fn a_deadline_holds_for_the_head_and_for_the_last_byte() {
    let server = Server::start(|path, _| match path {
        "/head" => None,
        // The rest never comes.
        _ => Some("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_owned()),
    });
    let client = Client::build(None).unwrap();
    for path in ["/head", "/body"] {
        let begun = std::time::Instant::now();
        let answer = ask(&client, &server.url(path), Duration::from_millis(200)).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "{path}");
        assert_eq!(answer.unwrap_err(), NetError::Late, "{path}");
    }
}

#[tokio::test]
async fn what_is_larger_than_looked_at_is_no_answer() {
    let server = Server::start(|path, _| match path {
        "/just" => plain(&"x".repeat(1_000)),
        "/announced" => plain(&"x".repeat(1_001)),
        _ => Some(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
            "5\r\nabcde\r\n".repeat(300)
        )),
    });
    let client = Client::build(None).unwrap();
    assert_eq!(said(&ask(&client, &server.url("/just"), PATIENCE).await).1.len(), 1_000);
    for path in ["/announced", "/chunks"] {
        assert_eq!(ask(&client, &server.url(path), PATIENCE).await.unwrap_err(), NetError::TooLarge, "{path}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_told_apart() {
    let server = Server::start(|path, _| match path {
        "/nonsense" => Some("nonsense\r\n\r\n".to_owned()),
        "/cut" => Some("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nabc".to_owned()),
        _ => Some(String::new()),
    });
    let client = Client::build(None).unwrap();
    for path in ["/nonsense", "/cut", "/nothing"] {
        assert_eq!(ask(&client, &server.url(path), PATIENCE).await.unwrap_err(), NetError::Broken, "{path}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = Url::parse(&format!("http://{closed}/")).unwrap();
    assert_eq!(ask(&client, &nobody, PATIENCE).await.unwrap_err(), NetError::Unreachable);
}

#[tokio::test]
async fn redirects_are_followed_within_an_origin_and_not_for_ever() {
    let server = Server::start(|path, address| match path {
        "/here" => to("/there"),
        "/away" => to(&format!("http://localhost:{}/there", address.port())),
        "/three" => to("/two"),
        "/two" => to("/here"),
        "/four" => to("/three"),
        "/round" => to("/round"),
        _ => plain("there"),
    });
    let (client, strict) = (Client::build(None).unwrap(), Client::build_without_redirects(Trust::Nobody).unwrap());
    for (path, expected) in [("/here", 200), ("/three", 200), ("/four", 302), ("/round", 302), ("/away", 302)] {
        let answer = ask(&client, &server.url(path), PATIENCE).await;
        assert_eq!(said(&answer).0, expected, "{path}");
        assert_eq!(said(&ask(&strict, &server.url(path), PATIENCE).await).0, 302, "{path}");
    }
}

/// A certificate authority, and a server that it vouches for as `localhost`.
fn tls_server() -> (String, Server) {
    use_provider();
    let (key, mut authority) = (KeyPair::generate().unwrap(), CertificateParams::default());
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let chain = vec![certificate.der().clone()];
    let config = Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, private).unwrap());
    let wrap = move |stream| Some(StreamOwned::new(ServerConnection::new(config.clone()).ok()?, stream));
    (ca, Server::start_with(|_, _| plain("secret"), wrap))
}

#[tokio::test]
async fn tls_is_trusted_for_the_name_and_by_the_authority_that_was_given() {
    let (ca, server) = tls_server();
    let (other, _) = tls_server();
    let url = |host: &str| Url::parse(&format!("https://{host}:{}/", server.address.port())).unwrap();
    let trusting = Client::build(Some(ca.as_bytes())).unwrap();
    assert_eq!(said(&ask(&trusting, &url("localhost"), PATIENCE).await), (200, "secret"));
    assert_eq!(ask(&trusting, &url("127.0.0.1"), PATIENCE).await.unwrap_err(), NetError::Unreachable);
    let doubting = Client::build(Some(other.as_bytes())).unwrap();
    assert_eq!(ask(&doubting, &url("localhost"), PATIENCE).await.unwrap_err(), NetError::Unreachable);
    let nobody = Client::build_without_redirects(Trust::Nobody).unwrap();
    assert_eq!(ask(&nobody, &url("localhost"), PATIENCE).await.unwrap_err(), NetError::Unreachable);
    for nothing in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(Client::build(Some(nothing.as_bytes())).is_err(), "{nothing}");
    }
}

#[test]
fn an_address_is_checked_and_tells_no_secret() {
    for wrong in [
        "",
        "policy:9000",
        "/check",
        "ftp://a/",
        "file:///etc",
        "http://",
        "http://u:p@a/",
        "http://u@a/",
        "http://a/#f",
    ] {
        assert!(Url::parse(wrong).is_err(), "{wrong}");
    }
    let url = Url::parse("https://a.example/keys?token=secret").unwrap();
    assert_eq!(
        (url.to_string(), format!("{url:?}")),
        ("https://a.example/keys".into(), "Url(https://a.example/keys)".into())
    );
    assert!(!url.is_plain() && !url.is_loopback());
    assert_eq!(url.with_path("/b", Some("c")).0.as_str(), "https://a.example/b?c");
    for local in ["http://localhost:1/", "http://127.0.0.9/", "http://[::1]:5/"] {
        assert!(Url::parse(local).is_ok_and(|url| url.is_loopback() && url.is_plain()), "{local}");
    }
}
