//! Two cores joined in memory, in virtual time.

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
    tls::steady(&tls::server(&[identity], vec![b"h3".to_vec()], early_data, None).expect("settings"))
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

#[test]
fn a_handshake_tells_its_parameters_in_order() {
    let mut pair = settled();
    let ours = pair.connect();
    pair.run(Duration::from_millis(200));
    let told: Vec<_> = pair.events[SERVER].iter().map(std::mem::discriminant).collect();
    let theirs = pair.handle_of(SERVER).expect("accepted");
    let expected = [
        Event::Accepted { conn: theirs, remote: address(CLIENT) },
        Event::Handshake { conn: theirs, alpn: None, server_name: None },
        Event::Connected { conn: theirs, early_data: false },
    ];
    assert_eq!(told, expected.iter().map(std::mem::discriminant).collect::<Vec<_>>());
    assert!(pair.has(SERVER, |event| matches!(event,
        Event::Handshake { alpn: Some(alpn), server_name: Some(name), .. } if alpn == b"h3" && name == "localhost")));
    let info = pair.cores[CLIENT].info(ours).expect("known");
    assert_eq!((info.tls.resumed, info.peer_certificates.len(), info.remote), (false, 1, address(SERVER)));
    assert!(info.tls.cipher_suite.is_some_and(|suite| (0x1301..=0x1303).contains(&suite)));
}

#[test]
fn streams_carry_bytes_both_ways_and_say_when_all_is_acknowledged() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
    let long: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
    assert!(pair.cores[CLIENT].write(ours, stream, &long, true) > 0);
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.data(SERVER, stream), (long, true));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Acked { stream: acked, .. } if *acked == stream)));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Drained { .. })));
    let buffers: [&[u8]; 3] = [b"one ", b"", b"two"];
    assert_eq!(pair.cores[SERVER].write_all(theirs, stream, &buffers, true), 0);
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.data(CLIENT, stream), (b"one two".to_vec(), true));
}

#[test]
fn one_piece_of_data_per_wake_up() {
    let mut pair = settled();
    let (ours, _) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, true).expect("credit");
    pair.cores[CLIENT].write(ours, stream, &[7; 9000], true);
    pair.run(Duration::from_millis(100));
    let pieces = pair.events[SERVER].iter().filter(|event| matches!(event, Event::Data { .. })).count();
    assert_eq!(pieces, 1);
}

#[test]
fn stop_sending_is_answered_by_reset_stream_with_its_code() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
    pair.cores[CLIENT].write(ours, stream, &vec![1; 2_000_000], false);
    pair.run(Duration::from_millis(50));
    pair.cores[SERVER].stop(theirs, stream, 0x10c);
    pair.run(Duration::from_millis(100));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Stop { code: 0x10c, .. })));
    assert_eq!(pair.cores[CLIENT].write(ours, stream, b"more", false), 0);
    let before = pair.events[SERVER].len();
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.events[SERVER].len(), before, "a stopped stream tells nothing more");

    // The other direction of the duty, seen by somebody who did not stop: a plain reset.
    let stream = pair.cores[CLIENT].open(ours, true).expect("credit");
    pair.cores[CLIENT].write(ours, stream, b"begun", false);
    pair.run(Duration::from_millis(50));
    pair.cores[CLIENT].reset(ours, stream, 0x107);
    pair.run(Duration::from_millis(50));
    assert!(pair.has(SERVER, |event| matches!(event, Event::Reset { code: 0x107, .. })));
}

#[test]
fn stream_credit_is_exact_runs_out_and_comes_back() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    assert_eq!(pair.cores[CLIENT].stream_credit(ours, true, 5), 5);
    assert_eq!(pair.cores[CLIENT].stream_credit(ours, true, 100), 16);
    let opened: Vec<_> = std::iter::from_fn(|| pair.cores[CLIENT].open(ours, true)).collect();
    assert_eq!(opened, (0..16).map(|n| 4 * n + 2).collect::<Vec<u64>>());
    assert_eq!(pair.cores[CLIENT].stream_credit(ours, true, 1), 0);
    let before = pair.log.len();
    pair.run(Duration::from_millis(50));
    assert_eq!(pair.log.len(), before, "asking sends nothing");
    for stream in opened {
        pair.cores[CLIENT].write(ours, stream, b"x", true);
    }
    pair.run(Duration::from_millis(100));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::StreamsAvailable { unidirectional: true, .. })));
    assert_eq!(pair.cores[CLIENT].open(ours, true), Some(4 * 16 + 2));
    pair.cores[SERVER].set_max_streams(theirs, true, 40);
    pair.run(Duration::from_millis(100));
    assert!(pair.cores[CLIENT].stream_credit(ours, true, 100) > 30);
}

#[test]
fn a_paused_stream_is_held_by_its_window_and_goes_on_after_resume() {
    let settings = Settings { stream_receive_window: 20_000, ..Settings::default() };
    let mut pair = Pair::new(Settings::default(), settings);
    let (ours, theirs) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
    pair.cores[SERVER].pause(theirs, stream);
    pair.cores[CLIENT].write(ours, stream, &vec![3; 100_000], true);
    pair.run(Duration::from_secs(2));
    assert!(!pair.has(SERVER, |event| matches!(event, Event::Data { .. })));
    pair.cores[SERVER].resume(theirs, stream);
    assert!(pair.cores[SERVER].pending(), "what is there is told without a datagram");
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.data(SERVER, stream), (vec![3; 100_000], true));
}

#[test]
fn a_reset_of_a_paused_stream_is_told() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
    pair.cores[SERVER].pause(theirs, stream);
    pair.cores[CLIENT].write(ours, stream, b"begun", false);
    pair.run(Duration::from_millis(50));
    pair.cores[CLIENT].reset(ours, stream, 5);
    pair.run(Duration::from_millis(50));
    assert!(pair.has(SERVER, |event| matches!(event, Event::Reset { code: 5, .. })));
}

