//! The sending half of a connection's streams: queues, and whose turn it is.

use std::cmp::Reverse;

use bytes::Bytes;

use super::{Conn, FilePart, Told};
use crate::{
    core::{
        INTERNAL_ERROR,
        streams::{FILE_PIECE, Pumped, Sink, Took},
    },
    events::Event,
    settings::{FIRST_SEND_WINDOW, Settings},
};

/// Buffers of `writev` up to this are joined before they go to quinn.
const JOIN_UP_TO: usize = 16 << 10;

impl Conn {
    /// Take all of `data`; return what waits outside of quinn.
    pub fn write(&mut self, stream: u64, data: &[u8], fin: bool, settings: &Settings) -> u64 {
        self.write_shared(stream, Bytes::copy_from_slice(data), fin, settings)
    }

    /// The same for bytes that somebody else keeps: they are not copied.
    pub fn write_shared(&mut self, stream: u64, mut data: Bytes, fin: bool, settings: &Settings) -> u64 {
        if !self.queues.contains_key(&stream) {
            let Some(mut sink) = self.link.sink(stream) else {
                return 0;
            };
            match sink.take(&mut data) {
                Took::Gone => return 0,
                Took::All => {
                    if fin {
                        sink.finish();
                    }
                    return 0;
                }
                Took::Blocked => {
                    drop(sink);
                    if self.widen_send(settings) {
                        return self.write_shared(stream, data, fin, settings);
                    }
                }
            }
        }
        let outgoing = &mut self.queues.entry(stream).or_default().outgoing;
        outgoing.push(data);
        if fin {
            outgoing.finish();
        }
        outgoing.note_full(settings.high_water);
        outgoing.waiting()
    }

    /// Take all of several buffers; return what waits outside of quinn.
    pub fn write_all(&mut self, stream: u64, buffers: &[&[u8]], fin: bool, settings: &Settings) -> u64 {
        let total: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        match buffers {
            [] => self.write(stream, b"", fin, settings),
            [only] => self.write(stream, only, fin, settings),
            _ if total <= JOIN_UP_TO => self.write(stream, &buffers.concat(), fin, settings),
            [first @ .., last] => {
                for buffer in first {
                    self.write(stream, buffer, false, settings);
                }
                self.write(stream, last, fin, settings)
            }
        }
    }

    /// Send a part of a file after what was written before.
    pub fn write_file(&mut self, stream: u64, part: FilePart, fin: bool, settings: &Settings, told: &mut Told) {
        if self.link.sink(stream).is_none() {
            return;
        }
        let idle = !self.queues.contains_key(&stream);
        let outgoing = &mut self.queues.entry(stream).or_default().outgoing;
        outgoing.push_file(part.0, part.1, part.2);
        if fin {
            outgoing.finish();
        }
        if idle {
            self.pump(stream, usize::MAX, settings, told);
        }
        if let Some(queue) = self.queues.get_mut(&stream) {
            queue.outgoing.note_full(settings.high_water);
        }
    }

    pub(super) fn refill_writable(&mut self, settings: &Settings, told: &mut Told) {
        if self.writable.is_empty() {
            return;
        }
        let mut writable = std::mem::take(&mut self.writable);
        writable.retain(|stream| self.queues.contains_key(stream));
        if let [only] = writable[..] {
            self.pump(only, usize::MAX, settings, told);
        } else {
            let mut order: Vec<_> = writable.iter().map(|&stream| self.turn_of(stream)).collect();
            order.sort_unstable();
            order.dedup();
            for equals in order.chunk_by(|one, other| one.0 == other.0) {
                let mut streams: Vec<u64> = equals.iter().map(|&(_, _, stream)| stream).collect();
                while !streams.is_empty() {
                    streams.retain(|&stream| self.pump(stream, FILE_PIECE, settings, told) == Pumped::TurnOver);
                }
            }
        }
        writable.clear();
        self.writable = writable;
    }

