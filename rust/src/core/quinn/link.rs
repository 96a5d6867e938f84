//! One quinn connection: events in, packets out.

use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bytes::Bytes;
use quinn_proto::{ConnectionError, Dir, Side, StreamEvent};

use super::{LinkEvent, Packet, congestion::Releasable, session::TlsFacts, varint};
use crate::{
    events::{End, EndKind},
    settings::{FIRST_SEND_WINDOW, Settings},
    tls,
};

/// Bytes of datagrams that leave in one system call: the kernel takes as many as one datagram could have.
const MAX_BATCH: usize = 65_507;

/// A report of a connection.
pub enum Happening {
    /// ALPN and server name are known.
    Handshake,
    /// The handshake is done.
    Connected,
    /// The connection is over.
    Lost(End),
    /// The peer opened streams.
    Opened { unidirectional: bool },
    /// A stream may have data, its end or a reset.
    Readable(u64),
    /// A blocked stream may take data.
    Writable(u64),
    /// Everything of a finished stream is acknowledged.
    Acked(u64),
    /// STOP_SENDING.
    Stopped(u64, u64),
    /// The peer raised a stream limit.
    StreamsAvailable { unidirectional: bool },
    /// RFC 9221 datagrams arrived.
    Datagrams,
}

/// Numbers about a connection.
#[derive(Clone, Copy, Debug)]
pub struct LinkStats {
    /// Smoothed round trip time.
    pub rtt: Duration,
    /// Smallest round trip time.
    pub min_rtt: Duration,
    /// Congestion window in bytes.
    pub congestion_window: u64,
    /// UDP payload sent.
    pub sent_bytes: u64,
    /// UDP payload received.
    pub received_bytes: u64,
    /// ACK frames received.
    pub received_acks: u64,
    /// QUIC packets sent.
    pub sent_packets: u64,
    /// QUIC packets lost.
    pub lost_packets: u64,
    /// Largest UDP payload.
    pub mtu: u16,
}

/// One quinn connection. Stream numbers are those of RFC 9000 section 2.1; a number that cannot be is answered like a
/// stream that is gone.
pub struct Link {
    pub(super) connection: quinn_proto::Connection,
    /// How many streams of the peer (bidirectional, unidirectional) were accepted.
    pub(super) accepted: [u64; 2],
    pub(super) send_window: u64,
}

impl Link {
    pub(super) fn new(connection: quinn_proto::Connection, settings: &Settings) -> Self {
        let first = if connection.side() == Side::Server { FIRST_SEND_WINDOW } else { u64::MAX };
        Self { connection, accepted: [0; 2], send_window: settings.send_window.min(first) }
    }

    /// Let so many bytes wait for acknowledgment.
    pub fn widen_send(&mut self, window: u64) {
        self.send_window = window;
    }

    /// Let so many bytes be unread; the peer is told.
    pub fn widen_receive(&mut self, window: u64) {
        self.connection.set_receive_window(varint(window));
    }

    /// Requests, so to say: bidirectional streams of the peer that are not over.
    pub fn open_requests(&mut self) -> u64 {
        self.connection.streams().remote_open_streams(Dir::Bi)
    }

    /// Take in a datagram.
    pub fn handle(&mut self, event: LinkEvent) {
        self.connection.handle_event(event);
    }

    /// Run the timers that are due.
    pub fn timeout(&mut self, now: Instant) {
        self.connection.handle_timeout(now);
    }

    /// When `timeout` is due.
    pub fn deadline(&mut self) -> Option<Instant> {
        self.connection.poll_timeout()
    }

    /// The next thing that happened.
    pub fn poll(&mut self) -> Option<Happening> {
        self.connection.set_send_window(self.window_for(i32::MAX)); // whoever may write is to be told
        loop {
            return Some(match self.connection.poll()? {
                quinn_proto::Event::HandshakeDataReady => Happening::Handshake,
                quinn_proto::Event::Connected => Happening::Connected,
                quinn_proto::Event::ConnectionLost { reason } => Happening::Lost(end_of(reason)),
                quinn_proto::Event::DatagramReceived => Happening::Datagrams,
                quinn_proto::Event::DatagramsUnblocked => continue,
                quinn_proto::Event::Stream(event) => match event {
                    StreamEvent::Opened { dir } => Happening::Opened { unidirectional: dir == Dir::Uni },
                    StreamEvent::Readable { id } => Happening::Readable(id.into()),
                    StreamEvent::Writable { id } => Happening::Writable(id.into()),
                    StreamEvent::Finished { id } => Happening::Acked(id.into()),
                    StreamEvent::Stopped { id, error_code } => Happening::Stopped(id.into(), error_code.into()),
                    StreamEvent::Available { dir } => Happening::StreamsAvailable { unidirectional: dir == Dir::Uni },
                },
            });
        }
    }

