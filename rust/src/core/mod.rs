//! The core: one endpoint and its connections, without socket and without clock.
//!
//! ```text
//!             datagram()                     transmit()
//!   socket ───────────────> route ┐  ┌──────────────────────> socket
//!             tick()              v  │ sending: who may have something to send
//!   clock  ───────────────> [connections] ──> told: events ──> take_events()
//!             write(), ...        ^  │ touched: who has to be processed
//!   owner  ───────────────────────┘  └─> timers: one deadline each
//! ```
//!
//! A driver calls `datagram` for everything that arrived and then `settle`: only there are events made, so that a stream
//! is read once however many packets it came in. Work on a connection happens inside `guard`, which catches panics: the
//! connection is closed with 0x102 and told as `Internal`; if it panics again while closing, it is dropped.
//!
//! A handle is `serial << 24 | slot`: the slot finds the connection, the serial number tells whether it is the right one.

pub mod quinn;
pub mod streams;

mod conn;
mod timers;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    net::{IpAddr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};

use self::{
    conn::{Conn, Told},
    quinn::{ConnectFailed, Hub, Identity, Incoming, LinkStats, Packet, Reply, Routed, TlsFacts},
    timers::Timers,
};
use crate::{
    events::{End, EndKind, Event, Handle},
    settings::{MAX_STREAMS, Settings},
};

/// The two error codes that are sent without being told to (H3_NO_ERROR and H3_INTERNAL_ERROR): goodbye, and a failure here.
pub const NO_ERROR: u64 = 0x100;
/// See `NO_ERROR`.
pub const INTERNAL_ERROR: u64 = 0x102;

const SLOT_BITS: u32 = 24;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;

/// Answers to strangers that wait for the socket; further ones are dropped, they will ask again.
const MAX_REPLIES: usize = 1024;

/// What one connection sends before the next one has its turn.
const TRANSMITS_PER_TURN: usize = 4;

/// Whether the socket took a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It did, or it never will.
    Done,
    /// It is full: the packet is kept by whoever sends.
    Full,
}

/// Where the time comes from.
#[derive(Clone, Copy)]
enum Clock {
    Real,
    Virtual(Instant),
}

/// Facts about a connection for its owner.
pub struct Info {
    /// What is known of the TLS session.
    pub tls: TlsFacts,
    /// DER certificates of the peer.
    pub peer_certificates: Vec<Vec<u8>>,
    /// The peer's address.
    pub remote: SocketAddr,
    /// Our address, where known.
    pub local_ip: Option<IpAddr>,
    /// 0-RTT was taken.
    pub early_data: bool,
}

/// One endpoint and its connections.
pub struct Core {
    hub: Hub,
    settings: Arc<Settings>,
    client: Option<Arc<rustls::ClientConfig>>,
    clock: Clock,
    conns: Vec<Option<Box<Conn>>>,
    occupied: usize,
    open: usize,
    handshakes: usize,
    serial: u64,
    accepting: bool,
    incomings: BTreeMap<u64, (Incoming, Instant)>,
    incoming_serial: u64,
    timers: Timers,
    told: Told,
    touched: Vec<usize>,
    held_back: Vec<usize>,
    sending: VecDeque<usize>,
    replies: VecDeque<Reply>,
    buffer: Vec<u8>,
}

impl Core {
    /// `whole_packets`: see `Hub::new`.
    pub fn new(
        settings: Settings,
        identity: &Identity,
        server: Option<Arc<rustls::ServerConfig>>,
        client: Option<Arc<rustls::ClientConfig>>,
        whole_packets: bool,
    ) -> Self {
        let settings = Arc::new(settings);
        let mut hub = Hub::new(settings.clone(), identity, whole_packets);
        hub.set_server_tls(server);
        Self {
            hub,
            settings,
            client,
            clock: Clock::Real,
            conns: Vec::new(),
            occupied: 0,
            open: 0,
            handshakes: 0,
            serial: 0,
            accepting: true,
            incomings: BTreeMap::new(),
            incoming_serial: 0,
            timers: Timers::default(),
            told: Told { events: Vec::new(), weight: 0, limit: usize::MAX },
            touched: Vec::new(),
            held_back: Vec::new(),
            sending: VecDeque::new(),
            replies: VecDeque::new(),
            buffer: Vec::new(),
        }
    }

