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
//! `drive` is what drivers call, `door` what happens to clients that knock, `calls` what owners call.
//!
//! A driver calls `datagram` for everything that arrived and then `settle`: only there are events made, so that a stream
//! is read once however many packets it came in. Work on a connection happens inside `guard`, which catches panics: the
//! connection is closed with 0x102 and told as `Internal`; if it panics again while closing, it is dropped.
//!
//! A handle is `serial << 24 | slot`: the slot finds the connection, the serial number tells whether it is the right one.

pub mod quinn;
pub mod streams;

mod calls;
mod conn;
mod door;
mod drive;
mod places;
pub mod roster;
mod timers;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;

use self::{
    conn::{Conn, Told},
    places::{Neighbour, Places},
    quinn::{Hub, Identity, Incoming, Reply, TlsFacts},
    roster::Roster,
    timers::Timers,
};
use crate::{
    events::{End, EndKind, Handle},
    files::Files,
    settings::Settings,
};

/// The two error codes that are sent without being told to (H3_NO_ERROR and H3_INTERNAL_ERROR): goodbye, and a failure here.
pub const NO_ERROR: u64 = 0x100;
/// See `NO_ERROR`.
pub const INTERNAL_ERROR: u64 = 0x102;

const SLOT_BITS: u32 = 24;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;

/// The socket's answer to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It did, or it never will.
    Done,
    /// It is full: the packet is kept by whoever sends.
    Full,
}

/// The result of `Core::transmit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing.
    Done,
    /// More to send at once: the budget was used up.
    More,
    /// More to send when the socket is writable again.
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
    /// The known facts of the TLS session.
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
    failed_handshakes: VecDeque<Instant>,
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
    files: Arc<Files>,
    places: Places,
    roster: Option<Roster>,
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
        let places = Places::new(&settings);
        let files = Files::new(settings.max_open_files);
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
            failed_handshakes: VecDeque::new(),
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
            files,
            places,
            roster: None,
        }
    }

    /// Keep a roster of the connections from now on.
    pub fn keep_roster(&mut self, roster: Roster) {
        self.roster = Some(roster);
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

    fn insert(&mut self, slot: usize, link: quinn::Link, now: Instant) -> Handle {
        self.serial += 1;
        let handle = self.serial << SLOT_BITS | slot as u64;
        if self.conns.len() <= slot {
            self.conns.resize_with(slot + 1, || None);
        }
        let place = link.is_server().then(|| Neighbour::at(link.remote()));
        let account = place.map(|whom| self.places.open(whom));
        let mut conn = Box::new(Conn::new(link, handle, now, &self.settings, account));
        conn.place = place;
        self.conns[slot] = Some(conn);
        self.occupied += 1;
        self.open += 1;
        self.touch(slot);
        handle
    }

    /// Keep the counters right after work on a connection, and remember whether it has unread streams.
    fn after(&mut self, slot: usize) {
        let Some(conn) = self.conns.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        let handshake_over = conn.take_handshake_over();
        if handshake_over {
            let failed = !conn.was_connected();
            self.leave_handshake(failed);
        }
        let Some(conn) = self.conns.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        self.open -= usize::from(conn.take_closed());
        if conn.take_held_back() {
            self.held_back.push(slot);
        }
        self.count_place(slot);
    }

    /// Count a server's connection among those of its address while it is connected, and close the one that is too many: of
    /// handshakes that ran side by side, each found a place.
    fn count_place(&mut self, slot: usize) {
        let Some(conn) = self.conns.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        let (counts, handle) = (conn.was_connected() && conn.open, conn.handle);
        let Some(whom) = conn.place.filter(|_| counts != conn.counts) else {
            return;
        };
        conn.counts = counts;
        if !counts {
            self.places.discount(whom);
        } else if self.places.count(whom) > self.settings.max_connections_per_address {
            self.close(handle, NO_ERROR, b"too many connections of this address");
        }
    }

    fn remove(&mut self, slot: usize) {
        if let Some(roster) = &mut self.roster {
            roster.clear(slot);
        }
        if let Some(conn) = self.conns[slot].take() {
            self.occupied -= 1;
            self.open -= usize::from(conn.counted);
            if conn.handshaking {
                self.leave_handshake(!conn.was_connected());
            }
            self.timers.set(slot, None);
            if let Some(whom) = conn.place {
                self.places.close(whom, conn.counts);
            }
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
}

/// The tools that work on a connection has at hand.
struct Work<'a> {
    conn: &'a mut Conn,
    settings: &'a Settings,
    told: &'a mut Told,
    hub: &'a mut Hub,
}

/// Run something that is fed by strangers; `None` when it panicked.
fn contained<R>(work: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