    fn turn_of(&mut self, stream: u64) -> (Reverse<i32>, u64, u64) {
        let served = self.queues.get(&stream).map_or(0, |queue| queue.served);
        (Reverse(self.link.priority(stream)), served, stream)
    }

    fn pump(&mut self, stream: u64, turn: usize, settings: &Settings, told: &mut Told) -> Pumped {
        let (Some(queue), Some(mut sink)) = (self.queues.get_mut(&stream), self.link.sink(stream)) else {
            return Pumped::Gone;
        };
        let before = queue.outgoing.waiting();
        let pumped = queue.outgoing.pump(&mut sink, turn);
        drop(sink);
        if queue.outgoing.waiting() < before {
            self.turns += 1;
            queue.served = self.turns;
        }
        if queue.outgoing.take_drained(settings.low_water) {
            told.push(Event::Drained { conn: self.handle, stream });
        }
        if pumped == Pumped::Blocked && self.widen_send(settings) {
            return self.pump(stream, turn, settings, told);
        }
        match pumped {
            Pumped::Empty | Pumped::Gone => drop(self.queues.remove(&stream)),
            Pumped::FileFailed => self.file_failed(stream, told),
            Pumped::Blocked | Pumped::TurnOver => {}
        }
        pumped
    }

    /// Reset a stream whose announced content cannot be sent to its end, so that nobody takes a part for the whole.
    fn file_failed(&mut self, stream: u64, told: &mut Told) {
        let failure = self.queues.get_mut(&stream).and_then(|queue| queue.outgoing.take_failure());
        self.tell_unsent(stream, told);
        self.reset(stream, INTERNAL_ERROR);
        if let Some(error) = failure {
            told.push(Event::FileFailed { conn: self.handle, stream, error: Box::new(error) });
        }
    }

    /// Tell how much of a stream is about to be dropped, if anything waits.
    pub(super) fn tell_unsent(&self, stream: u64, told: &mut Told) {
        let bytes = self.queues.get(&stream).map_or(0, |queue| queue.outgoing.waiting());
        if bytes > 0 {
            told.push(Event::Unsent { conn: self.handle, stream, bytes });
        }
    }

    /// RESET_STREAM; what waits is dropped.
    pub fn reset(&mut self, stream: u64, code: u64) {
        self.queues.remove(&stream);
        self.link.reset(stream, code);
    }

    /// Bytes in memory that wait outside of quinn.
    pub fn buffered(&self) -> u64 {
        self.queues.values().map(|queue| queue.outgoing.in_memory()).sum()
    }

    /// Have more wait for acknowledgment, if the budget has room; true when that is more than before.
    fn widen_send(&mut self, settings: &Settings) -> bool {
        let more = settings.send_window.saturating_sub(FIRST_SEND_WINDOW);
        let granted = !self.wide.send && more > 0 && self.account.as_mut().is_some_and(|account| account.ask(more));
        if granted {
            self.wide.send = true;
            self.link.widen_send(settings.send_window);
        }
        granted
    }

    /// Open a unidirectional stream if the peer's limit allows one, and send all of it.
    pub fn send_stream(&mut self, priority: i32, data: Bytes, settings: &Settings) -> Option<u64> {
        let stream = self.open_stream(true)?;
        self.link.set_priority(stream, priority);
        self.write_shared(stream, data, true, settings);
        Some(stream)
    }

    /// Open a stream if the peer's limit allows one.
    pub fn open_stream(&mut self, unidirectional: bool) -> Option<u64> {
        self.pools[usize::from(unidirectional)].pop_front().or_else(|| self.link.open(unidirectional))
    }

    /// How many of `wanted` streams `open_stream` can give.
    pub fn stream_credit(&mut self, unidirectional: bool, wanted: usize) -> usize {
        let pool = &mut self.pools[usize::from(unidirectional)];
        while pool.len() < wanted {
            match self.link.open(unidirectional) {
                Some(stream) => pool.push_back(stream),
                None => break,
            }
        }
        pool.len().min(wanted)
    }
}