    /// Read no more streams while events with so many bytes wait.
    pub fn limit_waiting(&mut self, bytes: usize) {
        self.told.limit = bytes;
    }

    /// From now on time is what this says.
    pub fn set_clock(&mut self, now: Instant) {
        self.clock = Clock::Virtual(now);
    }

    /// The time.
    pub fn now(&self) -> Instant {
        match self.clock {
            Clock::Real => Instant::now(),
            Clock::Virtual(now) => now,
        }
    }

    // ---- what drivers call

    /// Take in a datagram; `settle` follows when all are in.
    pub fn datagram(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        local_ip: Option<IpAddr>,
        ecn: Option<u8>,
        data: BytesMut,
    ) {
        let hub = &mut self.hub;
        let routed = contained(|| hub.route(now, remote, local_ip, ecn, data)).unwrap_or(Routed::Nothing);
        match routed {
            Routed::Nothing => {}
            Routed::Reply(reply) => self.reply(reply),
            Routed::Incoming(incoming) => self.knock(now, incoming),
            Routed::Link(slot, event) => {
                self.guard(slot, |work| work.conn.heard(now, event));
                self.touch(slot);
            }
        }
    }

    /// Run the timers that are due.
    pub fn tick(&mut self, now: Instant) {
        while let Some(slot) = self.timers.pop_due(now) {
            self.guard(slot, |work| work.conn.timeout(now, work.settings, work.told));
            self.touch(slot);
        }
        while let Some(entry) = self.incomings.first_entry().filter(|entry| entry.get().1 <= now) {
            let (incoming, _) = entry.remove();
            self.hub.ignore(incoming);
        }
        self.settle();
    }

    /// Process every connection that something happened to.
    pub fn settle(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        for slot in touched.drain(..) {
            self.settle_one(slot);
        }
        self.touched = touched;
    }

    fn settle_one(&mut self, slot: usize) {
        let drained = self.guard(slot, |work| {
            work.conn.touched = false;
            let drained = work.conn.link.settle(slot, work.hub);
            work.conn.process(work.settings, work.told);
            drained | work.conn.link.settle(slot, work.hub)
        });
        self.after(slot);
        match drained {
            Some(true) => self.remove(slot),
            _ => self.want_to_send(slot),
        }
    }

    /// Keep the counters right after work on a connection, and remember whether it has unread streams.
    fn after(&mut self, slot: usize) {
        let Some(conn) = self.conns.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        self.handshakes -= usize::from(conn.take_handshake_over());
        self.open -= usize::from(conn.take_closed());
        if conn.take_held_back() {
            self.held_back.push(slot);
        }
    }

    /// When `tick` is due, once everything is sent.
    pub fn deadline_when_sent(&mut self) -> Option<Instant> {
        for place in 0..self.sending.len() {
            self.rearm(self.sending[place]);
        }
        self.deadline()
    }

    /// When `tick` is due; connections that are about to send look at their timers when they have done so.
    pub fn deadline(&self) -> Option<Instant> {
        let incoming = self.incomings.first_key_value().map(|(_, entry)| entry.1);
        self.timers.next().into_iter().chain(incoming).min()
    }

