//! The stream around every connection: see the module above.

mod body;
mod direct;
mod end;
mod peek;
mod stream;
mod tunnel;

use crate::{
    connection::{
        Malformed,
        chunks::Chunks,
        deadline::Timer,
        head::{Body, Head, HeadReader},
        http2::Frames,
        life::Life,
        own_answer::OwnAnswer,
    },
    observability::RequestId,
};
use bytes::BytesMut;
use pingora::protocols::Stream;
use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use tunnel::Tunnel;

/// Bytes of one read ahead of pingora: what it reads of a head at once.
const PIECE: usize = 4096;

/// A stream that hands out one request at a time, to its last byte and not one more; and knows by when its head must
/// be there and by when an answer is wanted.
#[derive(Debug)]
pub(in crate::connection) struct Guard {
    stream: Stream,
    head_timeout: Duration,
    /// Even: the proxy waits for a head; odd: it has one. Counted on by the proxy through a shared reference.
    heads: AtomicUsize,
    part: Part,
    /// The head that was handed out last, as `heads` counts.
    taken: usize,
    reader: HeadReader,
    first_byte: Option<Instant>,
    /// What the last head or body was refused for.
    fault: Option<Malformed>,
    /// By when an answer is wanted, in milliseconds since `born`; 0: no deadline.
    answer_until: AtomicU64,
    overdue: AtomicBool,
    /// Both sides have agreed on another protocol: what comes now belongs to it.
    tunnel: AtomicBool,
    /// Bytes that came before it was their turn. Held back: pingora would take those of a next request for a fault of
    /// this one, and would stop looking at the deadline and at whether the caller is still there.
    early: BytesMut,
    /// How much of them was looked at for the end of a head, where pingora does not read it.
    scanned: usize,
    /// Whether the last read found nothing, and nothing of a next head has come yet.
    idle: bool,
    /// The caller was answered without pingora, whose own words go nowhere from then on.
    answered: bool,
    /// Something was written since the last head came.
    wrote: bool,
    /// The caller has closed the connection, or broken it.
    gone: bool,
    life: Arc<Life>,
    /// Touched by the second read of a head and by the wait for an answer: a head in one piece costs no timer.
    timer: Timer,
}

/// Where in the caller's bytes one stands.
#[derive(Debug)]
enum Part {
    Head,
    /// In a body with so many bytes to come.
    Length(u64),
    Chunks(Chunks),
    /// The request has arrived whole, and nothing but the next one may follow.
    Between,
    /// Another protocol, after 101.
    Tunnel(Box<Tunnel>),
    Http2(Box<Frames>),
    /// Nobody knows what the bytes mean.
    Broken,
}

impl Guard {
    pub(in crate::connection) fn new(stream: Stream, head_timeout: Duration, life: Arc<Life>) -> Self {
        Self {
            stream,
            head_timeout,
            heads: AtomicUsize::new(0),
            part: Part::Head,
            taken: usize::MAX,
            reader: HeadReader::default(),
            first_byte: None,
            fault: None,
            answer_until: AtomicU64::new(0),
            overdue: AtomicBool::new(false),
            tunnel: AtomicBool::new(false),
            early: BytesMut::new(),
            scanned: 0,
            idle: false,
            answered: false,
            wrote: false,
            gone: false,
            life,
            timer: Timer::default(),
        }
    }

    /// These bytes have been read already, and are the first of the conversation.
    pub(in crate::connection) fn begin_with(&mut self, bytes: BytesMut) {
        // The head's time runs.
        self.first_byte = (!bytes.is_empty()).then(Instant::now);
        self.early = bytes;
    }

    /// From now on, or from the start, HTTP/2: it has its heads inside frames and limits of its own.
    pub(in crate::connection) fn speak_http2(&mut self) {
        self.part = Part::Http2(Box::default());
        self.expect_head(false);
    }

    pub(in crate::connection) fn expect_head(&self, expected: bool) {
        if self.head_expected() != expected {
            self.heads.fetch_add(1, Relaxed);
            // A deadline of the request before is none of the next one's.
            self.answer_until.store(0, Relaxed);
            self.overdue.store(false, Relaxed);
        }
    }

