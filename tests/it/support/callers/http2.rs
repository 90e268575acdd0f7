//! Callers of HTTP/2 by prior knowledge: four streams at a time, a new connection after GOAWAY.

use super::{
    Common,
    account::Account,
    requests::{ok, uploaded},
};
use bytes::Bytes;
use h2::client::{SendRequest, handshake};
use std::{net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// Streams at once.
pub const STREAMS: usize = 4;

/// What an exchange that did not end well was.
enum Trouble {
    /// The gateway said that it has not looked at it (RFC 9113 section 8.7): a connection that was leaving.
    Unprocessed,
    Failed(String),
}

impl From<h2::Error> for Trouble {
    fn from(error: h2::Error) -> Self {
        let reason = error.reason();
        let left = error.is_go_away() && reason == Some(h2::Reason::NO_ERROR);
        let refused = error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM);
        if left || refused { Self::Unprocessed } else { Self::Failed(error.to_string()) }
    }
}

/// Calls until the test ends.
pub fn calls(common: &Common, kind: &'static str, number: usize, address: SocketAddr) -> Account {
    let account = Account::new(common.clone(), kind, number);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let caller = Caller { account, address, random: fastrand::Rng::with_seed(number as u64) };
    runtime.block_on(caller.run())
}

struct Caller {
    account: Account,
    address: SocketAddr,
    random: fastrand::Rng,
}

impl Caller {
    async fn run(mut self) -> Account {
        while self.account.common.goes_on() {
            match connect(self.address).await {
                Ok(connection) => self.serve(connection).await,
                Err(error) => {
                    let id = self.account.next_id();
                    self.account.failed(&id, format!("no connection: {error}"));
                }
            }
        }
        self.account
    }

    /// Until it leaves or the test ends.
    async fn serve(&mut self, connection: SendRequest<Bytes>) {
        let mut first = true;
        while self.account.common.goes_on() {
            // One that has said GOAWAY takes nothing more.
            let Ok(mut ready) = connection.clone().ready().await else {
                self.account.sent_away += 1;
                return;
            };
            if !first {
                self.account.reused += STREAMS;
            }
            first = false;
            let jobs: Vec<_> = (0..STREAMS).map(|turn| self.job(turn)).collect();
            let asked = jobs.iter().map(|job| job.ask(&mut ready)).collect::<Vec<_>>();
            let outcomes = futures_util::future::join_all(asked).await;
            for (job, outcome) in jobs.into_iter().zip(outcomes) {
                match outcome {
                    Ok(()) => self.account.answered(job.id),
                    // It is as if it had not been sent; the next connection brings others.
                    Err(Trouble::Unprocessed) => self.account.is_not_taken(),
                    Err(Trouble::Failed(why)) => self.account.failed(&job.id, why),
                }
            }
            tokio::time::sleep(Duration::from_millis(self.random.u64(0..50))).await;
        }
    }

    /// Three GETs and an upload.
    fn job(&mut self, turn: usize) -> Job {
        let length = if turn == 0 { self.random.usize(10_000..60_000) } else { 0 };
        let body = (0..length).map(|_| self.random.u8(..)).collect();
        Job { id: self.account.next_id(), body }
    }
}

struct Job {
    id: String,
    /// Of an upload; empty: a GET.
    body: Bytes,
}

impl Job {
    fn ask(&self, connection: &mut SendRequest<Bytes>) -> impl Future<Output = Result<(), Trouble>> + use<'_> {
        let method = if self.body.is_empty() { "GET" } else { "POST" };
        let path = if self.body.is_empty() { "get" } else { "upload" };
        let request = http::Request::builder().method(method).uri(format!("http://gateway.test/{path}"));
        let request = request.header("x-request-id", &self.id).body(()).unwrap();
        let begun = connection.send_request(request, self.body.is_empty());
        async move {
            let (answer, mut stream) = begun?;
            if !self.body.is_empty() {
                stream.reserve_capacity(self.body.len());
                stream.send_data(self.body.clone(), true)?;
            }
            let whole = timeout(super::super::PATIENCE, self.whole(answer));
            whole.await.unwrap_or_else(|_| Err(Trouble::Failed("no whole answer in time".to_owned())))
        }
    }

    async fn whole(&self, answer: h2::client::ResponseFuture) -> Result<(), Trouble> {
        let answer = answer.await?;
        let (status, mut body) = (answer.status(), answer.into_body());
        let mut text = Vec::new();
        while let Some(piece) = body.data().await {
            let piece = piece?;
            _ = body.flow_control().release_capacity(piece.len());
            text.extend_from_slice(&piece);
        }
        let wanted = if self.body.is_empty() { ok(&self.id) } else { uploaded(&self.id, &self.body) };
        match status == 200 && text == wanted.as_bytes() {
            true => Ok(()),
            false => Err(Trouble::Failed(format!("{status} {}", String::from_utf8_lossy(&text)))),
        }
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Bytes>, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (requests, connection) = handshake(stream).await.map_err(|error| error.to_string())?;
    // It ends with the last request, or when the gateway leaves; what that means its streams say.
    tokio::spawn(async move { _ = connection.await });
    Ok(requests)
}
