//! The only module that names quinn's crate: its endpoint, connections and TLS traits, in our vocabulary.
//!
//! ```text
//!   hub         one quinn endpoint: routes datagrams, answers what belongs to no connection, makes connections
//!   link        one quinn connection: events in, packets out; `stream` is its part about streams, by number
//!   session     one rustls session behind quinn's trait; our own, because quinn's hides the cipher suite, whether the
//!               session was resumed, and what exactly was wrong with a certificate
//!   congestion  quinn's controllers, which let go when a connection is closed
//!   identity    what identifies an endpoint on the wire: connection IDs and keys
//! ```
//!
//! Another QUIC library with the same division (quinn 0.12, noq) is a change of this folder and of no other. Nothing here
//! decides anything: limits come from `Settings`, order of work and containment of panics from the rest of `core`.

mod congestion;
mod hub;
mod identity;
mod link;
mod session;
mod stream;

use std::net::{IpAddr, SocketAddr};

use quinn_proto::VarInt;

#[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
use aws_lc_rs as provider;
#[cfg(feature = "ring")]
use ring as provider;

#[cfg(test)]
pub use self::identity::tests::cids;
pub use self::{
    hub::{ConnectFailed, Hub, MAX_INCOMING, Routed},
    identity::Identity,
    link::{Happening, Link, LinkStats},
    session::TlsFacts,
    stream::ReadEnd,
};

/// An undecided client; answer it with one call of the `Hub`.
pub type Incoming = quinn_proto::Incoming;

/// Something for `Link::handle`.
pub type LinkEvent = quinn_proto::ConnectionEvent;

/// Name and version of the library.
pub const LIBRARY: (&str, &str) = ("quinn_proto", env!("QUINN_PROTO_VERSION"));

const QUIC_V1: u32 = 1;
const CID_LENGTH: usize = 8;

/// A datagram, or several of equal size, for the socket.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Where to.
    pub destination: SocketAddr,
    /// The ECN bits.
    pub ecn: Option<u8>,
    /// Bytes written to the buffer.
    pub size: usize,
    /// The size of each datagram but the last, when there are several.
    pub segment_size: Option<usize>,
    /// The local address to send from.
    pub src_ip: Option<IpAddr>,
}

impl From<quinn_proto::Transmit> for Packet {
    fn from(transmit: quinn_proto::Transmit) -> Self {
        Self {
            destination: transmit.destination,
            ecn: transmit.ecn.map(|ecn| ecn as u8),
            size: transmit.size,
            segment_size: transmit.segment_size,
            src_ip: transmit.src_ip,
        }
    }
}

/// A datagram with its bytes.
pub type Reply = (Packet, Vec<u8>);

fn varint(value: u64) -> VarInt {
    VarInt::from_u64(value).unwrap_or(VarInt::MAX)
}
