use super::message::Message;
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair, sockopt,
    },
    stdio::{dup2_stdin, stdin},
};
use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::Stdio,
    time::{Duration, Instant},
};

/// Largest message: a hundred revocations, and far below what Linux takes in one piece (`net.core.wmem_default`, 208 KiB).
const LARGEST: usize = 128 * 1024;

/// How long a message may wait for room: the other side reads at once, or hangs.
const SEND: Duration = Duration::from_secs(2);

/// Between two processes of this gateway, handed from the one to the other when it starts it: nobody else can be at its
/// end. Every message arrives whole, with its descriptor, and the end of either process is the end of the channel.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

/// What one waits for.
#[derive(Debug)]
pub(super) enum Heard {
    Message(Message, Option<OwnedFd>),
    /// Nothing, so far.
    Silence,
    /// The other process is gone.
    Gone,
}

impl Channel {
    /// Both ends; the second is to be the standard input of a process that is about to start.
    pub(super) fn pair() -> io::Result<(Self, Stdio)> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self::of(ours)?, theirs.into()))
    }

    /// The end that this process was started with. Its standard input is empty from then on.
    pub(super) fn inherited() -> io::Result<Self> {
        let is_one = sockopt::socket_type(stdin()).is_ok_and(|kind| kind == SocketType::SEQPACKET);
        if !is_one {
            return Err(io::Error::other("only a running gateway starts this; what you want is: edgeway upgrade"));
        }
        let ours = stdin().try_clone_to_owned()?;
        dup2_stdin(File::open("/dev/null")?)?;
        Self::of(ours)
    }

    fn of(end: OwnedFd) -> io::Result<Self> {
        sockopt::set_socket_timeout(&end, sockopt::Timeout::Send, Some(SEND))?;
        Ok(Self(end))
    }

    /// Say something.
    pub(super) fn tell(&self, message: &Message) -> io::Result<()> {
        self.send(message, None)
    }

    /// Say something, and pass a descriptor along.
    pub(super) fn pass(&self, message: &Message, descriptor: &OwnedFd) -> io::Result<()> {
        self.send(message, Some(descriptor.as_fd()))
    }

    fn send(&self, message: &Message, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut room);
        let descriptors: Vec<_> = descriptor.into_iter().collect();
        if !descriptors.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Wait for the next message, for `patience` at most.
    pub(super) fn hear(&self, patience: Duration) -> io::Result<Heard> {
        // 0 would be for ever.
        let patience = patience.max(Duration::from_millis(1));
        sockopt::set_socket_timeout(&self.0, sockopt::Timeout::Recv, Some(patience))?;
        let until = Instant::now() + patience;
        let mut bytes = vec![0; LARGEST];
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut room);
        let received = loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Ok(received) => break received,
                Err(Errno::AGAIN) => return Ok(Heard::Silence),
                Err(Errno::INTR) if Instant::now() < until => (),
                Err(Errno::INTR) => return Ok(Heard::Silence),
                // The other process died with something unread. What it had said before comes next, then the end.
                Err(Errno::CONNRESET) => (),
                Err(error) => return Err(error.into()),
            }
        };
        if received.bytes == 0 {
            return Ok(Heard::Gone);
        }
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::Error::other("a message of the other process is too large, or no descriptor is left"));
        }
        let descriptor = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        match serde_json::from_slice(bytes.get(..received.bytes).unwrap_or_default()) {
            Ok(message) => Ok(Heard::Message(message, descriptor)),
            Err(error) => {
                log::debug!("a message of the other process means nothing here: {error}");
                Ok(Heard::Silence)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::message::Role, *};
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
    };

    fn pair() -> (Channel, Channel) {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        (Channel::of(ours).unwrap(), Channel::of(theirs).unwrap())
    }

    #[test]
    fn a_socket_arrives_with_its_message_and_listens_on() {
        let (old, new) = pair();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let message = Message::Socket { role: Role::Listener, address: "a".into() };
        old.pass(&message, &listener.into()).unwrap();
        let Heard::Message(Message::Socket { role: Role::Listener, .. }, Some(passed)) =
            new.hear(Duration::from_secs(5)).unwrap()
        else {
            panic!("no socket")
        };
        let listener = TcpListener::from(passed);
        let mut caller = TcpStream::connect(address).unwrap();
        listener.accept().unwrap().0.write_all(b"x").unwrap();
        assert_eq!(caller.read(&mut [0]).unwrap(), 1);
    }

    #[test]
    fn silence_nonsense_and_the_end_are_told_apart() {
        let (old, new) = pair();
        assert!(matches!(new.hear(Duration::from_millis(5)).unwrap(), Heard::Silence));
        let mut none = SendAncillaryBuffer::new(&mut []);
        sendmsg(&old.0, &[IoSlice::new(b"{}")], &mut none, SendFlags::empty()).unwrap();
        assert!(matches!(new.hear(Duration::from_secs(5)).unwrap(), Heard::Silence));
        old.tell(&Message::Ready).unwrap();
        drop(old);
        assert!(matches!(new.hear(Duration::from_secs(5)).unwrap(), Heard::Message(Message::Ready, None)));
        assert!(matches!(new.hear(Duration::from_secs(5)).unwrap(), Heard::Gone));
        assert!(new.tell(&Message::Ready).is_err());
    }

    #[test]
    fn the_last_words_of_a_process_that_has_not_listened_are_heard() {
        let (old, new) = pair();
        new.tell(&Message::Ready).unwrap();
        old.tell(&Message::Take).unwrap();
        drop(old);
        assert!(matches!(new.hear(Duration::from_secs(5)).unwrap(), Heard::Message(Message::Take, None)));
        assert!(matches!(new.hear(Duration::from_secs(5)).unwrap(), Heard::Gone));
    }
}