    /// Why the head that was handed out last, or the body behind it, is to be refused.
    pub(in crate::connection) fn fault(&self) -> Option<Malformed> {
        // pingora has found an end that is none: two opinions are one too many.
        let disagree = matches!(self.part, Part::Head).then_some(Malformed::RequestLine);
        self.fault.or(disagree)
    }

    pub(in crate::connection) fn become_tunnel(&self) {
        self.tunnel.store(true, Relaxed);
    }

    pub(in crate::connection) fn answer_until(&self, deadline: Option<Instant>) {
        // Never 0 for a deadline: one that has passed already must strike at the next look.
        let millis = |deadline: Instant| (deadline.saturating_duration_since(self.life.born).as_millis() as u64).max(1);
        self.answer_until.store(deadline.map_or(0, millis), Relaxed);
    }

    pub(in crate::connection) fn take_overdue(&self) -> bool {
        self.overdue.swap(false, Relaxed)
    }

    /// How many requests there were on this connection, the one being served included.
    pub(in crate::connection) fn requests(&self) -> u32 {
        u32::try_from(self.heads.load(Relaxed).div_ceil(2)).unwrap_or(u32::MAX)
    }

    /// `keepalive_timeout`, when it began.
    pub(in crate::connection) fn idle_limit(&self) -> Duration {
        self.life.place.idle()
    }

    /// When it began.
    pub(in crate::connection) fn born(&self) -> Instant {
        self.life.born
    }

    fn head_expected(&self) -> bool {
        self.heads.load(Relaxed).is_multiple_of(2)
    }

    /// Ready when a head is being read for too long.
    fn poll_head_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.first_byte {
            Some(first_byte) => self.timer.poll(cx, first_byte + self.head_timeout),
            None => Poll::Pending,
        }
    }

    /// Ready when the service had its time for an answer.
    fn poll_answer_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.answer_until.load(Relaxed) {
            0 => Poll::Pending,
            millis => self.timer.poll(cx, self.life.born + Duration::from_millis(millis)),
        }
    }

    /// What came early, then what comes now.
    fn poll_bytes(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            let before = buf.filled().len();
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
            self.gone |= read.is_err() || buf.filled().len() == before;
            return Poll::Ready(read);
        }
        if self.early.len() <= buf.remaining() {
            // Whole, so that nothing is kept of its memory.
            buf.put_slice(&std::mem::take(&mut self.early));
        } else {
            buf.put_slice(&self.early.split_to(buf.remaining()));
        }
        Poll::Ready(Ok(()))
    }

    /// Read so far into `early`; ready with whether anything came.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut room = [MaybeUninit::uninit(); PIECE];
        let mut bytes = ReadBuf::uninit(&mut room);
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut bytes));
        self.gone |= read.is_err() || bytes.filled().is_empty();
        self.early.extend_from_slice(bytes.filled());
        Poll::Ready(read.map(|()| !bytes.filled().is_empty()))
    }

    /// Take back what is in `buf` behind `used` bytes of the last read, which began at `before`.
    fn keep_rest(&mut self, buf: &mut ReadBuf<'_>, before: usize, used: usize) {
        let rest = buf.filled().get(before + used..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        let mut early = BytesMut::from(rest);
        early.extend_from_slice(&self.early);
        self.early = early;
        buf.set_filled(before + used);
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        self.idle = self.first_byte.is_none() && self.early.is_empty();
        let Poll::Ready(read) = self.poll_bytes(cx, buf) else {
            ready!(self.poll_head_overdue(cx));
            return Poll::Ready(Err(self.refuse(cx, OwnAnswer::SlowHead)));
        };
        self.idle = false;
        read?;
        let came = buf.filled().get(before..).unwrap_or_default();
        if came.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let refused = match self.reader.read(came) {
            Some(head) => {
                self.head_came(head, buf, before);
                None
            }
            None => self.head_goes_on(),
        };
        Poll::Ready(refused.map_or(Ok(()), |answer| Err(self.refuse(cx, answer))))
    }

    /// Why one should not wait for the rest of a head.
    fn head_goes_on(&mut self) -> Option<OwnAnswer> {
        if self.reader.is_blank() {
            return Some(OwnAnswer::NoRequest);
        }
        if self.reader.pending() > self.life.place.largest_head() {
            return Some(OwnAnswer::LongHead);
        }
        // Some clients end a body with an empty line more: the head has not begun with it.
        if !self.reader.is_empty_line() {
            self.first_byte.get_or_insert_with(Instant::now);
        }
        let overdue = self.first_byte.is_some_and(|first_byte| first_byte.elapsed() >= self.head_timeout);
        overdue.then_some(OwnAnswer::SlowHead)
    }

    fn head_came(&mut self, head: Head, buf: &mut ReadBuf<'_>, before: usize) {
        self.keep_rest(buf, before, head.used);
        self.taken = self.heads.load(Relaxed);
        self.wrote = false;
        self.fault = head.body.err();
        self.part = match head.body {
            Ok(Body::None) => Part::Between,
            Ok(Body::Length(length)) => Part::Length(length),
            Ok(Body::Chunked) => Part::Chunks(Chunks::new()),
            Err(_) => Part::Broken,
        };
    }

    /// Answer without pingora. Best effort: whoever sends such things may not read either.
    fn refuse(&mut self, cx: &mut Context<'_>, answer: OwnAnswer) -> io::Error {
        match answer {
            OwnAnswer::SlowHead => self.life.place.slow_head(),
            _ => self.life.place.malformed(),
        }
        self.expect_head(false);
        let http2 = matches!(self.part, Part::Http2(_));
        (self.part, self.answered) = (Part::Broken, true);
        if http2 {
            // They would not understand it.
            return io::ErrorKind::TimedOut.into();
        }
        self.wrote = true;
        let id = RequestId::random();
        log::debug!("{}: refused without a phase of the proxy: {answer:?}", id.as_str());
        _ = Pin::new(&mut self.stream).poll_write(cx, answer.bytes(&id).as_bytes());
        _ = Pin::new(&mut self.stream).poll_flush(cx);
        io::Error::new(io::ErrorKind::InvalidData, "answered and closed")
    }
}

