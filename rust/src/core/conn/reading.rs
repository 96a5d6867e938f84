//! The receiving half of a connection's streams, and the credit that is granted for it.

use super::{Conn, Told};
use crate::{
    core::quinn::ReadEnd,
    events::{Event, Payload},
    settings::{FIRST_RECEIVE_WINDOW, Settings},
};

impl Conn {
    pub(super) fn accept(&mut self, unidirectional: bool, settings: &Settings) {
        while let Some(stream) = self.link.accept(unidirectional) {
            if unidirectional && settings.first_read_unidirectional > 0 {
                self.fresh.insert(stream);
            }
            self.readable.push(stream);
        }
    }

    pub(super) fn read_readable(&mut self, settings: &Settings, told: &mut Told, last_chance: bool) {
        if self.readable.is_empty() {
            return;
        }
        let mut readable = std::mem::take(&mut self.readable);
        let mut done = 0;
        while done < readable.len() && (last_chance || !told.is_full()) {
            self.read(readable[done], settings, told);
            done += 1;
        }
        readable.drain(..done);
        self.readable = readable;
    }

    fn read(&mut self, stream: u64, settings: &Settings, told: &mut Told) {
        let conn = self.handle;
        if !self.paused.is_empty() && self.paused.contains(&stream) {
            if let Some(code) = self.link.take_reset(stream) {
                self.paused.remove(&stream);
                told.push(Event::Reset { conn, stream, code });
            }
            return;
        }
        let fresh = !self.fresh.is_empty() && self.fresh.contains(&stream);
        let limit = if fresh { settings.first_read_unidirectional } else { usize::MAX };
        let mut data = Payload::default();
        let end = self.link.read(stream, limit, &mut data);
        let fin = end == ReadEnd::Fin;
        let nothing = data.is_empty() && end == ReadEnd::More;
        if fresh && !nothing {
            self.fresh.remove(&stream);
            if end == ReadEnd::More {
                self.paused.insert(stream);
            }
        }
        if !self.wide.receive {
            self.count_taken(data.len(), settings);
        }
        if !data.is_empty() || fin {
            told.push(Event::Data { conn, stream, data, fin });
        }
        if let ReadEnd::Reset(code) = end {
            told.push(Event::Reset { conn, stream, code });
        }
    }

    /// Read no more of this stream.
    pub fn pause(&mut self, stream: u64) {
        self.paused.insert(stream);
    }

    /// Read on; what is there becomes an event at once.
    pub fn resume(&mut self, stream: u64, settings: &Settings, told: &mut Told) {
        if self.paused.remove(&stream) {
            if told.is_full() {
                self.readable.push(stream);
            } else {
                self.read(stream, settings, told);
            }
        }
    }

    /// STOP_SENDING.
    pub fn stop(&mut self, stream: u64, code: u64) {
        self.paused.remove(&stream);
        self.fresh.remove(&stream);
        self.link.stop(stream, code);
    }

    /// Somebody really uploads: have more be unread, if the budget has room.
    fn count_taken(&mut self, bytes: usize, settings: &Settings) {
        self.taken += bytes as u64;
        let more = settings.connection_receive_window.saturating_sub(FIRST_RECEIVE_WINDOW);
        if self.taken >= FIRST_RECEIVE_WINDOW / 2
            && more > 0
            && self.account.as_mut().is_some_and(|account| account.ask(more))
        {
            self.wide.receive = true;
            self.link.widen_receive(settings.connection_receive_window);
        }
    }
}
