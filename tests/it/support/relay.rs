use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

const OPEN: u8 = 0;
/// New connections are closed.
const CUT: u8 = 1;
/// Nothing is passed on, and nobody is told.
const STALLED: u8 = 2;

/// A wire to a server on this machine that can be cut and mended.
pub struct Relay {
    pub port: u16,
    state: Arc<AtomicU8>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay =
            Self { port: listener.local_addr().unwrap().port(), state: Arc::default(), connections: Arc::default() };
        let (state, connections) = (relay.state.clone(), relay.connections.clone());
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if state.load(SeqCst) == CUT {
                    continue;
                }
                let Ok(far) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                connections.lock().unwrap().extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                let (back, forth) = ((far.try_clone().unwrap(), near.try_clone().unwrap()), (near, far));
                for (from, to) in [back, forth] {
                    let state = state.clone();
                    thread::spawn(move || pass(from, to, &state));
                }
            }
        });
        relay
    }

    /// Every connection breaks, and none comes about.
    pub fn cut(&self) {
        self.state.store(CUT, SeqCst);
        self.break_all();
    }

    /// Connections stay, and carry nothing.
    pub fn stall(&self) {
        self.state.store(STALLED, SeqCst);
    }

    /// New connections work; those that were stalled are gone.
    pub fn mend(&self) {
        self.break_all();
        self.state.store(OPEN, SeqCst);
    }

    fn break_all(&self) {
        for stream in self.connections.lock().unwrap().drain(..) {
            _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, state: &AtomicU8) {
    let mut piece = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        while state.load(SeqCst) == STALLED {
            thread::sleep(Duration::from_millis(5));
        }
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    _ = to.shutdown(Shutdown::Both);
}
