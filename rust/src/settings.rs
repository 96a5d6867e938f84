//! The transport settings, checked once. Everything that a peer can make us hold has its bound here.

use std::time::Duration;

/// Which congestion controller a connection uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Congestion {
    /// RFC 9438.
    Cubic,
    /// RFC 9002 section 7.
    NewReno,
}

/// Settings of an endpoint and its connections. Windows are in bytes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Silence after which a connection is given up; zero: never.
    pub idle_timeout: Duration,
    /// Time within which a handshake has to be done.
    pub handshake_timeout: Duration,
    /// A PING after so much silence.
    pub keep_alive: Option<Duration>,
    /// Bidirectional streams that a peer may have open.
    pub max_bidirectional_streams: u64,
    /// Unidirectional streams that a peer may have open.
    pub max_unidirectional_streams: u64,
    /// Unread bytes per stream.
    pub stream_receive_window: u64,
    /// Unread bytes per connection.
    pub connection_receive_window: u64,
    /// Bytes per connection that wait for sending or acknowledgement inside quinn.
    pub send_window: u64,
    /// `write` beyond this marks the stream as full.
    pub high_water: u64,
    /// A full stream is told to be drained at this.
    pub low_water: u64,
    /// Connections in all; further ones are refused.
    pub max_connections: usize,
    /// Connections of one address (of one /64 with IPv6) that has proved itself; further ones are refused.
    pub max_connections_per_address: usize,
    /// When places run out, a connection on which no request is open and nothing was sent or received for so long gives way.
    pub evict_idle_after: Duration,
    /// Bytes that server connections may hold in all, beyond their first windows.
    pub byte_budget: u64,
    /// The part of it that one address may have.
    pub byte_budget_per_address: u64,
    /// Server handshakes under way from which on addresses have to be proved.
    pub retry_above: usize,
    /// Ask the owner about each new client.
    pub ask_incoming: bool,
    /// How much of a peer's unidirectional stream is read before `resume`; 0: all.
    pub first_read_unidirectional: usize,
    /// The congestion controller.
    pub congestion: Congestion,
    /// Packets that may be under way before the first acknowledgment (RFC 9002 section 7.2).
    pub initial_window: u64,
    /// The round trip time assumed before the first sample.
    pub initial_rtt: Duration,
    /// Largest RFC 9221 frame that we take; 0: the extension is off.
    pub max_datagram_frame: usize,
    /// True when clients may change their address.
    pub migration: bool,
    /// True to look for a larger MTU.
    pub mtu_discovery: bool,
    /// UDP payload to begin with.
    pub initial_mtu: u16,
    /// Files that are open for sending, over all connections.
    pub max_open_files: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            keep_alive: None,
            max_bidirectional_streams: 100,
            max_unidirectional_streams: 16,
            stream_receive_window: 256 << 10,
            connection_receive_window: 1 << 20,
            send_window: 1 << 20,
            high_water: 64 << 10,
            low_water: 16 << 10,
            max_connections: 10_000,
            max_connections_per_address: 1_000,
            evict_idle_after: Duration::from_secs(10),
            byte_budget: 1 << 30,
            byte_budget_per_address: 256 << 20,
            retry_above: 1_000,
            ask_incoming: false,
            first_read_unidirectional: 0,
            congestion: Congestion::Cubic,
            initial_window: RECOMMENDED_WINDOW,
            initial_rtt: Duration::from_millis(333),
            max_datagram_frame: 0,
            migration: true,
            mtu_discovery: true,
            initial_mtu: 1200,
            max_open_files: 64,
        }
    }
}

/// With what a server connection begins: unread bytes, and bytes that wait for acknowledgment. Most need no more; the rest of their
/// windows is granted from the budget.
pub const FIRST_RECEIVE_WINDOW: u64 = 64 << 10;
/// See `FIRST_RECEIVE_WINDOW`.
pub const FIRST_SEND_WINDOW: u64 = 128 << 10;

/// Packets that RFC 9002 section 7.2 recommends to begin with.
pub const RECOMMENDED_WINDOW: u64 = 10;
/// A first window above this asks a network for more than any page needs, before it has said anything of itself.
const MAX_INITIAL_WINDOW: u64 = 1000;
/// Stream counts and windows above this are a mistake, not a wish (and a stream count costs memory at once).
pub const MAX_STREAMS: u64 = 1 << 20;
/// QUIC multiplies it; nobody's is longer.
const MAX_RTT: Duration = Duration::from_secs(3600);
const MAX_WINDOW: u64 = (1 << 62) - 1;

impl Settings {
    /// One sentence about the first setting that cannot be.
    pub fn check(&self) -> Result<(), String> {
        let rules = [
            (self.max_bidirectional_streams <= MAX_STREAMS, "max_bidirectional_streams is above 1048576"),
            (self.max_unidirectional_streams <= MAX_STREAMS, "max_unidirectional_streams is above 1048576"),
            (self.stream_receive_window <= MAX_WINDOW, "stream_receive_window is above 2**62 - 1"),
            (self.connection_receive_window <= MAX_WINDOW, "connection_receive_window is above 2**62 - 1"),
            (self.stream_receive_window > 0, "stream_receive_window must be positive"),
            (self.connection_receive_window > 0, "connection_receive_window must be positive"),
            (self.send_window > 0, "send_window must be positive"),
            (self.low_water <= self.high_water, "low_water is above high_water"),
            (!self.handshake_timeout.is_zero(), "handshake_timeout must be positive"),
            (self.keep_alive != Some(Duration::ZERO), "keep_alive_interval must be positive"),
            (
                (RECOMMENDED_WINDOW..=MAX_INITIAL_WINDOW).contains(&self.initial_window),
                "initial_window is not within 10 to 1000 packets",
            ),
            (!self.initial_rtt.is_zero(), "initial_rtt must be positive"),
            (self.initial_rtt <= MAX_RTT, "initial_rtt is above an hour"),
            (self.idle_timeout.as_millis() <= u128::from(MAX_WINDOW), "idle_timeout is too long"),
            (self.max_open_files > 0, "max_open_files must be positive"),
            (self.max_datagram_frame <= 65535, "max_datagram_frame is above 65535"),
            ((1200..=65527).contains(&self.initial_mtu), "initial_mtu is not within 1200 to 65527"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, sentence)) => Err((*sentence).to_owned()),
            None => Ok(()),
        }
    }
}
