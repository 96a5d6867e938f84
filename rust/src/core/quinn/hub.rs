//! One quinn endpoint: it routes datagrams, answers what belongs to no connection, and makes connections.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use quinn_proto::{
    ConnectError, ConnectionHandle, ConnectionId, DatagramEvent, EcnCodepoint, EndpointConfig, EndpointEvent,
    IdleTimeout, MtuDiscoveryConfig, TransportConfig,
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use super::{
    CID_LENGTH, Incoming, LinkEvent, Packet, QUIC_V1, Reply,
    congestion::LettingGo,
    identity::{CidGenerator, Identity},
    link::Link,
    provider,
    session::{ClientCrypto, ServerCrypto},
    varint,
};
use crate::{
    core::roster::Orphan,
    settings::{FIRST_RECEIVE_WINDOW, Settings},
    tls,
};

/// Undecided clients at a time, and bytes of their further Initials (per client, in all).
pub const MAX_INCOMING: usize = 1024;
const INCOMING_BYTES: u64 = 16 << 10;
const INCOMING_BYTES_TOTAL: u64 = 4 << 20;
const CRYPTO_BYTES: usize = 16 << 10;

/// The largest UDP payload looked for (Ethernet with IPv4; IPv6 fits too).
const MTU_UPPER_BOUND: u16 = 1452;

/// Random bytes before a stateless reset's token, and the token.
const RESET_PADDING: usize = 27;
const RESET_TOKEN: usize = 16;

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
    server_transport: Arc<TransportConfig>,
    settings: Arc<Settings>,
    token_key: Arc<provider::hkdf::Prk>,
    tokens: Arc<quinn_proto::TokenMemoryCache>,
    dcid_rng: Arc<Mutex<StdRng>>,
    reset_key: provider::hmac::Key,
    reset_rng: StdRng,
}

impl Hub {
    /// `whole_packets`: the socket does not fragment, so the MTU can be probed.
    pub fn new(settings: Arc<Settings>, identity: &Identity, whole_packets: bool) -> Self {
        let reset_key = provider::hmac::Key::new(provider::hmac::HMAC_SHA256, &identity.reset_key);
        let mut config = EndpointConfig::new(Arc::new(reset_key.clone()));
        let (seed, worker) = (identity.seed_for(1), identity.worker);
        config.cid_generator(move || Box::new(CidGenerator { rng: StdRng::from_seed(seed), worker }));
        // After a restart everybody who was connected knocks with a packet of a lost connection: an answer is shorter than it.
        config.min_reset_interval(Duration::from_millis(1));
        config.supported_versions(vec![QUIC_V1]);
        config.rng_seed(Some(identity.seed_for(2)));
        let token_key = provider::hkdf::Salt::new(provider::hkdf::HKDF_SHA256, &[]).extract(&identity.token_key);
        Self {
            endpoint: quinn_proto::Endpoint::new(Arc::new(config), None, whole_packets, None),
            transport: Arc::new(transport_config(&settings, u64::MAX)),
            server_transport: Arc::new(transport_config(&settings, FIRST_RECEIVE_WINDOW)),
            settings,
            token_key: Arc::new(token_key),
            tokens: Arc::default(),
            dcid_rng: Arc::new(Mutex::new(StdRng::from_seed(identity.seed_for(3)))),
            reset_key,
            reset_rng: StdRng::from_seed(identity.seed_for(4)),
        }
    }

    /// Serve with these TLS settings from now on, or not at all.
    pub fn set_server_tls(&mut self, server: Option<Arc<rustls::ServerConfig>>) {
        let config = server.map(|tls| {
            let crypto = Arc::new(ServerCrypto { suite: tls::initial_suite(tls.crypto_provider()), tls });
            let mut config = quinn_proto::ServerConfig::new(crypto, self.token_key.clone());
            config.transport_config(self.server_transport.clone());
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

    /// A stateless reset (RFC 9000 section 10.3) for a connection that we do not have; it looks like any packet.
    pub fn reset(&mut self, orphan: &Orphan) -> Reply {
        let mut packet = vec![0; RESET_PADDING];
        self.reset_rng.fill_bytes(&mut packet);
        packet[0] = packet[0] & 0x3f | 0x40;
        let signature = provider::hmac::sign(&self.reset_key, &orphan.cid);
        packet.extend_from_slice(&signature.as_ref()[..RESET_TOKEN]);
        let (size, destination) = (packet.len(), orphan.remote);
        (Packet { destination, ecn: None, size, segment_size: None, src_ip: None }, packet)
    }

    /// Pass messages between this endpoint and the connection of `slot`; true when that is drained: drop it.
    pub fn settle(&mut self, slot: usize, link: &mut Link) -> bool {
        let mut drained = false;
        while let Some(event) = link.connection.poll_endpoint_events() {
            drained |= event.is_drained();
            if let Some(event) = self.endpoint.handle_event(ConnectionHandle(slot), event) {
                link.connection.handle_event(event);
            }
        }
        drained
    }

    /// Forget the connection of `slot`, which told nothing about its end.
    pub fn forget(&mut self, slot: usize) {
        self.endpoint.handle_event(ConnectionHandle(slot), EndpointEvent::drained());
    }
}

fn transport_config(settings: &Settings, first_window: u64) -> TransportConfig {
    let mut config = TransportConfig::default();
    let idle = IdleTimeout::try_from(settings.idle_timeout).ok().filter(|_| !settings.idle_timeout.is_zero());
    config
        .max_idle_timeout(idle)
        .max_concurrent_bidi_streams(varint(settings.max_bidirectional_streams))
        .max_concurrent_uni_streams(varint(settings.max_unidirectional_streams))
        .stream_receive_window(varint(settings.stream_receive_window))
        .receive_window(varint(settings.connection_receive_window.min(first_window)))
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
    config.congestion_controller_factory(Arc::new(LettingGo {
        kind: settings.congestion,
        packets: settings.initial_window,
    }));
    config
}