    /// Hand packets to `send` until there are none, the socket is full, or about `budget` datagrams are out. True when there
    /// may be more.
    pub fn transmit(
        &mut self,
        now: Instant,
        max_segments: usize,
        mut budget: usize,
        mut send: impl FnMut(&Packet, &[u8]) -> Sent,
    ) -> bool {
        self.settle();
        while let Some((packet, bytes)) = self.replies.pop_front() {
            if send(&packet, &bytes) == Sent::Full {
                return true;
            }
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut full = false;
        while budget > 0 && !full {
            let Some(slot) = self.sending.pop_front() else {
                break;
            };
            let turn = self.guard(slot, |work| {
                work.conn.sending = false;
                turn(work.conn, now, max_segments, &mut buffer, &mut send)
            });
            let turn = turn.unwrap_or_default();
            budget = budget.saturating_sub(turn.datagrams);
            full = turn.full;
            self.sent(slot, turn.more);
        }
        self.buffer = buffer;
        full || !self.sending.is_empty()
    }

    fn sent(&mut self, slot: usize, more: bool) {
        match self.guard(slot, |work| work.conn.link.settle(slot, work.hub)) {
            Some(true) => {
                self.touch(slot);
                self.settle();
                self.remove(slot);
            }
            _ if more => self.want_to_send(slot),
            _ => self.rearm(slot),
        }
    }

    /// Everything that happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.told.weight = 0;
        std::mem::take(&mut self.told.events)
    }

    /// Whether events wait.
    pub fn pending(&self) -> bool {
        !self.told.events.is_empty()
    }

    /// Read the streams that were left unread because too much waited.
    pub fn read_held_back(&mut self) {
        for slot in std::mem::take(&mut self.held_back) {
            self.guard(slot, |work| work.conn.release());
            self.touch(slot);
        }
        self.settle();
    }

    /// The socket has another address.
    pub fn rebound(&mut self) {
        for slot in 0..self.conns.len() {
            self.guard(slot, |work| work.conn.link.rebound());
            self.want_to_send(slot);
        }
    }

    /// Close every connection; `transmit` afterwards.
    pub fn shutdown(&mut self) {
        self.accepting = false;
        for slot in 0..self.conns.len() {
            if let Some(conn) = &self.conns[slot] {
                self.close(conn.handle, NO_ERROR, b"");
            }
        }
        while let Some((_, (incoming, _))) = self.incomings.pop_first() {
            let reply = self.hub.refuse(incoming);
            self.reply(reply);
        }
    }

    // ---- clients that knock

    fn knock(&mut self, now: Instant, incoming: Incoming) {
        if !self.accepting || self.occupied >= self.settings.max_connections {
            self.refuse_now(incoming);
        } else if self.settings.ask_incoming {
            self.incoming_serial += 1;
            self.told.push(Event::Incoming {
                incoming: self.incoming_serial,
                remote: incoming.remote_address(),
                validated: incoming.remote_address_validated(),
            });
            self.incomings.insert(self.incoming_serial, (incoming, now + self.settings.handshake_timeout));
        } else if self.handshakes >= self.settings.retry_above && !incoming.remote_address_validated() {
            self.retry_now(incoming);
        } else {
            self.accept_now(now, incoming);
        }
    }

    fn accept_now(&mut self, now: Instant, incoming: Incoming) -> Option<Handle> {
        let remote = incoming.remote_address();
        let hub = &mut self.hub;
        match contained(|| hub.accept(now, incoming))? {
            Ok((slot, link)) => {
                let conn = self.insert(slot, link, now);
                self.handshakes += 1;
                self.told.push(Event::Accepted { conn, remote });
                Some(conn)
            }
            Err(reply) => {
                reply.into_iter().for_each(|reply| self.reply(reply));
                None
            }
        }
    }

    fn refuse_now(&mut self, incoming: Incoming) {
        let hub = &mut self.hub;
        if let Some(reply) = contained(|| hub.refuse(incoming)) {
            self.reply(reply);
        }
    }

    fn retry_now(&mut self, incoming: Incoming) {
        let hub = &mut self.hub;
        if let Some(reply) = contained(|| hub.retry(incoming)) {
            self.reply(reply);
        }
    }

    fn reply(&mut self, reply: Reply) {
        if self.replies.len() < MAX_REPLIES {
            self.replies.push_back(reply);
        }
    }