#[test]
fn the_first_read_of_a_unidirectional_stream_is_cut_and_paused() {
    let settings = Settings { first_read_unidirectional: 16, stream_receive_window: 8000, ..Settings::default() };
    let mut pair = Pair::new(settings, Settings::default());
    let (ours, theirs) = pair.connected();
    pair.run(Duration::from_secs(1));
    let before = pair.cores[CLIENT].stats(ours).expect("known").0.received_bytes;
    let push = pair.cores[SERVER].open(theirs, true).expect("credit");
    pair.cores[SERVER].write(theirs, push, &[9; 50_000], true);
    let short = pair.cores[SERVER].open(theirs, true).expect("credit");
    pair.cores[SERVER].write(theirs, short, b"tiny", true);
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.data(CLIENT, push), (vec![9; 16], false));
    assert_eq!(pair.data(CLIENT, short), (b"tiny".to_vec(), true));
    let received = pair.cores[CLIENT].stats(ours).expect("known").0.received_bytes - before;
    assert!(received < 8000 + 2000, "no credit beyond the first window: {received}");
    pair.cores[CLIENT].resume(ours, push);
    assert!(pair.cores[CLIENT].pending());
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.data(CLIENT, push), (vec![9; 50_000], true));
}

#[test]
fn a_full_stream_is_told_drained_once_per_filling() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
    let waiting = pair.cores[CLIENT].write(ours, stream, &vec![0; 1_000_000], false);
    assert!(waiting > 65536);
    assert_eq!(pair.cores[CLIENT].stats(ours).expect("known").1, waiting);
    pair.run(Duration::from_secs(3));
    let drained = pair.events[CLIENT].iter().filter(|event| matches!(event, Event::Drained { .. })).count();
    assert_eq!(drained, 1);
    assert_eq!(pair.cores[CLIENT].write(ours, stream, b"", true), 0);
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.data(SERVER, stream).0.len(), 1_000_000);
    pair.cores[SERVER].close(theirs, 0, b"");
}

#[test]
fn closing_tells_both_ends_and_kills_the_handle() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    assert_eq!(pair.cores[CLIENT].connection_count(), 1);
    pair.cores[CLIENT].close(ours, 0x10c, b"enough");
    assert!(pair.cores[CLIENT].pending());
    pair.run(Duration::from_millis(50));
    let end = |kind| End { kind, code: Some(0x10c), reason: "enough".to_owned() };
    assert_eq!(pair.end_of(CLIENT), Some(end(EndKind::Locally)));
    assert_eq!(pair.end_of(SERVER), Some(end(EndKind::ByApplication)));
    for (side, handle) in [(CLIENT, ours), (SERVER, theirs)] {
        assert_eq!(pair.cores[side].connection_count(), 0);
        assert_eq!(pair.cores[side].open(handle, false), None);
        assert!(pair.cores[side].info(handle).is_none());
    }
    pair.run(Duration::from_secs(10));
    assert!(pair.cores.iter().all(|core| core.occupied == 0 && core.timers.next().is_none()));
}

#[test]
fn data_that_arrived_before_the_end_is_told_before_it() {
    let mut pair = settled();
    let (ours, _) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, true).expect("credit");
    pair.cores[CLIENT].write(ours, stream, b"last words", true);
    pair.exchange();
    pair.cores[CLIENT].close(ours, 0, b"");
    pair.run(Duration::from_millis(50));
    assert!(matches!(&pair.events[SERVER][..], [Event::Data { fin: true, .. }, Event::Closed { .. }]));
}

#[test]
fn handles_are_never_used_again() {
    let mut pair = settled();
    let (ours, _) = pair.connected();
    pair.cores[CLIENT].close(ours, 0, b"");
    pair.run(Duration::from_secs(10));
    let (next, _) = pair.connected();
    assert_ne!(ours, next);
    assert_eq!(ours & super::SLOT_MASK, next & super::SLOT_MASK, "the slot is the same, the handle is not");
    assert_eq!(pair.cores[CLIENT].open(ours, false), None);
    pair.cores[CLIENT].close(ours, 1, b"wrong");
    assert_eq!(pair.cores[CLIENT].connection_count(), 1);
    assert!(pair.cores[CLIENT].open(next, false).is_some());
}

#[test]
fn a_handshake_that_takes_too_long_is_ended() {
    let settings = Settings { handshake_timeout: Duration::from_secs(2), ..Settings::default() };
    let mut pair = Pair::new(settings, Settings::default());
    pair.blocked = true;
    pair.connect();
    pair.run(Duration::from_millis(1900));
    assert_eq!(pair.end_of(CLIENT), None);
    pair.run(Duration::from_millis(200));
    let end = pair.end_of(CLIENT).expect("an end");
    assert_eq!((end.kind, end.code), (EndKind::TimedOut, None));
    assert!(end.reason.contains("2s"), "{}", end.reason);
}

#[test]
fn silence_ends_a_connection_unless_it_is_kept_alive() {
    let settings = Settings { idle_timeout: Duration::from_secs(3), ..Settings::default() };
    let mut pair = Pair::new(settings.clone(), settings.clone());
    pair.connected();
    pair.run(Duration::from_secs(4));
    assert_eq!(pair.end_of(CLIENT).expect("an end").kind, EndKind::TimedOut);
    assert_eq!(pair.end_of(SERVER).expect("an end").kind, EndKind::TimedOut);

    let alive = Settings { keep_alive: Some(Duration::from_secs(1)), ..settings };
    let mut pair = Pair::new(alive.clone(), Settings { keep_alive: None, ..alive });
    let (ours, _) = pair.connected();
    pair.run(Duration::from_secs(20));
    assert_eq!(pair.end_of(CLIENT), None);
    pair.cores[CLIENT].set_keep_alive(ours, None);
    pair.run(Duration::from_secs(6));
    assert!(pair.end_of(CLIENT).is_some());
}

