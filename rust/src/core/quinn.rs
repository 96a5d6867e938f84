//! The only file that names quinn's crate: its endpoint, connections and TLS traits, in our vocabulary.
//!
//! ```text
//!   Hub   one quinn endpoint: routes datagrams, answers what belongs to no connection, makes connections
//!   Link  one quinn connection: events in, packets out, streams by number
//!   Tls   one rustls session behind quinn's trait; our own, because quinn's hides the cipher suite, whether the session
//!         was resumed, and what exactly was wrong with a certificate
//! ```
//!
//! Another QUIC library with the same division (quinn 0.12, noq) is a change of this file and of no other. Nothing here
//! decides anything: limits come from `Settings`, order of work and containment of panics from the rest of `core`.

use std::{
    any::Any,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};
use quinn_proto::{
    ConnectError, ConnectionError, ConnectionHandle, ConnectionId, DatagramEvent, Dir, EcnCodepoint, EndpointConfig,
    EndpointEvent, IdleTimeout, MtuDiscoveryConfig, ReadError, RttEstimator, Side, StreamEvent, StreamId,
    TransportConfig, TransportError, TransportErrorCode, VarInt, WriteError, congestion, crypto,
    transport_parameters::TransportParameters,
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use rustls::quic::{Connection as QuicTls, KeyChange, Secrets, Suite, Version};

use super::streams::{Sink, Took};
use crate::{
    events::{End, EndKind, Payload},
    settings::{Congestion, Settings},
    tls,
};

#[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
use aws_lc_rs as provider;
#[cfg(feature = "ring")]
use ring as provider;

/// An undecided client; answer it with one call of the `Hub`.
pub type Incoming = quinn_proto::Incoming;

/// Something for `Link::handle`.
pub type LinkEvent = quinn_proto::ConnectionEvent;

/// Name and version of the library.
pub const LIBRARY: (&str, &str) = ("quinn_proto", env!("QUINN_PROTO_VERSION"));

const QUIC_V1: u32 = 1;
const CID_LENGTH: usize = 8;

/// Undecided clients at a time, and bytes of their further Initials (per client, in all).
pub const MAX_INCOMING: usize = 1024;
const INCOMING_BYTES: u64 = 16 << 10;
const INCOMING_BYTES_TOTAL: u64 = 4 << 20;
const CRYPTO_BYTES: usize = 16 << 10;

/// The largest UDP payload looked for (Ethernet with IPv4; IPv6 fits too).
const MTU_UPPER_BOUND: u16 = 1452;
/// Bytes of datagrams that leave in one system call: the kernel takes as many as one datagram could have.
const MAX_BATCH: usize = 65_507;

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

/// What identifies this endpoint on the wire.
#[derive(Clone)]
pub struct Identity {
    /// Seeds everything random: connection IDs, packet number gaps, padding.
    pub seed: [u8; 32],
    /// Stateless resets are signed with this.
    pub reset_key: Vec<u8>,
    /// Retry tokens are sealed with this.
    pub token_key: Vec<u8>,
    /// (index, count): the first byte of our connection IDs is congruent to the index.
    pub worker: Option<(u8, u8)>,
}

impl Identity {
    /// Everything from `seed`.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let mut draw = |length: usize| {
            let mut bytes = vec![0; length];
            rng.fill_bytes(&mut bytes);
            bytes
        };
        Self { reset_key: draw(64), token_key: draw(64), seed: rng.random(), worker: None }
    }

    /// Everything from the operating system's randomness.
    pub fn random() -> Self {
        let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).expect("the operating system has randomness");
        Self::from_seed(rng.random())
    }

    fn seed_for(&self, purpose: u8) -> [u8; 32] {
        let mut seed = self.seed;
        seed[0] ^= purpose;
        StdRng::from_seed(seed).random()
    }
}

/// Connection IDs of 8 random bytes; the first one steers to a worker where there are several.
struct CidGenerator {
    rng: StdRng,
    worker: Option<(u8, u8)>,
}