    /// Accept a client that knocked.
    pub fn accept(&mut self, incoming: u64) -> Option<Handle> {
        let (incoming, _) = self.incomings.remove(&incoming)?;
        self.accept_now(self.now(), incoming)
    }

    /// Refuse a client that knocked.
    pub fn refuse(&mut self, incoming: u64) {
        if let Some((incoming, _)) = self.incomings.remove(&incoming) {
            self.refuse_now(incoming);
        }
    }

    /// Make a client that knocked prove its address.
    pub fn retry(&mut self, incoming: u64) {
        if let Some((incoming, _)) = self.incomings.remove(&incoming) {
            self.retry_now(incoming);
        }
    }

    /// Do not answer a client that knocked.
    pub fn ignore(&mut self, incoming: u64) {
        if let Some((incoming, _)) = self.incomings.remove(&incoming) {
            self.hub.ignore(incoming);
        }
    }

    /// Whether new clients are let in.
    pub fn set_accepting(&mut self, accepting: bool) {
        self.accepting = accepting;
    }

    /// New connections are served with these settings.
    pub fn set_server_tls(&mut self, server: Arc<rustls::ServerConfig>) {
        self.hub.set_server_tls(Some(server));
    }

    // ---- connections

    /// Begin a connection. `None` when there are no client settings.
    pub fn connect(
        &mut self,
        remote: SocketAddr,
        server_name: &str,
        client: Option<Arc<rustls::ClientConfig>>,
    ) -> Option<Result<Handle, ConnectFailed>> {
        let client = client.or_else(|| self.client.clone())?;
        let now = self.now();
        Some(self.hub.connect(now, client, remote, server_name).map(|(slot, link)| self.insert(slot, link, now)))
    }

    fn insert(&mut self, slot: usize, link: quinn::Link, now: Instant) -> Handle {
        self.serial += 1;
        let handle = self.serial << SLOT_BITS | slot as u64;
        if self.conns.len() <= slot {
            self.conns.resize_with(slot + 1, || None);
        }
        self.conns[slot] = Some(Box::new(Conn::new(link, handle, now, &self.settings)));
        self.occupied += 1;
        self.open += 1;
        self.touch(slot);
        handle
    }

    fn remove(&mut self, slot: usize) {
        if let Some(conn) = self.conns[slot].take() {
            self.occupied -= 1;
            self.open -= usize::from(conn.counted);
            self.handshakes -= usize::from(conn.handshaking);
            self.timers.set(slot, None);
            contained(|| drop(conn));
        }
    }

    fn slot_of(&self, handle: Handle) -> Option<usize> {
        let slot = (handle & SLOT_MASK) as usize;
        let conn = self.conns.get(slot)?.as_ref()?;
        (conn.handle == handle && conn.open).then_some(slot)
    }

    fn touch(&mut self, slot: usize) {
        if let Some(conn) = self.conns.get_mut(slot).and_then(Option::as_mut)
            && !std::mem::replace(&mut conn.touched, true)
        {
            self.touched.push(slot);
        }
    }

    fn want_to_send(&mut self, slot: usize) {
        if let Some(conn) = self.conns.get_mut(slot).and_then(Option::as_mut)
            && !std::mem::replace(&mut conn.sending, true)
        {
            self.sending.push_back(slot);
        }
    }

    fn rearm(&mut self, slot: usize) {
        if let Some(deadline) = self.guard(slot, |work| work.conn.deadline()) {
            self.timers.set(slot, deadline);
        }
    }