#[test]
fn a_panic_ends_one_connection_and_nothing_else() {
    let mut pair = settled();
    let (first, _) = pair.connected();
    let (second, theirs) = pair.connected();
    let slot = pair.cores[SERVER].slot_of(theirs).expect("known");
    pair.cores[SERVER].conns[slot].as_mut().expect("there").sabotaged = true;
    pair.cores[CLIENT].ping(second);
    pair.run(Duration::from_millis(100));
    let end = pair.end_of(SERVER).expect("an end");
    assert_eq!((end.kind, end.code), (EndKind::Internal, Some(INTERNAL_ERROR)));
    let end = pair.end_of(CLIENT).expect("an end");
    assert_eq!((end.kind, end.code), (EndKind::ByApplication, Some(INTERNAL_ERROR)));
    assert_eq!(pair.cores[SERVER].connection_count(), 1);
    let stream = pair.cores[CLIENT].open(first, false).expect("credit");
    pair.cores[CLIENT].write(first, stream, b"still here", true);
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.data(SERVER, stream), (b"still here".to_vec(), true));
    pair.run(Duration::from_secs(20));
    assert_eq!(pair.cores[SERVER].occupied, 1);
}

#[test]
fn a_connection_that_panics_again_is_dropped() {
    let mut pair = settled();
    let (_, theirs) = pair.connected();
    let core = &mut pair.cores[SERVER];
    let slot = core.slot_of(theirs).expect("known");
    for _ in 0..2 {
        core.guard(slot, |_| panic!("on purpose"));
    }
    assert_eq!((core.occupied, core.open, core.handshakes), (0, 0, 0));
    pair.run(Duration::from_secs(40));
    pair.connected();
}

#[test]
fn clients_are_refused_when_there_are_too_many_or_the_door_is_closed() {
    let settings = Settings { max_connections: 1, ..Settings::default() };
    let mut pair = Pair::new(Settings::default(), settings);
    let (ours, _) = pair.connected();
    pair.connect();
    pair.run(Duration::from_millis(100));
    let end = pair.end_of(CLIENT).expect("an end");
    assert_eq!((end.kind, end.code), (EndKind::ByTransport, Some(2)));
    assert_eq!(end.reason, "the server refuses new connections");
    pair.cores[CLIENT].close(ours, 0, b"");
    pair.run(Duration::from_secs(5));
    pair.cores[SERVER].set_accepting(false);
    pair.events[CLIENT].clear();
    pair.connect();
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.end_of(CLIENT).expect("an end").code, Some(2));
}

#[test]
fn many_handshakes_make_newcomers_prove_their_address() {
    let settings = Settings { retry_above: 0, ..Settings::default() };
    let mut pair = Pair::new(Settings::default(), settings);
    let ours = pair.connect();
    pair.exchange();
    pair.run(RTT / 2 + Duration::from_millis(1));
    assert_eq!(pair.handle_of(SERVER), None, "no connection before the address is proved");
    pair.run(Duration::from_millis(200));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Connected { .. })));
    assert_eq!(pair.cores[SERVER].handshakes, 0);
    pair.cores[CLIENT].close(ours, 0, b"");
}

#[test]
fn the_owner_is_asked_when_it_wants_to_be() {
    let settings = Settings { ask_incoming: true, ..Settings::default() };
    let mut pair = Pair::new(Settings::default(), settings);
    let ask = |pair: &mut Pair| {
        pair.events[SERVER].clear();
        pair.run(Duration::from_millis(30));
        pair.events[SERVER].iter().rev().find_map(|event| match event {
            Event::Incoming { incoming, validated, .. } => Some((*incoming, *validated)),
            _ => None,
        })
    };
    pair.connect();
    let (incoming, validated) = ask(&mut pair).expect("asked");
    assert!(!validated);
    pair.cores[SERVER].retry(incoming);
    let (incoming, validated) = ask(&mut pair).expect("asked again");
    assert!(validated);
    assert!(pair.cores[SERVER].accept(incoming).is_some());
    assert_eq!(pair.cores[SERVER].accept(incoming), None);
    pair.run(Duration::from_millis(100));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Connected { .. })));

    pair.connect();
    let (incoming, _) = ask(&mut pair).expect("asked");
    pair.cores[SERVER].refuse(incoming);
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.end_of(CLIENT).expect("an end").code, Some(2));

    pair.connect();
    ask(&mut pair).expect("asked");
    pair.run(Duration::from_secs(30));
    assert!(pair.cores[SERVER].incomings.is_empty(), "who is not answered is forgotten");
}

#[test]
fn the_same_seed_and_calls_give_the_same_packets() {
    let run = || {
        let mut pair = settled();
        let (ours, theirs) = pair.connected();
        let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
        pair.cores[CLIENT].write(ours, stream, &[1; 200_000], true);
        pair.run(Duration::from_millis(15));
        pair.cores[SERVER].write(theirs, stream, &[2; 300_000], true);
        pair.run(Duration::from_secs(3));
        pair.cores[CLIENT].close(ours, 0, b"");
        pair.run(Duration::from_secs(3));
        pair.log
    };
    let first = run();
    assert!(first.len() > 300);
    for _ in 0..3 {
        assert_eq!(first, run());
    }
}

