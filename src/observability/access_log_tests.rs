use super::*;
use std::io::ErrorKind;

#[derive(Clone, Default)]
struct Target {
    written: Arc<Mutex<Vec<u8>>>,
    /// Held by a test that plays a slow target.
    gate: Arc<Mutex<()>>,
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _open = self.gate.lock();
        self.written.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn line(id: &str) -> Line<'_> {
    Line {
        timestamp: std::time::SystemTime::UNIX_EPOCH,
        level: crate::observability::Level::Info,
        service: "api-gateway",
        request_id: id,
        method: "GET",
        path: "/",
        user_id: None,
        username: None,
        response_time: Duration::from_millis(1),
        status_code: 200,
        target_service: None,
        route: None,
        endpoint: None,
        attempts: 1,
        client: [127, 0, 0, 1].into(),
        code: None,
        reason: None,
        observed: None,
    }
}

#[test]
fn a_flush_brings_out_the_lines_of_every_thread() {
    let target = Target::default();
    let log = AccessLog::start(target.clone()).unwrap();
    thread::scope(|scope| (0..4).for_each(|_| _ = scope.spawn(|| (0..500).for_each(|_| log.write(&line("a"))))));
    log.flush(Duration::from_secs(5));
    assert_eq!(target.written.lock().iter().filter(|byte| **byte == b'\n').count(), 2000);
}

#[test]
fn a_dead_target_costs_lines_and_never_a_wait() {
    let target = Target::default();
    let log = AccessLog::start(target.clone()).unwrap();
    let closed = target.gate.lock();
    let wide = "x".repeat(FULL);
    (0..QUEUE + 50).for_each(|_| log.write(&line(&wide)));
    assert!((48..=50).contains(&log.dropped()), "{}", log.dropped());
    drop(closed);
    log.flush(Duration::from_secs(5));
}

/// Takes so many bytes, then nothing, as a full disk does.
#[derive(Clone, Default)]
struct Disk {
    written: Arc<Mutex<Vec<u8>>>,
    room: Arc<Mutex<usize>>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut room = self.room.lock();
        let taken = bytes.len().min(*room);
        *room -= taken;
        self.written.lock().extend_from_slice(&bytes[..taken]);
        if taken == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(taken) }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ids of the lines, each of which is whole.
fn ids(written: &Mutex<Vec<u8>>) -> Vec<String> {
    let text = String::from_utf8(written.lock().clone()).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "half a line at the end");
    let id =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["request_id"].as_str().unwrap().into();
    text.lines().map(id).collect()
}

#[test]
fn a_torn_line_is_finished_before_the_next_and_every_lost_one_is_counted() {
    let disk = Disk::default();
    let log = AccessLog::start(disk.clone()).unwrap();
    let write = |ids: &[&str]| {
        ids.iter().for_each(|id| log.write(&line(id)));
        assert_eq!(log.flush(Duration::from_secs(5)), Flushed::Yes);
    };
    *disk.room.lock() = usize::MAX;
    write(&["whole"]);
    let length = disk.written.lock().len();
    // Two lines fit and a part of the third.
    *disk.room.lock() = 2 * length + 7;
    write(&["a-1-a", "a-2-a", "a-3-a", "a-4-a", "a-5-a"]);
    assert_eq!(log.dropped(), 2);
    // A part of the rest.
    *disk.room.lock() = 3;
    write(&["b-1-b", "b-2-b"]);
    assert_eq!(log.dropped(), 4);
    *disk.room.lock() = usize::MAX;
    write(&["c-1-c"]);
    assert_eq!(ids(&disk.written), ["whole", "a-1-a", "a-2-a", "a-3-a", "c-1-c"]);
    assert_eq!(log.dropped(), 4);
    // Exactly at the end of a line: nothing is torn.
    *disk.room.lock() = length;
    write(&["d-1-d", "d-2-d"]);
    *disk.room.lock() = usize::MAX;
    write(&["e-1-e"]);
    assert_eq!(ids(&disk.written)[5..], ["d-1-d", "e-1-e"]);
    assert_eq!(log.dropped(), 5);
}

/// A pipe that somebody made non-blocking, and that notes how much is written at once.
#[derive(Clone, Default)]
struct Busy {
    written: Arc<Mutex<Vec<u8>>>,
    largest: Arc<Mutex<usize>>,
    asked: usize,
}

impl Write for Busy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.asked += 1;
        match self.asked % 3 {
            0 => Err(ErrorKind::WouldBlock.into()),
            1 => Err(ErrorKind::Interrupted.into()),
            _ => {
                let mut largest = self.largest.lock();
                *largest = largest.max(bytes.len());
                self.written.lock().extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_busy_pipe_loses_nothing_and_gets_whole_lines_that_it_takes_in_one_piece() {
    let pipe = Busy::default();
    let log = AccessLog::start(pipe.clone()).unwrap();
    let wanted: Vec<String> = (0..100).map(|number| format!("line-{number}")).collect();
    wanted.iter().for_each(|id| log.write(&line(id)));
    // Longer than a pipe takes at once: alone.
    let long = "x".repeat(PIPE + 1);
    log.write(&line(&long));
    assert_eq!(log.flush(Duration::from_secs(10)), Flushed::Yes);
    let found = ids(&pipe.written);
    assert_eq!((&found[..100], found[100].len(), log.dropped()), (&wanted[..], PIPE + 1, 0));
    assert!((PIPE + 1..PIPE + 500).contains(&*pipe.largest.lock()));
}
