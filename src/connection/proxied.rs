//! Connections that begin with a PROXY protocol header.

use super::{
    door::{Door, Place},
    proxy_header::{self, Origin},
};
use async_trait::async_trait;
use bytes::BytesMut;
use pingora::{
    ErrorType,
    listeners::PreTlsProcess,
    prelude::{Error, Result},
    protocols::{
        GetSocketDigest, SocketDigest, Stream, UniqueID,
        l4::{socket::SocketAddr, stream::Stream as TcpStream},
    },
};
use std::{io, net::IpAddr, time::Duration};
use tokio::{io::AsyncRead, time::timeout};

/// What stands at the beginning of each connection of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A request, or a handshake.
    Request,
    /// A PROXY protocol header, from a trusted proxy.
    ProxyHeader,
}

/// Reads the headers of a TLS listener, where they come before the handshake. A plain listener needs none of this:
/// [`super::Front`] reads them.
#[derive(Debug)]
pub struct ProxyHeaders {
    door: Door,
    head_timeout: Duration,
}

impl ProxyHeaders {
    /// From trusted proxies, as `door` knows them, and within `head_timeout`.
    pub fn new(door: Door, head_timeout: Duration) -> Self {
        Self { door, head_timeout }
    }
}

#[async_trait]
impl PreTlsProcess for ProxyHeaders {
    async fn process(&self, stream: &mut TcpStream) -> Result<()> {
        let refused = || Error::new(ErrorType::new("refused"));
        let peer = peer(stream);
        self.door.proxy(peer).ok_or_else(refused)?;
        let Some(early) = introduced(stream, peer, &self.door, self.head_timeout).await else { return Err(refused()) };
        stream.rewind(&early);
        Ok(())
    }
}

/// Read the header and let the connection in under the address that it names; also what came behind the header.
pub(super) async fn enter(stream: &mut Stream, door: &Door, head_timeout: Duration) -> Option<(Place, BytesMut)> {
    let proxy = peer(&**stream);
    // Before the header, so that no proxy can have more of them open than `max_connections`.
    let mut place = door.enter_proxy(proxy)?;
    let early = introduced(&mut **stream, proxy, door, head_timeout).await?;
    place.comes_from(peer(&**stream)).then_some((place, early))
}

/// Who is at the other end, as far as is known.
pub(super) fn peer(stream: &(impl GetSocketDigest + ?Sized)) -> Option<IpAddr> {
    stream.get_socket_digest()?.peer_addr()?.as_inet().map(|peer| peer.ip())
}

/// Read the header and put what it says into the stream's digest. `None`: there was none, which has been counted.
async fn introduced<S>(mut stream: &mut S, proxy: Option<IpAddr>, door: &Door, patience: Duration) -> Option<BytesMut>
where
    S: AsyncRead + GetSocketDigest + UniqueID + Unpin + ?Sized,
{
    match timeout(patience, proxy_header::read(&mut stream)).await {
        Ok(Ok((origin, early))) => {
            if let Origin::Caller { from, to } = origin {
                let digest = SocketDigest::from_raw_fd(stream.id());
                // A new one: both cells are empty, and taken for what the system would say.
                _ = digest.peer_addr.set(Some(SocketAddr::Inet(from)));
                _ = digest.local_addr.set(Some(SocketAddr::Inet(to)));
                stream.set_socket_digest(digest);
            }
            Some(early)
        }
        // Balancers look so whether somebody listens.
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => None,
        _ => {
            door.no_header(proxy);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{connection::ConnectionLimits, observability::ConnectionCounters};
    use std::{net::Ipv4Addr, sync::Arc};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream as Socket},
    };

    /// What a TLS listener makes of a connection that begins so: the peer then, and the bytes left for the handshake.
    async fn before_handshake(bytes: &[u8], trusted: bool) -> (Option<(String, Vec<u8>)>, Arc<ConnectionCounters>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut caller = Socket::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let mut stream = TcpStream::from(socket);
        stream.set_socket_digest(SocketDigest::from_raw_fd(stream.id()));
        let counters = Arc::new(ConnectionCounters::default());
        let per_address = (!trusted).then_some(10);
        let door =
            Door::new(counters.clone(), move |_| ConnectionLimits { in_all: 10, per_address, largest_head: 1000 });
        caller.write_all(bytes).await.unwrap();
        caller.shutdown().await.unwrap();
        let headers = ProxyHeaders::new(door, Duration::from_secs(20));
        if headers.process(&mut stream).await.is_err() {
            return (None, counters);
        }
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        (Some((peer(&stream).unwrap().to_string(), rest)), counters)
    }

    #[tokio::test]
    async fn a_header_may_come_before_a_handshake() {
        let hello = b"\x16\x03\x01 and more";
        let header = b"PROXY TCP4 192.0.2.7 203.0.113.1 5678 443\r\n";
        let whole = [&header[..], hello].concat();
        let (found, _) = before_handshake(&whole, true).await;
        assert_eq!(found, Some(("192.0.2.7".to_owned(), hello.to_vec())));
        let (found, _) = before_handshake(&[b"PROXY UNKNOWN\r\n", &hello[..]].concat(), true).await;
        assert_eq!(found, Some(("127.0.0.1".to_owned(), hello.to_vec())));
        let (found, counters) = before_handshake(&whole, false).await;
        assert_eq!((found, counters.snapshot().refused_proxy_untrusted), (None, 1));
        for (bytes, refused) in [(&hello[..], 1), (&header[..20], 1), (b"", 0)] {
            let (found, counters) = before_handshake(bytes, true).await;
            assert_eq!((found, counters.snapshot().refused_proxy_header), (None, refused), "{bytes:?}");
        }
    }
}