    /// The next datagrams to send, at most `max_datagrams` and `MAX_BATCH`, written to the end of `buffer`, which is empty.
    pub fn transmit(&mut self, now: Instant, max_datagrams: usize, buffer: &mut Vec<u8>) -> Option<Packet> {
        let fit = (MAX_BATCH / usize::from(self.connection.current_mtu())).max(1);
        self.connection.poll_transmit(now, max_datagrams.min(fit), buffer).map(Packet::from)
    }

    /// Close with CONNECTION_CLOSE 0x1d.
    pub fn close(&mut self, now: Instant, code: u64, reason: Bytes) {
        if let Ok(controller) = self.connection.congestion_state().clone_box().into_any().downcast::<Releasable>() {
            controller.closing.store(true, Ordering::Relaxed);
        }
        self.connection.close(now, varint(code), reason);
    }

    /// Send a PING.
    pub fn ping(&mut self) {
        self.connection.ping();
    }

    /// The local address has changed.
    pub fn rebound(&mut self) {
        self.connection.local_address_changed();
    }

    /// True for the server's side.
    pub fn is_server(&self) -> bool {
        self.connection.side() == Side::Server
    }

    /// The peer's address.
    pub fn remote(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    /// Our address, where the socket told.
    pub fn local_ip(&self) -> Option<IpAddr> {
        self.connection.local_ip()
    }

    /// Client: the server took the 0-RTT data. Server: there is or was 0-RTT data.
    pub fn early_data(&self) -> bool {
        if self.is_server() { self.connection.has_0rtt() } else { self.connection.accepted_0rtt() }
    }

    /// The known facts of the TLS session.
    pub fn tls(&self) -> TlsFacts {
        let facts = self.connection.crypto_session().handshake_data();
        facts.and_then(|facts| facts.downcast::<TlsFacts>().ok()).map(|facts| *facts).unwrap_or_default()
    }

    /// The peer's certificate chain, DER.
    pub fn peer_certificates(&self) -> Vec<Vec<u8>> {
        let chain = self.connection.crypto_session().peer_identity();
        chain.and_then(|chain| chain.downcast::<Vec<Vec<u8>>>().ok()).map(|chain| *chain).unwrap_or_default()
    }

    /// RFC 5705 keying material; false when there is none yet or the length is absurd.
    pub fn export(&self, output: &mut [u8], label: &[u8], context: &[u8]) -> bool {
        self.connection.crypto_session().export_keying_material(output, label, context).is_ok()
    }

    /// Numbers.
    pub fn stats(&self) -> LinkStats {
        let stats = self.connection.stats();
        LinkStats {
            rtt: stats.path.rtt,
            min_rtt: stats.path.min_rtt,
            congestion_window: stats.path.cwnd,
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
            received_acks: stats.frame_rx.acks,
            sent_packets: stats.path.sent_packets,
            lost_packets: stats.path.lost_packets,
            mtu: stats.path.current_mtu,
        }
    }
}

fn end_of(error: ConnectionError) -> End {
    let text = |reason: &[u8], code: u64| {
        if reason.is_empty() { tls::alert_reason(code) } else { String::from_utf8_lossy(reason).into_owned() }
    };
    let (kind, code, reason) = match error {
        ConnectionError::ApplicationClosed(close) => {
            (EndKind::ByApplication, Some(close.error_code.into_inner()), text(&close.reason, 0))
        }
        ConnectionError::ConnectionClosed(close) => {
            let code = u64::from(close.error_code);
            (EndKind::ByTransport, Some(code), text(&close.reason, code))
        }
        ConnectionError::TransportError(error) => {
            let code = u64::from(error.code);
            let reason = if error.reason.is_empty() { error.to_string() } else { error.reason };
            (EndKind::TransportError, Some(code), reason)
        }
        ConnectionError::TimedOut => (EndKind::TimedOut, None, "nothing arrived for too long".to_owned()),
        ConnectionError::Reset => (EndKind::Reset, None, "the peer has forgotten this connection".to_owned()),
        ConnectionError::LocallyClosed => (EndKind::Locally, None, String::new()),
        other => (EndKind::Refused, None, other.to_string()),
    };
    End { kind, code, reason }
}
