//! How a connection ends.

use super::{Guard, Part};
use crate::connection::linger::linger;
use std::io::Cursor;

impl Guard {
    /// Whether the caller could lose the last bytes to them, because they are sending still.
    fn is_overheard(&self) -> bool {
        let sending = match &self.part {
            Part::Length(_) | Part::Chunks(_) | Part::Broken | Part::Http2(_) => true,
            Part::Head | Part::Between => !self.early.is_empty(),
            Part::Tunnel(tunnel) => tunnel.is_over(),
        };
        sending && self.wrote && !self.gone
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.is_overheard() {
            // Whatever is a stream; nobody reads it.
            let stream = std::mem::replace(&mut self.stream, Box::new(Cursor::new(Vec::<u8>::new())));
            linger(stream, self.life.clone());
        } else if self.idle {
            // Had the caller closed it, the last read would have said so.
            self.life.place.idle_closed();
        }
    }
}