#[test]
fn sessions_are_resumed_and_early_data_is_taken() {
    let (client, server) = (client_tls(true), server_tls(true));
    let early = Settings::default();
    let mut pair = Pair::with_tls(early.clone(), early, client, server);
    let (ours, _) = pair.connected();
    pair.cores[CLIENT].close(ours, 0, b"");
    pair.run(Duration::from_secs(5));
    pair.events.iter_mut().for_each(Vec::clear);

    let ours = pair.connect();
    let stream = pair.cores[CLIENT].open(ours, false).expect("remembered credit");
    pair.cores[CLIENT].write(ours, stream, b"early", true);
    pair.run(RTT / 2 + Duration::from_millis(1));
    assert_eq!(pair.data(SERVER, stream), (b"early".to_vec(), true), "half a round trip after connect");
    pair.run(Duration::from_millis(100));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Connected { early_data: true, .. })));
    assert!(pair.has(SERVER, |event| matches!(event, Event::Connected { early_data: true, .. })));
    let theirs = pair.handle_of(SERVER).expect("accepted");
    assert!(pair.cores[CLIENT].info(ours).expect("known").tls.resumed);
    assert!(pair.cores[SERVER].info(theirs).expect("known").tls.resumed);
}

#[test]
fn early_data_that_is_refused_leaves_no_trace() {
    let client = client_tls(true);
    let mut pair = Pair::with_tls(Settings::default(), Settings::default(), client.clone(), server_tls(true));
    let (ours, _) = pair.connected();
    pair.cores[CLIENT].close(ours, 0, b"");
    pair.run(Duration::from_secs(5));
    pair.events.iter_mut().for_each(Vec::clear);
    // Another server, which does not know the session.
    pair.cores[SERVER].set_server_tls(server_tls(true));
    let ours = pair.connect();
    let stream = pair.cores[CLIENT].open(ours, false).expect("remembered credit");
    assert_eq!(pair.cores[CLIENT].stream_credit(ours, false, 3), 3);
    pair.cores[CLIENT].write(ours, stream, &vec![0; 2_000_000], true);
    pair.run(Duration::from_millis(100));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Connected { early_data: false, .. })));
    assert!(!pair.has(SERVER, |event| matches!(event, Event::Data { .. })));
    assert_eq!(pair.cores[CLIENT].stats(ours).expect("known").1, 0);
    assert_eq!(pair.cores[CLIENT].open(ours, false), Some(0), "numbering begins again");
    pair.cores[CLIENT].write(ours, 0, b"again", true);
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.data(SERVER, 0), (b"again".to_vec(), true));
}

fn temporary_file(content: &[u8]) -> std::path::PathBuf {
    static SERIAL: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = SERIAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("h3push-{}-{number}", std::process::id()));
    std::fs::File::create(&path).expect("a file").write_all(content).expect("room");
    path
}

#[test]
fn a_file_is_sent_between_other_writes_with_little_in_memory() {
    let content: Vec<u8> = (0..5_000_000u32).map(|n| (n / 7) as u8).collect();
    let path = temporary_file(&content);
    let mut pair = settled();
    let (ours, _) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
    pair.cores[CLIENT].write(ours, stream, b"head", false);
    let file = pair.cores[CLIENT].files().open(&path).expect("the file");
    pair.cores[CLIENT].write_file(ours, stream, (file, 1_000_000, 3_000_000), false);
    let waiting = pair.cores[CLIENT].write(ours, stream, b"tail", true);
    assert!(waiting > 2_000_000);
    let mut most = 0;
    for _ in 0..100 {
        most = most.max(pair.cores[CLIENT].stats(ours).expect("known").1);
        pair.run(Duration::from_millis(40));
    }
    assert!(most <= 64 * 1024 + 4, "{most} bytes in memory");
    let expected = [b"head", &content[1_000_000..4_000_000], b"tail"].concat();
    assert_eq!(pair.data(SERVER, stream), (expected, true));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Drained { .. })));
    std::fs::remove_file(path).expect("still there");
}

#[test]
fn bytes_that_somebody_else_keeps_are_sent_in_their_place() {
    let content: Bytes = (0..3_000_000u32).map(|n| (n / 7) as u8).collect::<Vec<_>>().into();
    let mut pair = settled();
    let (ours, _) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
    assert_eq!(pair.cores[CLIENT].write_shared(ours, stream, content.slice(..1_000), false), 0);
    assert!(pair.cores[CLIENT].write_shared(ours, stream, content.slice(1_000..), false) > 0);
    pair.cores[CLIENT].write(ours, stream, b"between", false);
    assert!(pair.cores[CLIENT].write_shared(ours, stream, content.clone(), true) > 3_000_000);
    pair.run(Duration::from_secs(4));
    let expected = [&content[..], b"between", &content[..]].concat();
    assert_eq!(pair.data(SERVER, stream), (expected, true));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Drained { .. })));
    assert_eq!(pair.cores[CLIENT].write_shared(ours, stream, content, true), 0, "it has ended");
}

#[test]
fn a_large_write_does_not_keep_the_others_waiting() {
    let settings = Settings { send_window: 100_000, ..Settings::default() };
    let mut pair = Pair::new(settings, Settings::default());
    let (ours, _) = pair.connected();
    let large = pair.cores[CLIENT].open(ours, false).expect("credit");
    pair.cores[CLIENT].write_shared(ours, large, vec![7; 5_000_000].into(), true);
    pair.run(Duration::from_millis(5));
    let urgent = pair.cores[CLIENT].open(ours, false).expect("credit");
    pair.cores[CLIENT].set_priority(ours, urgent, 1);
    pair.cores[CLIENT].write(ours, urgent, b"urgent", true);
    while !pair.data(SERVER, urgent).1 {
        pair.run(Duration::from_millis(5));
    }
    let ahead = pair.data(SERVER, large).0.len();
    assert!(ahead < 60_000, "{ahead} bytes went first; only what was on its way may");
}

