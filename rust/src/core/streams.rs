//! The send queue of a stream: what quinn has not taken yet, in pieces, and when its owner may write again.
//!
//! ```text
//!   write ──> [bytes][file 3.2 MB][bytes] fin ──> Sink (quinn: stream window, connection window, send window)
//!               └── `waiting` bytes ──┘
//!   above high_water: full        refilled down to low_water: drained, told once
//! ```
//!
//! A file stays on disk: one piece of it at a time is read, when the sink has taken everything before it.

use std::{collections::VecDeque, io, sync::Arc};

use bytes::Bytes;

use crate::files::Source;

/// How much of a file is read at a time, and what one stream may take before its equals have their turn.
pub const FILE_PIECE: usize = 64 << 10;

/// Where a queue empties into.
pub trait Sink {
    /// Take as much of `data` as fits, leaving the rest in it.
    fn take(&mut self, data: &mut Bytes) -> Took;
    /// The stream ends here.
    fn finish(&mut self);
}

/// A sink's answer to data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Took {
    /// Everything.
    All,
    /// Some or nothing: no room for more, an event will tell.
    Blocked,
    /// The stream takes nothing any more.
    Gone,
}

/// Why pumping ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pumped {
    /// The queue is empty.
    Empty,
    /// The sink is full.
    Blocked,
    /// The turn is over, there is more.
    TurnOver,
    /// The stream is gone.
    Gone,
    /// A file could not be read to its promised end.
    FileFailed,
}

enum Piece {
    Bytes(Bytes),
    File { source: Arc<Source>, offset: u64, left: u64 },
}

/// The queue of one stream.
#[derive(Default)]
pub struct Outgoing {
    pieces: VecDeque<Piece>,
    waiting: u64,
    in_memory: u64,
    fin: bool,
    full: bool,
    failure: Option<io::Error>,
}

impl Outgoing {
    /// Bytes, on disk or in memory, that the sink has not taken.
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Bytes held in memory.
    pub fn in_memory(&self) -> u64 {
        self.in_memory
    }

    /// Append bytes.
    pub fn push(&mut self, data: Bytes) {
        if !self.fin && !data.is_empty() {
            self.waiting += data.len() as u64;
            self.in_memory += data.len() as u64;
            self.pieces.push_back(Piece::Bytes(data));
        }
    }

    /// Append a part of a file.
    pub fn push_file(&mut self, source: Arc<Source>, offset: u64, length: u64) {
        if !self.fin && length > 0 {
            self.waiting += length;
            self.pieces.push_back(Piece::File { source, offset, left: length });
        }
    }

    /// Nothing follows.
    pub fn finish(&mut self) {
        self.fin = true;
    }

    /// Remember that the owner was told a number above `high_water`.
    pub fn note_full(&mut self, high_water: u64) {
        self.full |= self.waiting > high_water;
    }

    /// True once when a full queue has come down to `low_water`.
    pub fn take_drained(&mut self, low_water: u64) -> bool {
        self.waiting <= low_water && std::mem::take(&mut self.full)
    }

    /// Move pieces into `sink` until it is full, all is gone, or about `turn` bytes have moved.
    pub fn pump(&mut self, sink: &mut impl Sink, turn: usize) -> Pumped {
        let end = self.waiting.saturating_sub(turn as u64);
        while let Some(piece) = self.pieces.front_mut() {
            if self.waiting <= end && end > 0 {
                return Pumped::TurnOver;
            }
            let Piece::Bytes(data) = piece else {
                if let Err(error) = self.load() {
                    self.failure = Some(error);
                    return Pumped::FileFailed;
                }
                continue;
            };
            let before = data.len();
            let took = sink.take(data);
            let moved = (before - data.len()) as u64;
            self.waiting -= moved;
            self.in_memory -= moved;
            match took {
                Took::All => drop(self.pieces.pop_front()),
                Took::Blocked => return Pumped::Blocked,
                Took::Gone => return Pumped::Gone,
            }
        }
        if self.fin {
            sink.finish();
        }
        Pumped::Empty
    }

    /// Why a file failed.
    pub fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Put the next bytes of the file at the front before it.
    fn load(&mut self) -> std::io::Result<()> {
        let Some(Piece::File { source, offset, left }) = self.pieces.front_mut() else {
            return Ok(());
        };
        let mut bytes = vec![0; FILE_PIECE.min(usize::try_from(*left).unwrap_or(FILE_PIECE))];
        source.read_exact_at(&mut bytes, *offset)?;
        *offset += bytes.len() as u64;
        *left -= bytes.len() as u64;
        if *left == 0 {
            self.pieces.pop_front();
        }
        self.in_memory += bytes.len() as u64;
        self.pieces.push_front(Piece::Bytes(bytes.into()));
        Ok(())
    }
}