impl quinn_proto::ConnectionIdGenerator for CidGenerator {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut cid: [u8; CID_LENGTH] = self.rng.random();
        if let Some((index, count)) = self.worker {
            let (index, count) = (u32::from(index), u32::from(count));
            let choices = (255 - index) / count + 1;
            cid[0] = (index + count * self.rng.random_range(0..choices)) as u8;
        }
        ConnectionId::new(&cid)
    }

    // A packet of another worker's connection gets no stateless reset from us: the workers share the key.
    fn validate(&self, cid: &ConnectionId) -> Result<(), quinn_proto::InvalidCid> {
        match self.worker {
            Some((index, count)) if cid[0] % count != index => Err(quinn_proto::InvalidCid),
            _ => Ok(()),
        }
    }

    fn cid_len(&self) -> usize {
        CID_LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// Where a datagram belongs.
pub enum Routed {
    /// Nowhere.
    Nothing,
    /// To the connection in this slot.
    Link(usize, LinkEvent),
    /// To nobody yet.
    Incoming(Incoming),
    /// It is answered at once.
    Reply(Reply),
}

/// Why `Hub::connect` failed.
#[derive(Debug, PartialEq, Eq)]
pub enum ConnectFailed {
    /// Not a name that a certificate can be for.
    Name(String),
    /// Not an address to send to.
    Address(SocketAddr),
    /// Anything else.
    Other(String),
}

/// One quinn endpoint.
pub struct Hub {
    endpoint: quinn_proto::Endpoint,
    transport: Arc<TransportConfig>,
    settings: Arc<Settings>,
    token_key: Arc<provider::hkdf::Prk>,
    tokens: Arc<quinn_proto::TokenMemoryCache>,
    dcid_rng: Arc<Mutex<StdRng>>,
}

impl Hub {
    /// `whole_packets`: the socket does not fragment, so the MTU can be probed.
    pub fn new(settings: Arc<Settings>, identity: &Identity, whole_packets: bool) -> Self {
        let reset_key = provider::hmac::Key::new(provider::hmac::HMAC_SHA256, &identity.reset_key);
        let mut config = EndpointConfig::new(Arc::new(reset_key));
        let (seed, worker) = (identity.seed_for(1), identity.worker);
        config.cid_generator(move || Box::new(CidGenerator { rng: StdRng::from_seed(seed), worker }));
        config.supported_versions(vec![QUIC_V1]);
        config.rng_seed(Some(identity.seed_for(2)));
        let token_key = provider::hkdf::Salt::new(provider::hkdf::HKDF_SHA256, &[]).extract(&identity.token_key);
        Self {
            endpoint: quinn_proto::Endpoint::new(Arc::new(config), None, whole_packets, None),
            transport: Arc::new(transport_config(&settings)),
            settings,
            token_key: Arc::new(token_key),
            tokens: Arc::default(),
            dcid_rng: Arc::new(Mutex::new(StdRng::from_seed(identity.seed_for(3)))),
        }
    }

    /// Serve with these TLS settings from now on, or not at all.
    pub fn set_server_tls(&mut self, server: Option<Arc<rustls::ServerConfig>>) {
        let config = server.map(|tls| {
            let crypto = Arc::new(ServerCrypto { suite: tls::initial_suite(tls.crypto_provider()), tls });
            let mut config = quinn_proto::ServerConfig::new(crypto, self.token_key.clone());
            config.transport_config(self.transport.clone());
            config.migration(self.settings.migration);
            config.max_incoming(MAX_INCOMING);
            config.incoming_buffer_size(INCOMING_BYTES);
            config.incoming_buffer_size_total(INCOMING_BYTES_TOTAL);
            Arc::new(config)
        });
        self.endpoint.set_server_config(config);
    }

    /// Find out where a datagram belongs.
    pub fn route(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        local_ip: Option<IpAddr>,
        ecn: Option<u8>,
        data: BytesMut,
    ) -> Routed {
        let mut answer = Vec::new();
        let ecn = ecn.and_then(EcnCodepoint::from_bits);
        match self.endpoint.handle(now, remote, local_ip, ecn, data, &mut answer) {
            None => Routed::Nothing,
            Some(DatagramEvent::ConnectionEvent(slot, event)) => Routed::Link(slot.0, event),
            Some(DatagramEvent::NewConnection(incoming)) => Routed::Incoming(incoming),
            Some(DatagramEvent::Response(transmit)) => Routed::Reply((transmit.into(), answer)),
        }
    }

    /// Begin a connection; the slot it lives in is unused.
    pub fn connect(
        &mut self,
        now: Instant,
        client: Arc<rustls::ClientConfig>,
        remote: SocketAddr,
        server_name: &str,
    ) -> Result<(usize, Link), ConnectFailed> {
        let suite = tls::initial_suite(client.crypto_provider());
        let mut config = quinn_proto::ClientConfig::new(Arc::new(ClientCrypto { tls: client, suite }));
        config.transport_config(self.transport.clone());
        config.token_store(self.tokens.clone());
        let rng = self.dcid_rng.clone();
        config.initial_dst_cid_provider(Arc::new(move || {
            let cid: [u8; CID_LENGTH] = rng.lock().unwrap_or_else(PoisonError::into_inner).random();
            ConnectionId::new(&cid)
        }));
        match self.endpoint.connect(now, config, remote, server_name) {
            Ok((slot, connection)) => Ok((slot.0, Link::new(connection, &self.settings))),
            Err(ConnectError::InvalidServerName(name)) => Err(ConnectFailed::Name(name)),
            Err(ConnectError::InvalidRemoteAddress(address)) => Err(ConnectFailed::Address(address)),
            Err(other) => Err(ConnectFailed::Other(other.to_string())),
        }
    }

    /// Begin the server's part of a handshake.
    pub fn accept(&mut self, now: Instant, incoming: Incoming) -> Result<(usize, Link), Option<Reply>> {
        let mut answer = Vec::new();
        match self.endpoint.accept(incoming, now, &mut answer, None) {
            Ok((slot, connection)) => Ok((slot.0, Link::new(connection, &self.settings))),
            Err(error) => Err(error.response.map(|transmit| (transmit.into(), answer))),
        }
    }

    /// Tell a client that it is not welcome.
    pub fn refuse(&mut self, incoming: Incoming) -> Reply {
        let mut answer = Vec::new();
        (self.endpoint.refuse(incoming, &mut answer).into(), answer)
    }

    /// Make a client prove its address; refused when it has done so already.
    pub fn retry(&mut self, incoming: Incoming) -> Reply {
        let mut answer = Vec::new();
        match self.endpoint.retry(incoming, &mut answer) {
            Ok(transmit) => (transmit.into(), answer),
            Err(error) => self.refuse(error.into_incoming()),
        }
    }

    /// Say nothing to a client.
    pub fn ignore(&mut self, incoming: Incoming) {
        self.endpoint.ignore(incoming);
    }

    /// Forget the connection of `slot`, which told nothing about its end.
    pub fn forget(&mut self, slot: usize) {
        self.endpoint.handle_event(ConnectionHandle(slot), EndpointEvent::drained());
    }
}

fn transport_config(settings: &Settings) -> TransportConfig {
    let varint = |value: u64| VarInt::from_u64(value).unwrap_or(VarInt::MAX);
    let mut config = TransportConfig::default();
    let idle = IdleTimeout::try_from(settings.idle_timeout).ok().filter(|_| !settings.idle_timeout.is_zero());
    config
        .max_idle_timeout(idle)
        .max_concurrent_bidi_streams(varint(settings.max_bidirectional_streams))
        .max_concurrent_uni_streams(varint(settings.max_unidirectional_streams))
        .stream_receive_window(varint(settings.stream_receive_window))
        .receive_window(varint(settings.connection_receive_window))
        .send_window(settings.send_window)
        .crypto_buffer_size(CRYPTO_BYTES)
        .initial_rtt(settings.initial_rtt)
        .initial_mtu(settings.initial_mtu)
        .keep_alive_interval(None);
    // quinn advertises its receive buffer as the largest frame; a buffer of one frame would hold one datagram per wake-up.
    config.datagram_receive_buffer_size((settings.max_datagram_frame > 0).then_some(65535));
    config.mtu_discovery_config(settings.mtu_discovery.then(|| {
        let mut discovery = MtuDiscoveryConfig::default();
        discovery.upper_bound(MTU_UPPER_BOUND.max(settings.initial_mtu));
        discovery
    }));
    config.congestion_controller_factory(Arc::new(LettingGo(settings.congestion)));
    config
}

/// Makes congestion controllers that let go at the end.
struct LettingGo(Congestion);

impl congestion::ControllerFactory for LettingGo {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn congestion::Controller> {
        let inner = match self.0 {
            Congestion::Cubic => Arc::new(congestion::CubicConfig::default()).build(now, current_mtu),
            Congestion::NewReno => Arc::new(congestion::NewRenoConfig::default()).build(now, current_mtu),
        };
        Box::new(Releasable { inner, closing: Arc::new(AtomicBool::new(false)) })
    }
}

/// A congestion controller whose window opens when the connection is closed.
///
/// quinn holds CONNECTION_CLOSE back like data when the window is full and stream data waits. A closed connection reads no
/// acknowledgments, so it would never go out, and the peer would hear of the end by its idle time-out only.
struct Releasable {
    inner: Box<dyn congestion::Controller>,
    closing: Arc<AtomicBool>,
}

impl congestion::Controller for Releasable {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.inner.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.inner.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest: Option<u64>) {
        self.inner.on_end_acks(now, in_flight, app_limited, largest);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, persistent: bool, lost_bytes: u64) {
        self.inner.on_congestion_event(now, sent, persistent, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.inner.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        if self.closing.load(Ordering::Relaxed) { u64::MAX } else { self.inner.window() }
    }

    fn metrics(&self) -> congestion::ControllerMetrics {
        self.inner.metrics()
    }

    fn clone_box(&self) -> Box<dyn congestion::Controller> {
        Box::new(Releasable { inner: self.inner.clone_box(), closing: self.closing.clone() })
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// What a connection has to say.
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

/// What is known of the TLS session.
#[derive(Clone, Debug, Default)]
pub struct TlsFacts {
    /// The protocol agreed upon.
    pub alpn: Option<Vec<u8>>,
    /// The server name the client sent (server side).
    pub server_name: Option<String>,
    /// The IANA number of the cipher suite.
    pub cipher_suite: Option<u16>,
    /// True when an earlier session was resumed.
    pub resumed: bool,
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
    connection: quinn_proto::Connection,
    /// How many streams of the peer (bidirectional, unidirectional) were accepted.
    accepted: [u64; 2],
    send_window: u64,
}

impl Link {
    fn new(connection: quinn_proto::Connection, settings: &Settings) -> Self {
        Self { connection, accepted: [0; 2], send_window: settings.send_window }
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

    /// Pass messages between connection and endpoint; true when the connection is drained: drop it.
    pub fn settle(&mut self, slot: usize, hub: &mut Hub) -> bool {
        let mut drained = false;
        while let Some(event) = self.connection.poll_endpoint_events() {
            drained |= event.is_drained();
            if let Some(event) = hub.endpoint.handle_event(ConnectionHandle(slot), event) {
                self.connection.handle_event(event);
            }
        }
        drained
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

    /// What is known of the TLS session.
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
            sent_packets: stats.path.sent_packets,
            lost_packets: stats.path.lost_packets,
            mtu: stats.path.current_mtu,
        }
    }

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

    /// Whether the peer has reset the stream, without reading anything.
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
            let _ = sender.reset(varint(code));
        }
    }

    /// Streams with a higher number go first.
    pub fn set_priority(&mut self, stream: u64, priority: i32) {
        if let Some(mut sender) = self.sender(stream) {
            let _ = sender.set_priority(priority);
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
        let window = self.window_for(priority);
        self.connection.set_send_window(window);
        self.sender(stream)
    }

    /// How much may wait in quinn, sent or not, for a stream of this priority to be given more.
    ///
    /// What quinn has been given counts against the peer's flow control too, and cannot be taken back when something urgent
    /// comes. So streams of negative priority, of which nobody is in need, get no further ahead than what keeps the congestion
    /// window full; and the most urgent streams always find room.
    fn window_for(&self, priority: i32) -> u64 {
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

/// What streams of the highest priority may write beyond the send window, in bytes: control streams say little.
const CRITICAL_ROOM: u64 = 64 << 10;
/// What streams of negative priority may have waiting, however small the congestion window is.
const LEAST_AHEAD: u64 = 32 << 10;

/// The largest buffer that quinn is given, in bytes: a dozen packets.
const SEND_CHUNK: usize = 16 << 10;

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

fn dir(unidirectional: bool) -> Dir {
    if unidirectional { Dir::Uni } else { Dir::Bi }
}

fn varint(value: u64) -> VarInt {
    VarInt::from_u64(value).unwrap_or(VarInt::MAX)
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

/// One rustls session, as quinn wants it.
struct Tls {
    session: QuicTls,
    suite: Suite,
    secrets: Option<Secrets>,
    told: bool,
}

impl Tls {
    fn new(session: QuicTls, suite: Suite) -> Box<Self> {
        Box::new(Self { session, suite, secrets: None, told: false })
    }
}

impl crypto::Session for Tls {
    fn initial_keys(&self, dst_cid: &ConnectionId, side: Side) -> crypto::Keys {
        initial_keys(self.suite, dst_cid, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        let server_name = match &self.session {
            QuicTls::Server(server) => server.server_name().map(str::to_owned),
            QuicTls::Client(_) => None,
        };
        self.told.then(|| {
            Box::new(TlsFacts {
                alpn: self.session.alpn_protocol().map(<[u8]>::to_vec),
                server_name,
                cipher_suite: self.session.negotiated_cipher_suite().map(|suite| u16::from(suite.suite())),
                resumed: self.session.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            }) as Box<dyn Any>
        })
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        let chain = self.session.peer_certificates()?;
        Some(Box::new(chain.iter().map(|certificate| certificate.to_vec()).collect::<Vec<_>>()))
    }

    fn early_crypto(&self) -> Option<(Box<dyn crypto::HeaderKey>, Box<dyn crypto::PacketKey>)> {
        let keys = self.session.zero_rtt_keys()?;
        Some((Box::new(keys.header), Box::new(keys.packet)))
    }

    fn early_data_accepted(&self) -> Option<bool> {
        match &self.session {
            QuicTls::Client(client) => Some(client.is_early_data_accepted()),
            QuicTls::Server(_) => None,
        }
    }

    fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    fn read_handshake(&mut self, data: &[u8]) -> Result<bool, TransportError> {
        self.session.read_hs(data).map_err(|error| TransportError {
            code: match self.session.alert() {
                Some(alert) => TransportErrorCode::crypto(alert.into()),
                None => TransportErrorCode::PROTOCOL_VIOLATION,
            },
            frame: None,
            reason: tls::explain(&error),
        })?;
        // ALPN is always offered here, so it is known as soon as anything is.
        let news = !self.told && (self.session.alpn_protocol().is_some() || !self.session.is_handshaking());
        self.told |= news;
        Ok(news)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        let side = match self.session {
            QuicTls::Client(_) => Side::Client,
            QuicTls::Server(_) => Side::Server,
        };
        match self.session.quic_transport_parameters() {
            None => Ok(None),
            Some(mut encoded) => Ok(Some(TransportParameters::read(side, &mut encoded)?)),
        }
    }

    fn write_handshake(&mut self, buffer: &mut Vec<u8>) -> Option<crypto::Keys> {
        Some(keys(match self.session.write_hs(buffer)? {
            KeyChange::Handshake { keys } => keys,
            KeyChange::OneRtt { keys, next } => {
                self.secrets = Some(next);
                keys
            }
        }))
    }

    fn next_1rtt_keys(&mut self) -> Option<crypto::KeyPair<Box<dyn crypto::PacketKey>>> {
        let next = self.secrets.as_mut()?.next_packet_keys();
        Some(crypto::KeyPair { local: Box::new(next.local), remote: Box::new(next.remote) })
    }

    fn is_valid_retry(&self, orig_dst_cid: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        let Some((token, tag)) = payload.split_last_chunk::<16>() else {
            return false;
        };
        // The tag is no secret: it guards against accidents, its key is in the RFC.
        retry_tag(orig_dst_cid, &[header, token].concat()) == *tag
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), crypto::ExportKeyingMaterialError> {
        let done = self.session.export_keying_material(output, label, Some(context));
        done.map(|_| ()).map_err(|_| crypto::ExportKeyingMaterialError)
    }
}

struct ClientCrypto {
    tls: Arc<rustls::ClientConfig>,
    suite: Suite,
}

impl crypto::ClientConfig for ClientCrypto {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        server_name: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn crypto::Session>, ConnectError> {
        let version = tls_version(version)?;
        let bad_name = |_| ConnectError::InvalidServerName(server_name.to_owned());
        let name = rustls::pki_types::ServerName::try_from(server_name).map_err(bad_name)?.to_owned();
        let client = rustls::quic::ClientConnection::new(self.tls.clone(), version, name, encoded(params));
        let client = client.map_err(|error| ConnectError::InvalidServerName(format!("{server_name}: {error}")))?;
        Ok(Tls::new(QuicTls::Client(client), self.suite))
    }
}

struct ServerCrypto {
    tls: Arc<rustls::ServerConfig>,
    suite: Suite,
}

impl crypto::ServerConfig for ServerCrypto {
    fn initial_keys(&self, version: u32, dst_cid: &ConnectionId) -> Result<crypto::Keys, crypto::UnsupportedVersion> {
        tls_version(version)?;
        Ok(initial_keys(self.suite, dst_cid, Side::Server))
    }

    fn retry_tag(&self, _version: u32, orig_dst_cid: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        retry_tag(orig_dst_cid, packet)
    }

    fn start_session(self: Arc<Self>, _version: u32, params: &TransportParameters) -> Box<dyn crypto::Session> {
        let server = rustls::quic::ServerConnection::new(self.tls.clone(), Version::V1, encoded(params));
        Tls::new(QuicTls::Server(server.expect("tls::server makes settings that QUIC can use")), self.suite)
    }
}

fn tls_version(version: u32) -> Result<Version, crypto::UnsupportedVersion> {
    if version == QUIC_V1 { Ok(Version::V1) } else { Err(crypto::UnsupportedVersion) }
}

fn encoded(params: &TransportParameters) -> Vec<u8> {
    let mut buffer = Vec::new();
    params.write(&mut buffer);
    buffer
}

fn initial_keys(suite: Suite, dst_cid: &ConnectionId, side: Side) -> crypto::Keys {
    let side = if side == Side::Client { rustls::Side::Client } else { rustls::Side::Server };
    keys(suite.keys(dst_cid, side, Version::V1))
}

fn keys(keys: rustls::quic::Keys) -> crypto::Keys {
    crypto::Keys {
        header: crypto::KeyPair { local: Box::new(keys.local.header), remote: Box::new(keys.remote.header) },
        packet: crypto::KeyPair { local: Box::new(keys.local.packet), remote: Box::new(keys.remote.packet) },
    }
}

/// RFC 9001 section 5.8.
fn retry_tag(orig_dst_cid: &ConnectionId, packet: &[u8]) -> [u8; 16] {
    use provider::aead;
    const KEY: u128 = 0xbe0c690b9f66575a1d766b54e368c84e;
    const NONCE: [u8; 12] = [0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb];
    let key = aead::UnboundKey::new(&aead::AES_128_GCM, &KEY.to_be_bytes()).expect("the key is 16 bytes");
    let pseudo = [&[orig_dst_cid.len() as u8][..], orig_dst_cid, packet].concat();
    let nonce = aead::Nonce::assume_unique_for_key(NONCE);
    let tag = aead::LessSafeKey::new(key).seal_in_place_separate_tag(nonce, aead::Aad::from(pseudo), &mut []);
    tag.expect("nothing to seal").as_ref().try_into().expect("the tag is 16 bytes")
}

#[cfg(test)]
pub mod tests {
    use quinn_proto::ConnectionIdGenerator;

    use super::*;

    /// So many connection IDs of a worker.
    pub fn cids(worker: Option<(u8, u8)>, count: usize) -> Vec<Vec<u8>> {
        let mut generator = CidGenerator { rng: StdRng::from_seed([9; 32]), worker };
        let mut draw = || {
            let cid = generator.generate_cid();
            assert!(generator.validate(&cid).is_ok());
            cid.to_vec()
        };
        (0..count).map(|_| draw()).collect()
    }

    #[test]
    fn the_retry_tag_is_that_of_rfc_9001_appendix_a_4() {
        let orig = ConnectionId::new(&[0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08]);
        let packet = b"\xff\0\0\0\x01\0\x08\xf0\x67\xa5\x50\x2a\x42\x62\xb5token";
        let tag = retry_tag(&orig, packet);
        assert_eq!(tag, 0x04a265ba2eff4d829058fb3f0f2496bau128.to_be_bytes());
    }
}