#[test]
fn a_file_that_is_too_short_resets_its_stream() {
    let path = temporary_file(&[5; 100_000]);
    let mut pair = settled();
    let (ours, _) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, true).expect("credit");
    let file = pair.cores[CLIENT].files().open(&path).expect("the file");
    pair.cores[CLIENT].write_file(ours, stream, (file, 0, 200_000), true);
    pair.run(Duration::from_secs(1));
    assert!(pair.has(SERVER, |event| matches!(event, Event::Reset { code: INTERNAL_ERROR, .. })));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::FileFailed { stream: failed, .. } if *failed == stream)));
    std::fs::remove_file(path).expect("still there");
}

#[test]
fn urgent_streams_go_first_and_equals_share() {
    let settings = Settings { send_window: 60_000, ..Settings::default() };
    let mut pair = Pair::new(settings, Settings::default());
    let (ours, _) = pair.connected();
    let streams: Vec<_> = (0..3).filter_map(|_| pair.cores[CLIENT].open(ours, false)).collect();
    for (&stream, priority) in streams.iter().zip([0, 0, 5]) {
        pair.cores[CLIENT].set_priority(ours, stream, priority);
        pair.cores[CLIENT].write(ours, stream, &vec![stream as u8; 400_000], true);
    }
    let mut done = Vec::new();
    for _ in 0..600 {
        pair.run(Duration::from_millis(10));
        for &stream in &streams {
            if pair.data(SERVER, stream).1 && !done.contains(&stream) {
                done.push(stream);
                if done.len() == 1 {
                    let other = streams.iter().map(|&stream| pair.data(SERVER, stream).0.len()).min().expect("three");
                    assert!(other < 130_000, "{other}");
                }
                if done.len() == 2 {
                    let least = streams.iter().map(|&stream| pair.data(SERVER, stream).0.len()).min().expect("three");
                    assert!(least > 250_000, "equals share: {least}");
                }
            }
        }
    }
    assert_eq!(done.len(), 3);
    assert_eq!(done[0], streams[2], "the urgent one is first");
}

#[test]
fn the_peer_may_move() {
    let mut pair = settled();
    let (ours, _) = pair.connected();
    pair.client_address.set_port(50_000);
    pair.cores[CLIENT].rebound();
    let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
    pair.cores[CLIENT].write(ours, stream, b"from elsewhere", true);
    pair.run(Duration::from_millis(200));
    assert!(pair.has(SERVER, |event| matches!(event, Event::PathChanged { remote, .. } if remote.port() == 50_000)));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Acked { .. })));
}

#[test]
fn datagrams_travel_when_both_ends_take_them() {
    let settings = Settings { max_datagram_frame: 1200, ..Settings::default() };
    let mut pair = Pair::new(settings.clone(), settings);
    let (ours, _) = pair.connected();
    assert!(pair.cores[CLIENT].max_datagram(ours).is_some_and(|most| most > 1000));
    assert!(pair.cores[CLIENT].send_datagram(ours, b"ping"));
    assert!(!pair.cores[CLIENT].send_datagram(ours, &[0; 5000]));
    pair.run(Duration::from_millis(100));
    assert!(pair.has(SERVER, |event| matches!(event, Event::Datagram { data, .. } if &data[..] == b"ping")));
    let mut pair = settled();
    let (ours, _) = pair.connected();
    assert_eq!(pair.cores[CLIENT].max_datagram(ours), None);
}

#[test]
fn unread_events_stop_the_reading_of_streams() {
    let mut pair = settled();
    pair.cores[SERVER].limit_waiting(10_000);
    let (ours, _) = pair.connected();
    let streams: Vec<_> = (0..10).filter_map(|_| pair.cores[CLIENT].open(ours, false)).collect();
    for &stream in &streams {
        pair.cores[CLIENT].write(ours, stream, &[1; 4000], true);
    }
    pair.exchange();
    pair.set_time(pair.now + RTT / 2);
    let first = pair.cores[SERVER].take_events();
    let read: usize = first.iter().map(Event::weight).sum();
    assert!((10_000..13_000).contains(&read), "{read}");
    pair.events[SERVER].extend(first);
    for _ in 0..10 {
        pair.cores[SERVER].read_held_back();
        pair.run(Duration::from_millis(20));
    }
    assert!(streams.iter().all(|&stream| pair.data(SERVER, stream).1));
}

#[test]
fn calls_that_make_no_sense_do_nothing() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    let core = &mut pair.cores[SERVER];
    for stream in [0, 1, 2, 3, 4000, u64::MAX] {
        core.reset(theirs, stream, 1);
        core.stop(theirs, stream, 1);
        core.pause(theirs, stream);
        core.resume(theirs, stream);
        core.set_priority(theirs, stream, 1);
    }
    assert_eq!(core.write(0, 0, b"nobody", true), 0);
    assert_eq!(core.write(theirs, 2, b"the wrong direction", true), 0);
    assert_eq!(core.stats(u64::MAX).map(|_| ()), None);
    assert_eq!(core.accept(77), None);
    pair.run(Duration::from_millis(100));
    assert!(pair.cores[CLIENT].info(ours).is_some());
    let too_long = pair.cores[CLIENT].export(ours, b"label", b"", 100_000);
    assert_eq!(too_long, None);
    let both = [(CLIENT, ours), (SERVER, theirs)].map(|(side, conn)| pair.cores[side].export(conn, b"label", b"", 32));
    assert!(both[0].is_some() && both[0] == both[1]);
}

