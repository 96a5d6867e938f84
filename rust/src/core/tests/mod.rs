//! Two cores joined in memory, in virtual time.

mod bounds;
mod connections;
mod streams;

use std::{
    collections::VecDeque,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};

use super::{Core, Flushed, INTERNAL_ERROR, Sent, places::Neighbour, quinn::Identity};
use crate::{
    events::{End, EndKind, Event, Handle},
    settings::{FIRST_RECEIVE_WINDOW, FIRST_SEND_WINDOW, Settings},
    tls,
};

const CLIENT: usize = 0;
const SERVER: usize = 1;
const RTT: Duration = Duration::from_millis(20);

struct Certificate {
    chain: String,
    key: String,
}

/// One for all tests, for `localhost`.
fn certificate() -> &'static Certificate {
    static MADE: OnceLock<Certificate> = OnceLock::new();
    MADE.get_or_init(|| named(&["localhost"]))
}

fn named(names: &[&str]) -> Certificate {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    Certificate { chain: made.cert.pem(), key: made.signing_key.serialize_pem() }
}

fn server_tls(early_data: bool) -> Arc<rustls::ServerConfig> {
    let ours = certificate();
    let identity = (ours.chain.as_bytes(), ours.key.as_bytes());
    tls::steady(&tls::server(&[identity], vec![b"h3".to_vec()], None, early_data, None, None).expect("settings"))
}

fn client_tls(early_data: bool) -> Arc<rustls::ClientConfig> {
    let trust = Some(certificate().chain.as_bytes());
    tls::client(trust, true, vec![b"h3".to_vec()], early_data, None, None).expect("settings")
}

fn address(side: usize) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1 + side as u8)), 443)
}

fn seeded(side: usize) -> Identity {
    Identity::from_seed([side as u8 + 1; 32])
}

/// Client, server, and the datagrams between them.
struct Pair {
    cores: [Core; 2],
    events: [Vec<Event>; 2],
    base: Instant,
    now: Instant,
    flying: VecDeque<(Instant, usize, SocketAddr, Vec<u8>)>,
    /// (time, sender, length) of everything sent.
    log: Vec<(Duration, usize, usize)>,
    client_address: SocketAddr,
    blocked: bool,
}

impl Pair {
    fn new(client: Settings, server: Settings) -> Self {
        Self::with_tls(client, server, client_tls(false), server_tls(false))
    }

    fn with_tls(
        client: Settings,
        server: Settings,
        client_tls: Arc<rustls::ClientConfig>,
        server_tls: Arc<rustls::ServerConfig>,
    ) -> Self {
        let base = Instant::now();
        let mut cores = [
            Core::new(client, &seeded(CLIENT), None, Some(client_tls), true),
            Core::new(server, &seeded(SERVER), Some(server_tls), None, true),
        ];
        cores.iter_mut().for_each(|core| core.set_clock(base));
        Self {
            cores,
            events: Default::default(),
            base,
            now: base,
            flying: VecDeque::new(),
            log: Vec::new(),
            client_address: address(CLIENT),
            blocked: false,
        }
    }

    fn connect(&mut self) -> Handle {
        self.cores[CLIENT].connect(address(SERVER), "localhost", None).expect("client settings").expect("a handle")
    }

    /// Handles of both ends after the handshake.
    fn connected(&mut self) -> (Handle, Handle) {
        let ours = self.connect();
        self.run(Duration::from_millis(200));
        let theirs = self.handle_of(SERVER).expect("accepted");
        for side in [CLIENT, SERVER] {
            assert!(self.events[side].iter().any(|event| matches!(event, Event::Connected { .. })));
            self.events[side].clear();
        }
        (ours, theirs)
    }

    fn handle_of(&self, side: usize) -> Option<Handle> {
        self.events[side].iter().rev().find_map(|event| match event {
            Event::Accepted { conn, .. } => Some(*conn),
            _ => None,
        })
    }

    /// Send what there is to send, fetch what there is to fetch.
    fn exchange(&mut self) {
        for side in [CLIENT, SERVER] {
            let (flying, log) = (&mut self.flying, &mut self.log);
            let from = if side == CLIENT { self.client_address } else { address(SERVER) };
            let (now, since, blocked) = (self.now, self.now - self.base, self.blocked);
            self.cores[side].transmit(now, 1, usize::MAX, |packet, bytes| {
                log.push((since, side, bytes.len()));
                if !blocked && (side == CLIENT || packet.destination.ip() == address(CLIENT).ip()) {
                    flying.push_back((now + RTT / 2, 1 - side, from, bytes.to_vec()));
                }
                Sent::Done
            });
            self.events[side].extend(self.cores[side].take_events());
        }
    }

    fn next_time(&mut self) -> Option<Instant> {
        let deadlines = [self.cores[CLIENT].deadline(), self.cores[SERVER].deadline()];
        deadlines.into_iter().flatten().chain(self.flying.front().map(|flight| flight.0)).min()
    }

    /// Let time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.exchange();
            match self.next_time() {
                Some(next) if next <= end => self.set_time(next.max(self.now)),
                _ => break,
            }
        }
        self.set_time(end);
        self.exchange();
    }

    fn set_time(&mut self, now: Instant) {
        self.now = now;
        self.cores.iter_mut().for_each(|core| core.set_clock(now));
        while self.flying.front().is_some_and(|flight| flight.0 <= now) {
            let (_, to, from, bytes) = self.flying.pop_front().expect("one is there");
            self.cores[to].datagram(now, from, None, None, BytesMut::from(&bytes[..]));
        }
        self.cores.iter_mut().for_each(|core| core.tick(now));
    }

    fn data(&self, side: usize, wanted: u64) -> (Vec<u8>, bool) {
        let (mut all, mut end) = (Vec::new(), false);
        for event in &self.events[side] {
            if let Event::Data { stream, data, fin, .. } = event
                && *stream == wanted
            {
                all.extend(data.to_vec());
                end |= *fin;
            }
        }
        (all, end)
    }

    fn has(&self, side: usize, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events[side].iter().any(wanted)
    }

    fn end_of(&self, side: usize) -> Option<End> {
        self.events[side].iter().find_map(|event| match event {
            Event::Closed { end, .. } => Some((**end).clone()),
            _ => None,
        })
    }
}

fn settled() -> Pair {
    Pair::new(Settings::default(), Settings::default())
}