impl AsyncRead for Guard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if matches!(this.part, Part::Between) {
            let head = this.heads.load(Relaxed);
            if this.tunnel.load(Relaxed) {
                this.enter_tunnel();
            } else if head.is_multiple_of(2) {
                if head == this.taken {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "a head without end")));
                }
                (this.part, this.first_byte) = (Part::Head, None);
            }
        }
        match this.part {
            Part::Head => this.poll_head(cx, buf),
            Part::Length(_) | Part::Chunks(_) | Part::Between => this.poll_served(cx, buf),
            Part::Tunnel(_) => this.poll_tunnel(cx, buf),
            Part::Http2(_) => this.poll_bytes(cx, buf),
            Part::Broken => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Guard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.wrote = true;
        if let Part::Http2(frames) = &mut this.part {
            let written = ready!(Pin::new(&mut this.stream).poll_write(cx, buf))?;
            let refused = frames.written(buf.get(..written).unwrap_or_default());
            (0..refused).for_each(|_| this.life.place.malformed());
            return Poll::Ready(Ok(written));
        }
        // Somebody answers a head that no phase of ours has seen: pingora's own 400 or 405.
        if this.head_expected() {
            let fault = if matches!(this.part, Part::Head) { this.reader.fault() } else { this.fault };
            match OwnAnswer::in_place_of(buf, fault) {
                Some(answer) => drop(this.refuse(cx, answer)),
                None => {
                    this.expect_head(false);
                    this.life.place.malformed();
                }
            }
        }
        if this.answered {
            return Poll::Ready(Ok(buf.len()));
        }
        if this.tunnel.load(Relaxed) {
            if matches!(this.part, Part::Between) {
                // The answer that agrees to it is the first that is written.
                this.enter_tunnel();
            }
            return this.poll_write_tunnel(cx, buf);
        }
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