#[test]
fn worker_ids_are_congruent_to_the_index() {
    use super::quinn::cids;
    for (index, count) in [(0, 1), (2, 3), (254, 255), (1, 7)] {
        assert!(cids(Some((index, count)), 500).iter().all(|cid| cid[0] % count == index && cid.len() == 8));
    }
    let firsts: std::collections::HashSet<u8> = cids(Some((1, 2)), 2000).iter().map(|cid| cid[0]).collect();
    assert_eq!(firsts.len(), 128, "every byte that fits is used");
}

#[test]
fn certificates_are_picked_by_name_and_failures_are_sentences() {
    let (first, second) = (named(&["localhost"]), named(&["*.example.org", "example.net"]));
    let identities =
        [&first, &second].map(|identity| (identity.chain.as_bytes().to_vec(), identity.key.as_bytes().to_vec()));
    let identities: Vec<_> = identities.iter().map(|(chain, key)| (&chain[..], &key[..])).collect();
    let server = tls::server(&identities, vec![b"h3".to_vec()], false, None).expect("settings");
    let trust = format!("{}{}", first.chain, second.chain);
    let client = tls::client(Some(trust.as_bytes()), true, vec![b"h3".to_vec()], false, None, None).expect("settings");
    for (name, problem) in [
        ("a.example.org", None),
        ("EXAMPLE.net", None),
        ("localhost", None),
        ("other.test", Some("the certificate is not for other.test; it is for localhost")),
        ("a.b.example.org", Some("the certificate is not for a.b.example.org; it is for localhost")),
    ] {
        let mut pair = Pair::with_tls(Settings::default(), Settings::default(), client.clone(), server.clone());
        pair.cores[CLIENT].connect(address(SERVER), name, None).expect("client settings").expect("a handle");
        pair.run(Duration::from_millis(200));
        match problem {
            None => assert!(pair.has(CLIENT, |event| matches!(event, Event::Connected { .. })), "{name}"),
            Some(sentence) => {
                let end = pair.end_of(CLIENT).expect("an end");
                assert_eq!((end.kind, end.reason.as_str()), (EndKind::TransportError, sentence));
                assert_eq!(pair.end_of(SERVER).expect("an end").kind, EndKind::ByTransport);
            }
        }
    }
}

#[test]
fn no_common_protocol_is_told_to_both() {
    let other = tls::client(Some(certificate().chain.as_bytes()), true, vec![b"hq".to_vec()], false, None, None);
    let mut pair =
        Pair::with_tls(Settings::default(), Settings::default(), other.expect("settings"), server_tls(false));
    pair.connect();
    pair.run(Duration::from_millis(100));
    let end = pair.end_of(CLIENT).expect("an end");
    assert_eq!((end.kind, end.code), (EndKind::ByTransport, Some(0x178)));
    assert!(end.reason.contains("ALPN"), "{}", end.reason);
}

#[test]
fn shutting_down_says_goodbye() {
    let mut pair = settled();
    pair.connected();
    pair.cores[SERVER].shutdown();
    pair.run(Duration::from_millis(50));
    assert_eq!(pair.end_of(CLIENT).expect("an end").code, Some(super::NO_ERROR));
    assert_eq!(pair.end_of(SERVER).expect("an end").kind, EndKind::Locally);
}

#[test]
fn the_end_is_told_at_once_although_the_window_is_full() {
    let mut pair = settled();
    let (_, theirs) = pair.connected();
    let stream = pair.cores[SERVER].open(theirs, true).expect("credit");
    pair.cores[SERVER].write(theirs, stream, &vec![7; 4_000_000], true);
    pair.run(RTT * 3);
    pair.cores[SERVER].close(theirs, 0x100, b"enough");
    pair.run(RTT);
    let end = End { kind: EndKind::ByApplication, code: Some(0x100), reason: "enough".to_owned() };
    assert_eq!(pair.end_of(CLIENT), Some(end));
}

#[test]
fn a_stream_limit_beyond_reason_is_cut() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    pair.cores[SERVER].set_max_streams(theirs, true, u64::MAX);
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.cores[CLIENT].stream_credit(ours, true, 1_000), 1_000);
}

/// Any sequence of calls: nothing panics, nothing ends by a failure of its own, and all of it can be closed.
#[test]
fn any_sequence_of_operations_ends_well() {
    for seed in 0..150_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut pair = settled();
        let (ours, theirs) = pair.connected();
        for _ in 0..200 {
            let side = draw(2) as usize;
            let handle = [ours, theirs][side];
            let stream = [0, 1, 2, 3, 4, 6, 7, 400, u64::MAX][draw(9) as usize];
            let bytes = vec![1; [0, 1, 3_000, 200_000][draw(4) as usize]];
            let core = &mut pair.cores[side];
            match draw(14) {
                0 => drop(core.open(handle, draw(2) == 0)),
                1..=3 => drop(core.write(handle, stream, &bytes, draw(4) == 0)),
                4 => core.reset(handle, stream, draw(u64::MAX)),
                5 => core.stop(handle, stream, draw(u64::MAX)),
                6 => core.pause(handle, stream),
                7 => core.resume(handle, stream),
                8 => core.set_priority(handle, stream, draw(100) as i32 - 50),
                9 => core.set_max_streams(handle, draw(2) == 0, draw(300)),
                10 => core.ping(handle),
                11 => drop(core.stream_credit(handle, draw(2) == 0, 50)),
                12 if draw(20) == 0 => core.close(handle, draw(u64::MAX), b"any"),
                _ => pair.run(Duration::from_millis(draw(60))),
            }
        }
        pair.cores[CLIENT].close(ours, 0, b"");
        pair.cores[SERVER].close(theirs, 0, b"");
        pair.run(Duration::from_secs(40));
        assert!(pair.cores.iter().all(|core| core.connection_count() == 0 && core.occupied == 0), "seed {seed}");
        for side in [CLIENT, SERVER] {
            assert!(pair.end_of(side).is_none_or(|end| end.kind != EndKind::Internal), "seed {seed}");
        }
    }
}

