//! The streams of a `Link`, and how far each may get ahead.

use bytes::{Buf, Bytes};
use quinn_proto::{Dir, ReadError, StreamId, VarInt, WriteError};

use super::{link::Link, varint};
use crate::{
    core::streams::{Sink, Took},
    events::Payload,
};

/// Bytes that streams of the highest priority may write beyond the send window: control streams say little.
const CRITICAL_ROOM: u64 = 64 << 10;
/// The priority of streams that were reset.
const ABANDONED: i32 = i32::MIN;
/// Bytes that streams of negative priority may have waiting, however small the congestion window is.
const LEAST_AHEAD: u64 = 32 << 10;

/// The largest buffer that quinn is given, in bytes: a dozen packets.
const SEND_CHUNK: usize = 16 << 10;

/// How reading a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// That was all for now, or all that was asked for.
    More,
    /// That was the end of the stream.
    Fin,
    /// The peer reset the stream.
    Reset(u64),
    /// There is no such stream to read.
    Gone,
}

impl Link {
    /// How many streams the peer may have open.
    pub fn set_max_streams(&mut self, unidirectional: bool, count: u64) {
        self.connection.set_max_concurrent_streams(dir(unidirectional), varint(count));
    }

    /// Open a stream, if the peer's limit allows one.
    pub fn open(&mut self, unidirectional: bool) -> Option<u64> {
        self.connection.streams().open(dir(unidirectional)).map(u64::from)
    }

    /// The next stream that the peer opened.
    pub fn accept(&mut self, unidirectional: bool) -> Option<u64> {
        let stream = self.connection.streams().accept(dir(unidirectional))?;
        self.accepted[usize::from(unidirectional)] += 1;
        Some(stream.into())
    }

    /// Read at most `limit` bytes in order.
    pub fn read(&mut self, stream: u64, mut limit: usize, into: &mut Payload) -> ReadEnd {
        let Some(mut receiver) = self.receiver(stream) else {
            return ReadEnd::Gone;
        };
        let Ok(mut chunks) = receiver.read(true) else {
            return ReadEnd::Gone;
        };
        let end = loop {
            if limit == 0 {
                break ReadEnd::More;
            }
            match chunks.next(limit) {
                Ok(Some(chunk)) => {
                    limit -= chunk.bytes.len();
                    into.push(chunk.bytes);
                }
                Ok(None) => break ReadEnd::Fin,
                Err(ReadError::Blocked) => break ReadEnd::More,
                Err(ReadError::Reset(code)) => break ReadEnd::Reset(code.into()),
            }
        };
        let _ = chunks.finalize();
        end
    }

    /// True when the peer has reset the stream; reads nothing.
    pub fn take_reset(&mut self, stream: u64) -> Option<u64> {
        self.receiver(stream)?.received_reset().ok().flatten().map(u64::from)
    }

    /// STOP_SENDING.
    pub fn stop(&mut self, stream: u64, code: u64) {
        if let Some(mut receiver) = self.receiver(stream) {
            let _ = receiver.stop(varint(code));
        }
    }

    /// The place where a send queue empties into.
    pub fn sink(&mut self, stream: u64) -> Option<impl Sink> {
        self.writer(stream)
    }

    /// RESET_STREAM.
    pub fn reset(&mut self, stream: u64, code: u64) {
        if let Some(mut sender) = self.sender(stream) {
            // Marked, for quinn tells that a stream takes nothing any more only while the connection has credit.
            let _ = sender.set_priority(ABANDONED);
            let _ = sender.reset(varint(code));
        }
    }

    /// Streams with a higher number go first.
    pub fn set_priority(&mut self, stream: u64, priority: i32) {
        if self.priority(stream) != ABANDONED
            && let Some(mut sender) = self.sender(stream)
        {
            let _ = sender.set_priority(priority.max(ABANDONED + 1));
        }
    }

    /// The number set before.
    pub fn priority(&mut self, stream: u64) -> i32 {
        self.sender(stream).and_then(|sender| sender.priority().ok()).unwrap_or(0)
    }

    /// Send an RFC 9221 datagram; false when it is too large or the peer takes none. The oldest one waiting gives way.
    pub fn send_datagram(&mut self, data: Bytes) -> bool {
        self.connection.datagrams().send(data, true).is_ok()
    }

    /// The next datagram that arrived.
    pub fn receive_datagram(&mut self) -> Option<Bytes> {
        self.connection.datagrams().recv()
    }

    /// The largest datagram that the peer takes and the path carries.
    pub fn max_datagram(&mut self) -> Option<usize> {
        self.connection.datagrams().max_size()
    }

    // quinn panics on a stream that runs in the other direction only, and loses count when a stream is used that the peer
    // may open but has not opened.
    fn id(&self, stream: u64, receive: bool) -> Option<StreamId> {
        let id = StreamId::from(VarInt::from_u64(stream).ok()?);
        let ours = id.initiator() == self.connection.side();
        let there = ours || id.index() < self.accepted[id.dir() as usize];
        (there && (id.dir() == Dir::Bi || ours != receive)).then_some(id)
    }

    fn receiver(&mut self, stream: u64) -> Option<quinn_proto::RecvStream<'_>> {
        let id = self.id(stream, true)?;
        Some(self.connection.recv_stream(id))
    }

    fn sender(&mut self, stream: u64) -> Option<quinn_proto::SendStream<'_>> {
        let id = self.id(stream, false)?;
        Some(self.connection.send_stream(id))
    }

    /// The stream, with as much of the send window open as its priority deserves.
    fn writer(&mut self, stream: u64) -> Option<quinn_proto::SendStream<'_>> {
        let priority = self.priority(stream);
        if priority == ABANDONED {
            return None;
        }
        let window = self.window_for(priority);
        self.connection.set_send_window(window);
        self.sender(stream)
    }

    /// How much may wait in quinn, sent or not, for a stream of this priority to be given more.
    ///
    /// Bytes given to quinn count against the peer's flow control too, and cannot be taken back when something urgent
    /// comes. So streams of negative priority, of which nobody is in need, get no further ahead than what keeps the congestion
    /// window full; and the most urgent streams always find room.
    pub(super) fn window_for(&self, priority: i32) -> u64 {
        match priority {
            i32::MAX => self.send_window + CRITICAL_ROOM,
            0.. => self.send_window,
            _ => {
                let ahead = self.connection.congestion_state().window().saturating_mul(2).max(LEAST_AHEAD);
                ahead.min(self.send_window / 4 * 3)
            }
        }
    }
}

impl Sink for quinn_proto::SendStream<'_> {
    // Until quinn says "blocked": only then it promises an event.
    //
    // quinn counts a buffer against the send window until the last byte of it has been acknowledged, so it is given small ones:
    // a single large one would keep every other stream, control streams too, waiting until all of it has arrived.
    fn take(&mut self, data: &mut Bytes) -> Took {
        while !data.is_empty() {
            let written = if data.len() <= SEND_CHUNK {
                self.write_chunks(std::slice::from_mut(data)).map(drop)
            } else {
                self.write_chunks(&mut [data.slice(..SEND_CHUNK)]).map(|written| data.advance(written.bytes))
            };
            match written {
                Ok(()) => {}
                Err(WriteError::Blocked) => return Took::Blocked,
                Err(_) => return Took::Gone,
            }
        }
        Took::All
    }

    fn finish(&mut self) {
        let _ = quinn_proto::SendStream::finish(self);
    }
}

pub(super) fn dir(unidirectional: bool) -> Dir {
    if unidirectional { Dir::Uni } else { Dir::Bi }
}
