//! What pingora asks of a stream; answered by the one inside.

use super::{Guard, Part};
use crate::connection::http2::PREFACE;
use async_trait::async_trait;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
    raw_connect::ProxyDigest,
    tls::{SslDigest, TlsRef},
};
use std::{future::poll_fn, io, sync::Arc};

#[async_trait]
impl Shutdown for Guard {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

impl UniqueID for Guard {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for Guard {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.stream.get_ssl()
    }
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl GetTimingDigest for Guard {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }
}

impl GetProxyDigest for Guard {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        // Asked once where HTTP/2 is spoken, and by each request where it is not and nobody looks at it.
        if matches!(self.part, Part::Http2(_)) { self.life.digest() } else { None }
    }
}

impl GetSocketDigest for Guard {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

#[async_trait]
impl Peek for Guard {
    /// pingora asks with room for the preface, to learn whether the caller speaks HTTP/2, and waits for all of it. This
    /// one answers as soon as that is known; where it is HTTP/1, not with the bytes that there are.
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        buf.fill(0);
        if poll_fn(|cx| self.poll_http2(cx)).await? {
            self.speak_http2();
            buf.iter_mut().zip(PREFACE).for_each(|(byte, known)| *byte = *known);
        }
        Ok(true)
    }
}