/// Nothing can be sent to port 0, and the attempt would make quinn-udp give up GSO and ECN for everybody (issue 9, point 1).
#[test]
fn what_comes_from_port_0_is_not_answered() {
    let mut pair = settled();
    pair.connect();
    let now = pair.now;
    let mut first = Vec::new();
    pair.cores[CLIENT].transmit(now, 1, usize::MAX, |_, bytes| {
        first.push(bytes.to_vec());
        Sent::Done
    });
    let nowhere = SocketAddr::new(address(CLIENT).ip(), 0);
    for (from, answers) in [(nowhere, false), (address(CLIENT), true)] {
        pair.cores[SERVER].datagram(now, from, None, None, BytesMut::from(&first[0][..]));
        let mut sent = 0;
        pair.cores[SERVER].transmit(now, 1, usize::MAX, |_, _| {
            sent += 1;
            Sent::Done
        });
        assert_eq!(sent > 0, answers, "{from}");
    }
}

/// A socket that is full is waited for, a budget that is used up is not: the two are told apart (issue 9, point 2).
#[test]
fn what_is_left_to_send_says_why() {
    let mut pair = settled();
    let (ours, _) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, true).expect("credit");
    pair.cores[CLIENT].write(ours, stream, &[1; 10_000], true);
    let now = pair.now;
    assert_eq!(pair.cores[CLIENT].transmit(now, 1, 1, |_, _| Sent::Done), Flushed::More);
    assert_eq!(pair.cores[CLIENT].transmit(now, 1, 100, |_, _| Sent::Full), Flushed::Full);
    assert_eq!(pair.cores[CLIENT].transmit(now, 1, 100, |_, _| Sent::Done), Flushed::Done);
}

/// A client with somebody else's address cannot free its place by CONNECTION_CLOSE: a failed handshake keeps it for
/// `handshake_timeout`, so that newcomers have to prove their address (issue 9, point 3).
#[test]
fn a_handshake_that_failed_keeps_its_place() {
    let settings = Settings { retry_above: 2, handshake_timeout: Duration::from_secs(5), ..Settings::default() };
    let mut pair = Pair::new(Settings::default(), settings);
    let accepted_at_once = |pair: &mut Pair| {
        pair.events[SERVER].clear();
        let ours = pair.connect();
        pair.exchange();
        pair.cores[CLIENT].close(ours, 0, b"");
        pair.run(RTT * 2);
        pair.handle_of(SERVER).is_some()
    };
    let accepted: Vec<_> = (0..4).map(|_| accepted_at_once(&mut pair)).collect();
    assert_eq!(accepted, [true, true, false, false]);
    assert!(pair.cores[SERVER].failed_handshakes.len() <= 2, "what is remembered is bounded");
    pair.run(Duration::from_secs(5));
    assert!(accepted_at_once(&mut pair), "the places are free again");
}

/// A time-out of any length is one that never comes, not an overflow (issue 9, point 10).
#[test]
fn a_time_out_may_be_longer_than_time_lasts() {
    let ages = Duration::from_secs_f64(1e19);
    let settings =
        Settings { handshake_timeout: ages, keep_alive: Some(ages), ask_incoming: true, ..Settings::default() };
    let mut pair = Pair::new(Settings { handshake_timeout: ages, ..Settings::default() }, settings);
    let ours = pair.connect();
    pair.run(RTT);
    assert!(pair.has(SERVER, |event| matches!(event, Event::Incoming { .. })));
    pair.cores[CLIENT].set_keep_alive(ours, Some(ages));
    pair.cores[CLIENT].close(ours, 0, b"");
    pair.run(RTT);
    assert!(Settings { initial_rtt: ages, ..Settings::default() }.check().is_err(), "QUIC multiplies it");
}

/// ICMP can be forged: after the handshake it makes us ask by PING, and only silence then ends the connection, long before the
/// idle time-out (issue 9, point 22).
#[test]
fn an_unreachable_peer_is_asked_and_then_given_up() {
    const REFUSED: i32 = 111;
    let mut pair = settled();
    let (ours, _) = pair.connected();
    for _ in 0..10 {
        pair.cores[CLIENT].unreachable(Some(address(SERVER).ip()), REFUSED);
        pair.run(Duration::from_millis(300));
    }
    assert!(pair.end_of(CLIENT).is_none(), "whoever answers is there");
    pair.blocked = true;
    let before = pair.log.len();
    pair.cores[CLIENT].unreachable(Some(address(SERVER).ip()), REFUSED);
    pair.exchange();
    assert!(pair.log.len() > before, "asked at once");
    pair.cores[CLIENT].unreachable(None, REFUSED);
    pair.run(Duration::from_millis(300));
    assert!(pair.end_of(CLIENT).is_none(), "one answer needs time");
    pair.cores[CLIENT].unreachable(None, REFUSED);
    pair.run(Duration::from_millis(1));
    let end = pair.end_of(CLIENT).expect("an end");
    assert_eq!((end.kind, end.code, end.reason.as_str()), (EndKind::Unreachable, Some(111), "connection refused"));
    assert!(pair.cores[CLIENT].info(ours).is_none());
}

/// Before the handshake is done there is nobody to ask: the next address is tried.
#[test]
fn an_unreachable_server_ends_a_handshake_at_once() {
    let mut pair = settled();
    pair.blocked = true;
    pair.connect();
    pair.exchange();
    pair.cores[CLIENT].unreachable(Some(address(CLIENT).ip()), 113);
    pair.exchange();
    assert_eq!(pair.end_of(CLIENT).map(|end| end.kind), Some(EndKind::Unreachable), "a router may have told it");
}

