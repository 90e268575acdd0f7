use super::*;

#[derive(Clone, Default)]
struct Target {
    written: Arc<Mutex<Vec<u8>>>,
    /// Held by a test that plays a slow target.
    gate: Arc<Mutex<()>>,
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _open = self.gate.lock();
        self.written.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
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