    /// Work on one connection; a panic ends that connection and nothing else.
    fn guard<R>(&mut self, slot: usize, work: impl FnOnce(Work<'_>) -> R) -> Option<R> {
        let conn = self.conns.get_mut(slot)?.as_deref_mut()?;
        let bench = Work { conn, settings: &self.settings, told: &mut self.told, hub: &mut self.hub };
        match catch_unwind(AssertUnwindSafe(|| work(bench))) {
            Ok(result) => Some(result),
            Err(_) => {
                self.contain(slot);
                None
            }
        }
    }

    fn contain(&mut self, slot: usize) {
        let Some(conn) = self.conns.get_mut(slot).and_then(Option::as_deref_mut) else {
            return;
        };
        let again = std::mem::replace(&mut conn.broken, true);
        conn.touched = false;
        conn.sending = false;
        let reason = "an internal error of the QUIC transport".to_owned();
        conn.end(End { kind: EndKind::Internal, code: Some(INTERNAL_ERROR), reason }, &mut self.told);
        self.after(slot);
        if again {
            self.remove(slot);
            let hub = &mut self.hub;
            contained(|| hub.forget(slot));
            return;
        }
        let now = self.now();
        self.guard(slot, |work| work.conn.link.close(now, INTERNAL_ERROR, Bytes::new()));
        self.want_to_send(slot);
    }

    /// Work on the connection that the outside calls `handle`; nothing happens when it is gone.
    fn on<R: Default>(&mut self, handle: Handle, work: impl FnOnce(Work<'_>) -> R) -> R {
        let Some(slot) = self.slot_of(handle) else {
            return R::default();
        };
        let result = self.guard(slot, work).unwrap_or_default();
        self.want_to_send(slot);
        result
    }

    /// Close with an application's code.
    pub fn close(&mut self, handle: Handle, code: u64, reason: &[u8]) {
        let Some(slot) = self.slot_of(handle) else {
            return;
        };
        let now = self.now();
        let text = String::from_utf8_lossy(reason).into_owned();
        let reason = Bytes::copy_from_slice(reason);
        self.guard(slot, |work| {
            work.conn.link.close(now, code, reason);
            work.conn.end(End { kind: EndKind::Locally, code: Some(code), reason: text }, work.told);
        });
        self.after(slot);
        self.want_to_send(slot);
    }

    /// Send a PING.
    pub fn ping(&mut self, handle: Handle) {
        self.on(handle, |work| work.conn.link.ping());
    }

    /// Send a PING after so much silence.
    pub fn set_keep_alive(&mut self, handle: Handle, interval: Option<Duration>) {
        let now = self.now();
        self.on(handle, |work| work.conn.set_keep_alive(now, interval));
    }

    /// How many streams the peer may have open: `MAX_STREAMS` at most, since quinn makes each of them at once.
    pub fn set_max_streams(&mut self, handle: Handle, unidirectional: bool, count: u64) {
        let count = count.min(MAX_STREAMS);
        self.on(handle, |work| work.conn.link.set_max_streams(unidirectional, count));
    }

    /// How many connections there are.
    pub fn connection_count(&self) -> usize {
        self.open
    }

    /// Facts about a connection.
    pub fn info(&mut self, handle: Handle) -> Option<Info> {
        self.on(handle, |work| {
            let link = &work.conn.link;
            Some(Info {
                tls: link.tls(),
                peer_certificates: link.peer_certificates(),
                remote: link.remote(),
                local_ip: link.local_ip(),
                early_data: link.early_data(),
            })
        })
    }

    /// Numbers about a connection, and bytes that wait outside of quinn.
    pub fn stats(&mut self, handle: Handle) -> Option<(LinkStats, u64)> {
        self.on(handle, |work| Some((work.conn.link.stats(), work.conn.buffered())))
    }

    /// RFC 5705 keying material.
    pub fn export(&mut self, handle: Handle, label: &[u8], context: &[u8], length: usize) -> Option<Vec<u8>> {
        let mut output = vec![0; length];
        self.on(handle, |work| work.conn.link.export(&mut output, label, context)).then_some(output)
    }

    // ---- streams

    /// Open a stream.
    pub fn open(&mut self, handle: Handle, unidirectional: bool) -> Option<u64> {
        self.on(handle, |work| work.conn.open_stream(unidirectional))
    }

    /// How many of `wanted` streams could be opened.
    pub fn stream_credit(&mut self, handle: Handle, unidirectional: bool, wanted: usize) -> usize {
        self.on(handle, |work| work.conn.stream_credit(unidirectional, wanted))
    }

    /// Send bytes; returns how many of the stream's bytes quinn has not taken.
    pub fn write(&mut self, handle: Handle, stream: u64, data: &[u8], fin: bool) -> u64 {
        self.on(handle, |work| work.conn.write(stream, data, fin, work.settings))
    }

    /// The same for bytes that somebody else keeps, without a copy.
    pub fn write_shared(&mut self, handle: Handle, stream: u64, data: Bytes, fin: bool) -> u64 {
        self.on(handle, |work| work.conn.write_shared(stream, data, fin, work.settings))
    }

    /// Send several buffers.
    pub fn write_all(&mut self, handle: Handle, stream: u64, buffers: &[&[u8]], fin: bool) -> u64 {
        self.on(handle, |work| work.conn.write_all(stream, buffers, fin, work.settings))
    }

    /// Send `length` bytes of a file from `offset` on.
    pub fn write_file(&mut self, handle: Handle, stream: u64, part: (File, u64, u64), fin: bool) {
        self.on(handle, |work| work.conn.write_file(stream, part, fin, work.settings, work.told));
    }

    /// RESET_STREAM.
    pub fn reset(&mut self, handle: Handle, stream: u64, code: u64) {
        self.on(handle, |work| work.conn.reset(stream, code));
    }

    /// STOP_SENDING.
    pub fn stop(&mut self, handle: Handle, stream: u64, code: u64) {
        self.on(handle, |work| work.conn.stop(stream, code));
    }

    /// Streams with a higher number go first.
    pub fn set_priority(&mut self, handle: Handle, stream: u64, priority: i32) {
        self.on(handle, |work| work.conn.link.set_priority(stream, priority));
    }

    /// Read no more of a stream.
    pub fn pause(&mut self, handle: Handle, stream: u64) {
        self.on(handle, |work| work.conn.pause(stream));
    }

    /// Read on.
    pub fn resume(&mut self, handle: Handle, stream: u64) {
        let Some(slot) = self.slot_of(handle) else {
            return;
        };
        self.guard(slot, |work| work.conn.resume(stream, work.settings, work.told));
        self.after(slot);
        self.want_to_send(slot);
    }

    /// Send an RFC 9221 datagram.
    pub fn send_datagram(&mut self, handle: Handle, data: &[u8]) -> bool {
        self.on(handle, |work| work.conn.link.send_datagram(Bytes::copy_from_slice(data)))
    }

    /// The largest datagram that can be sent.
    pub fn max_datagram(&mut self, handle: Handle) -> Option<usize> {
        self.on(handle, |work| work.conn.link.max_datagram())
    }
}

/// What work on a connection has at hand.
struct Work<'a> {
    conn: &'a mut Conn,
    settings: &'a Settings,
    told: &'a mut Told,
    hub: &'a mut Hub,
}

#[derive(Default)]
struct Turn {
    datagrams: usize,
    more: bool,
    full: bool,
}

/// A connection's turn at the socket.
fn turn(
    conn: &mut Conn,
    now: Instant,
    max_segments: usize,
    buffer: &mut Vec<u8>,
    send: &mut impl FnMut(&Packet, &[u8]) -> Sent,
) -> Turn {
    let mut turn = Turn::default();
    for _ in 0..TRANSMITS_PER_TURN {
        buffer.clear();
        let Some(packet) = conn.link.transmit(now, max_segments, buffer) else {
            return turn;
        };
        turn.datagrams += packet.segment_size.map_or(1, |segment| packet.size.div_ceil(segment));
        if send(&packet, &buffer[..packet.size]) == Sent::Full {
            turn.full = true;
            break;
        }
    }
    turn.more = true;
    turn
}

/// Run something that is fed by strangers; `None` when it panicked.
fn contained<R>(work: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