/// PINGs alone do not hold a place that somebody else could use; an open request does (issue 9, point 5).
#[test]
fn the_idlest_gives_way_when_places_run_out() {
    let settings = Settings { max_connections: 2, evict_idle_after: Duration::from_secs(5), ..Settings::default() };
    let client = Settings { keep_alive: Some(Duration::from_millis(500)), ..Settings::default() };
    let mut pair = Pair::new(client, settings);
    let (idle, _) = pair.connected();
    pair.run(Duration::from_secs(1));
    let (asking, _) = pair.connected();
    let stream = pair.cores[CLIENT].open(asking, false).expect("credit");
    pair.cores[CLIENT].write(asking, stream, b"a request that is not over", false);
    pair.run(Duration::from_secs(3));
    pair.connect();
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.end_of(CLIENT).expect("an end").code, Some(2), "nobody was idle for so long");
    pair.run(Duration::from_secs(2));
    pair.events[CLIENT].clear();
    let newcomer = pair.connect();
    pair.run(Duration::from_millis(100));
    assert!(pair.has(CLIENT, |event| matches!(event, Event::Connected { conn, .. } if *conn == newcomer)));
    let end = pair.end_of(CLIENT).expect("an end");
    assert_eq!((end.kind, end.code), (EndKind::ByApplication, Some(super::NO_ERROR)));
    assert!(pair.cores[CLIENT].info(idle).is_none() && pair.cores[CLIENT].info(asking).is_some());
    assert_eq!(pair.cores[SERVER].connection_count(), 2);
}

/// One address does not get every place, and whoever only claims an address takes none of its places (issue 9, point 5).
#[test]
fn an_address_has_so_many_places() {
    let settings = Settings { max_connections_per_address: 2, ..Settings::default() };
    let mut pair = Pair::new(Settings::default(), settings);
    let (first, _) = pair.connected();
    pair.connected();
    let refused = |pair: &mut Pair| {
        pair.events[CLIENT].clear();
        pair.connect();
        pair.run(Duration::from_millis(200));
        pair.end_of(CLIENT).is_some_and(|end| end.code == Some(2))
    };
    assert!(refused(&mut pair));
    pair.client_address.set_ip(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)));
    assert_eq!(pair.cores[SERVER].places.connections_of(Neighbour::at(pair.client_address)), 0);
    pair.client_address = address(CLIENT);
    pair.cores[CLIENT].close(first, 0, b"");
    pair.run(Duration::from_millis(200));
    assert!(!refused(&mut pair), "a place is free again");
}

/// Windows beyond the first ones come out of one budget; whoever finds it used up goes on with the first ones (issue 9, point 5).
#[test]
fn one_budget_bounds_what_all_connections_hold() {
    for (byte_budget, wide) in [(0, false), (100 << 20, true)] {
        let mut pair = Pair::new(Settings::default(), Settings { byte_budget, ..Settings::default() });
        let (ours, theirs) = pair.connected();
        let stream = pair.cores[SERVER].open(theirs, true).expect("credit");
        let waiting = pair.cores[SERVER].write(theirs, stream, &vec![1; 5_000_000], true);
        assert_eq!(5_000_000 - waiting > FIRST_SEND_WINDOW + 32_000, wide, "{waiting}");
        let up = pair.cores[CLIENT].open(ours, false).expect("credit");
        pair.cores[CLIENT].write(ours, up, &vec![2; 2_000_000], true);
        pair.run(Duration::from_secs(20));
        assert_eq!(pair.data(CLIENT, stream), (vec![1; 5_000_000], true), "slower, but whole");
        assert_eq!(pair.data(SERVER, up), (vec![2; 2_000_000], true));
        assert_eq!(pair.cores[SERVER].places.granted() > 0, wide);
        pair.cores[CLIENT].close(ours, 0, b"");
        pair.run(Duration::from_secs(10));
        assert_eq!(pair.cores[SERVER].places.granted(), 0);
    }
}

/// Before anything of it was read, nobody makes a server hold more than the first window (issue 9, point 5).
#[test]
fn unread_bytes_are_few_before_somebody_reads() {
    let mut pair = settled();
    let (ours, theirs) = pair.connected();
    pair.run(Duration::from_secs(1));
    let before = pair.cores[SERVER].stats(theirs).expect("known").0.received_bytes;
    for _ in 0..8 {
        let stream = pair.cores[CLIENT].open(ours, false).expect("credit");
        pair.cores[SERVER].pause(theirs, stream);
        pair.cores[CLIENT].write(ours, stream, &vec![2; 200_000], true);
    }
    pair.run(Duration::from_secs(5));
    let received = pair.cores[SERVER].stats(theirs).expect("known").0.received_bytes - before;
    assert!(received < FIRST_RECEIVE_WINDOW + 10_000, "{received}");
}

/// What is written to a stream that was reset is dropped, also while the connection has no credit: nobody would ever ask for it.
#[test]
fn a_stream_that_was_reset_takes_nothing() {
    let mut pair = settled();
    let (ours, _) = pair.connected();
    let stream = pair.cores[CLIENT].open(ours, true).expect("credit");
    pair.cores[CLIENT].write(ours, stream, &vec![1; 3_000_000], false);
    pair.cores[CLIENT].reset(ours, stream, 1);
    pair.cores[CLIENT].set_priority(ours, stream, 5);
    assert_eq!(pair.cores[CLIENT].write(ours, stream, &[1; 1000], true), 0);
    assert_eq!(pair.cores[CLIENT].stats(ours).expect("known").1, 0);
}
