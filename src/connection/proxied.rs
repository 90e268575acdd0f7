//! Connections that begin with a PROXY protocol header.

use super::{
    door::{Door, Place},
    proxy_header::{self, Origin},
};
use bytes::BytesMut;
use pingora::protocols::{GetSocketDigest, SocketDigest, Stream, UniqueID, l4::socket::SocketAddr};
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
