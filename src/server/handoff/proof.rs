use crate::connection::Front;
use pingora::{apps::ServerApp, protocols::l4};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    runtime::Builder,
    sync::watch,
    time::timeout,
};

/// How long the gateway may take to answer itself.
const PATIENCE: Duration = Duration::from_secs(5);

const REQUEST: &[u8] =
    b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nUser-Agent: edgeway-handoff\r\nConnection: close\r\n\r\n";

/// One request through everything that requests go through, without a socket: a connection to the shared one might be
/// answered by the old process.
///
/// # Errors
/// There is no answer, or one that says that something is broken.
pub(in crate::server) fn prove<A: ServerApp + Send + Sync + 'static>(front: Front<A>) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async { timeout(PATIENCE, answer(Arc::new(front))).await });
    let answer = answer.map_err(|_| io::Error::other("it does not answer its own request"))??;
    // A listener may not be for this machine: that is an answer, too.
    let works = answer.strip_prefix("HTTP/1.1 ").is_some_and(|rest| !rest.starts_with('5') && !rest.is_empty());
    let line = answer.lines().next().unwrap_or_default();
    if works { Ok(()) } else { Err(io::Error::other(format!("it answers its own request with {line:?}"))) }
}

async fn answer<A: ServerApp + Send + Sync + 'static>(front: Arc<Front<A>>) -> io::Result<String> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let (_open, shutdown) = watch::channel(false);
    let serve = async move { front.process_new(Box::new(l4::stream::Stream::from(theirs)), &shutdown).await };
    let served = tokio::spawn(serve);
    ours.write_all(REQUEST).await?;
    let mut answer = Vec::new();
    ours.read_to_end(&mut answer).await?;
    served.abort();
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
