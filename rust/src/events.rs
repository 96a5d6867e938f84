//! The events of the core: one enum, in the vocabulary of the Python stub, free of Python and of quinn.
//!
//! The order within one connection is the order in which things happened; data that arrived before a connection was lost
//! is told before its end.

use std::{io, net::SocketAddr};

use bytes::Bytes;

/// A connection, as the outside knows it: never 0, never used again for another connection.
pub type Handle = u64;

/// Something that happened. Each variant is documented at the constant of its name in the Python stub.
#[derive(Debug)]
pub enum Event {
    /// A client knocks and the owner wants to be asked.
    Incoming { incoming: u64, remote: SocketAddr, validated: bool },
    /// A server connection exists.
    Accepted { conn: Handle, remote: SocketAddr },
    /// The TLS parameters are known.
    Handshake { conn: Handle, alpn: Option<Vec<u8>>, server_name: Option<String> },
    /// The handshake is done.
    Connected { conn: Handle, early_data: bool },
    /// Everything that was readable.
    Data { conn: Handle, stream: u64, data: Payload, fin: bool },
    /// The peer reset its sending side.
    Reset { conn: Handle, stream: u64, code: u64 },
    /// The peer asked us to stop; RESET_STREAM is under way.
    Stop { conn: Handle, stream: u64, code: u64 },
    /// Bytes in a send queue that will never be sent: the stream is being reset, or the connection is over.
    Unsent { conn: Handle, stream: u64, bytes: u64 },
    /// A full send queue is at its low-water mark.
    Drained { conn: Handle, stream: u64 },
    /// All of a finished stream is acknowledged.
    Acked { conn: Handle, stream: u64 },
    /// The peer raised a stream limit.
    StreamsAvailable { conn: Handle, unidirectional: bool },
    /// An RFC 9221 datagram.
    Datagram { conn: Handle, data: Bytes },
    /// A file could not be sent to its end; RESET_STREAM is under way.
    FileFailed { conn: Handle, stream: u64, error: Box<io::Error> },
    /// The connection is over.
    Closed { conn: Handle, end: Box<End> },
    /// The peer has another address.
    PathChanged { conn: Handle, remote: SocketAddr },
}

/// How and why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The cause of the end.
    pub kind: EndKind,
    /// The error code, where there is one.
    pub code: Option<u64>,
    /// A reason for humans.
    pub reason: String,
}

/// The kinds of ends, the `CLOSED_*` constants of the stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndKind {
    /// CONNECTION_CLOSE 0x1d from the peer.
    ByApplication,
    /// CONNECTION_CLOSE 0x1c from the peer.
    ByTransport,
    /// We closed.
    Locally,
    /// The peer broke QUIC or TLS.
    TransportError,
    /// Idle or handshake time-out.
    TimedOut,
    /// A stateless reset.
    Reset,
    /// No common version, or no connection IDs left.
    Refused,
    /// The kernel says, by ICMP, that nobody is there; the code is an errno.
    Unreachable,
    /// A panic in the core.
    Internal,
}

/// The pieces that one reading of a stream yields: mostly one, so that one costs no allocation.
#[derive(Debug, Default)]
pub struct Payload {
    first: Bytes,
    more: Vec<Bytes>,
    len: usize,
}

impl Payload {
    /// Append a piece.
    pub fn push(&mut self, piece: Bytes) {
        self.len += piece.len();
        if self.first.is_empty() {
            self.first = piece;
        } else {
            self.more.push(piece);
        }
    }

    /// Total length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes, when they are in one piece.
    pub fn as_one(&self) -> Option<&[u8]> {
        self.more.is_empty().then_some(&self.first)
    }

    /// Copy everything to `target`, which is exactly `len` long.
    pub fn copy_to(&self, target: &mut [u8]) {
        let (head, mut rest) = target.split_at_mut(self.first.len());
        head.copy_from_slice(&self.first);
        for piece in &self.more {
            let (head, tail) = rest.split_at_mut(piece.len());
            head.copy_from_slice(piece);
            rest = tail;
        }
    }

    /// Everything as one vector (tests).
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = vec![0; self.len];
        self.copy_to(&mut all);
        all
    }
}

impl Event {
    /// About how many bytes this event holds while it waits.
    pub fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Event::Data { data, .. } => data.len(),
                Event::Datagram { data, .. } => data.len(),
                _ => 0,
            }
    }
}
