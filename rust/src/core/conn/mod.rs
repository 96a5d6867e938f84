//! One connection: what its owner cannot see in quinn's.
//!
//! ```text
//!   datagrams ─> Link ─> happenings ──> read every readable stream once: one DATA per stream and wake-up
//!                                  └──> refill writable streams, urgent ones first, the least recently served first
//!   write ─────> Link, and what does not fit ─> Outgoing (per stream) ─> DRAINED
//! ```
//!
//! Streams opened by the peer are announced by their first data. Streams that we may open are drawn from quinn ahead of
//! time into a pool when somebody asks how many there are: nothing of that is visible on the wire.

mod reading;
mod writing;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    places::{Account, Neighbour},
    quinn::{Happening, Link, LinkEvent},
    streams::Outgoing,
};
use crate::{
    events::{End, EndKind, Event, Handle},
    files::Source,
    settings::Settings,
};

/// How long a peer has to answer after the kernel said that nobody is there: so many round trips, and so much more for its
/// delayed acknowledgment.
const DOUBT_ROUND_TRIPS: u32 = 3;
const DOUBT_AT_LEAST: Duration = Duration::from_millis(100);

/// The events that wait to be fetched, and whether more stream data may be added.
pub struct Told {
    /// In order.
    pub events: Vec<Event>,
    /// About how many bytes they are.
    pub weight: usize,
    /// No more streams are read beyond this weight.
    pub limit: usize,
}

impl Told {
    /// Add one.
    pub fn push(&mut self, event: Event) {
        self.weight += event.weight();
        self.events.push(event);
    }

    fn is_full(&self) -> bool {
        self.weight >= self.limit
    }
}

#[derive(Default)]
struct Queue {
    outgoing: Outgoing,
    served: u64,
}

/// Which windows are the full ones of the settings, not the first ones.
struct Wide {
    send: bool,
    receive: bool,
}

/// A file, where to begin in it, and how many bytes of it to send.
pub type FilePart = (Arc<Source>, u64, u64);

/// One connection.
pub struct Conn {
    /// The connection proper.
    pub link: Link,
    /// Its name outside.
    pub handle: Handle,
    /// False once the outside has been told of its end.
    pub open: bool,
    /// It panicked before.
    pub broken: bool,
    /// It counts as a server handshake under way.
    pub handshaking: bool,
    /// It counts as a connection that is open.
    pub counted: bool,
    /// It waits in the queue of connections to be processed.
    pub touched: bool,
    /// It waits in the queue of connections that may have something to send.
    pub sending: bool,
    #[cfg(test)]
    pub sabotaged: bool,
    /// Whom it belongs to, on a server, and whether it counts among that one's connections.
    pub place: Option<Neighbour>,
    /// See `place`.
    pub counts: bool,
    account: Option<Account>,
    wide: Wide,
    taken: u64,
    heard_at: Instant,
    used_at: Instant,
    remote: SocketAddr,
    connected: bool,
    handshake_deadline: Option<Instant>,
    /// Since when the kernel says that nobody is there, and how many acknowledgments had come by then.
    doubted: Option<(Instant, u64)>,
    keep_alive: Option<Duration>,
    ping_at: Option<Instant>,
    queues: FxHashMap<u64, Queue>,
    turns: u64,
    readable: Vec<u64>,
    held_back: bool,
    writable: Vec<u64>,
    fresh: FxHashSet<u64>,
    paused: FxHashSet<u64>,
    pools: [VecDeque<u64>; 2],
}

impl Conn {
    /// A connection whose handshake begins.
    pub fn new(link: Link, handle: Handle, now: Instant, settings: &Settings, account: Option<Account>) -> Self {
        Self {
            handle,
            open: true,
            broken: false,
            handshaking: link.is_server(),
            counted: true,
            touched: false,
            sending: false,
            #[cfg(test)]
            sabotaged: false,
            place: None,
            counts: false,
            wide: Wide { send: account.is_none(), receive: account.is_none() },
            account,
            taken: 0,
            heard_at: now,
            used_at: now,
            remote: link.remote(),
            connected: false,
            handshake_deadline: now.checked_add(settings.handshake_timeout),
            doubted: None,
            keep_alive: settings.keep_alive,
            ping_at: None,
            queues: FxHashMap::default(),
            turns: 0,
            readable: Vec::new(),
            held_back: false,
            writable: Vec::new(),
            fresh: FxHashSet::default(),
            paused: FxHashSet::default(),
            pools: Default::default(),
            link,
        }
    }

    /// Take in a datagram.
    pub fn heard(&mut self, now: Instant, event: LinkEvent) {
        self.link.handle(event);
        self.heard_at = now;
        self.set_ping(now);
    }

    /// The kernel says, by ICMP, that nobody is there. Anybody can forge that, so once there was somebody, a PING asks: a peer
    /// that lives answers it, and one that is gone makes the kernel say so again, for each of QUIC's probes.
    pub fn unreachable(&mut self, now: Instant, error: i32, told: &mut Told) {
        let stats = self.link.stats();
        let patience = stats.rtt * DOUBT_ROUND_TRIPS + DOUBT_AT_LEAST;
        match self.doubted.filter(|&(_, acks)| acks == stats.received_acks) {
            _ if !self.open => {}
            None if self.connected => {
                self.doubted = Some((now, stats.received_acks));
                self.link.ping();
            }
            Some((since, _)) if now < since + patience => {}
            _ => {
                self.link.close(now, 0, Bytes::new());
                let reason = std::io::Error::from_raw_os_error(error).to_string();
                let reason = reason.split(" (os error").next().unwrap_or_default().to_lowercase();
                let code = u64::try_from(error).ok();
                self.end(End { kind: EndKind::Unreachable, code, reason }, told);
            }
        }
    }

    /// When `timeout` is due.
    pub fn deadline(&mut self) -> Option<Instant> {
        let ours = [self.handshake_deadline, self.ping_at].into_iter().flatten().filter(|_| self.open);
        ours.chain(self.link.deadline()).min()
    }

    /// Run what is due.
    pub fn timeout(&mut self, now: Instant, settings: &Settings, told: &mut Told) {
        self.link.timeout(now);
        if self.open && self.handshake_deadline.is_some_and(|at| at <= now) {
            self.link.close(now, 0, Bytes::new());
            let reason = format!("the handshake was not done within {:?}", settings.handshake_timeout);
            self.end(End { kind: EndKind::TimedOut, code: None, reason }, told);
        }
        if self.open && self.ping_at.is_some_and(|at| at <= now) {
            self.link.ping();
            self.set_ping(now);
        }
    }

    /// Turn what happened into events: called once per wake-up, after everything that arrived is taken in.
    pub fn process(&mut self, settings: &Settings, told: &mut Told) {
        #[cfg(test)]
        assert!(!std::mem::take(&mut self.sabotaged), "sabotaged by a test");
        let mut end = None;
        while let Some(happening) = self.link.poll() {
            if self.open {
                self.used_at = self.heard_at;
                self.happened(happening, settings, told, &mut end);
            }
        }
        if !self.open {
            return;
        }
        self.note_path(told);
        self.read_readable(settings, told, end.is_some());
        match end {
            Some(end) => self.end(end, told),
            None => self.refill_writable(settings, told),
        }
    }

    /// Streams wait to be read because too many events wait; true once until `release`.
    pub fn take_held_back(&mut self) -> bool {
        !self.readable.is_empty() && !std::mem::replace(&mut self.held_back, true)
    }

    /// There is room for events again.
    pub fn release(&mut self) {
        self.held_back = false;
    }

    /// The handshake is over, one way or the other; true once.
    pub fn take_handshake_over(&mut self) -> bool {
        (self.connected || !self.open) && std::mem::take(&mut self.handshaking)
    }

    /// When it was last of use, if it may be given up for somebody else: no request is open on it. PINGs are of no use.
    pub fn idle_since(&mut self) -> Option<Instant> {
        (self.open && self.connected && self.link.open_requests() == 0).then_some(self.used_at)
    }

    /// The handshake was done, whatever came then.
    pub fn was_connected(&self) -> bool {
        self.connected
    }

    /// The end has come; true once.
    pub fn take_closed(&mut self) -> bool {
        !self.open && std::mem::take(&mut self.counted)
    }

    /// Tell the end and drop everything that waits.
    pub fn end(&mut self, end: End, told: &mut Told) {
        if std::mem::take(&mut self.open) {
            let mut streams: Vec<u64> = self.queues.keys().copied().collect();
            streams.sort_unstable();
            for stream in streams {
                self.tell_unsent(stream, told);
            }
            told.push(Event::Closed { conn: self.handle, end: Box::new(end) });
            self.handshake_deadline = None;
            self.forget_streams();
        }
    }

    fn forget_streams(&mut self) {
        self.queues = FxHashMap::default();
        self.readable = Vec::new();
        self.writable = Vec::new();
        self.fresh.clear();
        self.paused.clear();
        self.pools = Default::default();
    }

    fn happened(&mut self, happening: Happening, settings: &Settings, told: &mut Told, end: &mut Option<End>) {
        let conn = self.handle;
        match happening {
            Happening::Readable(stream) => {
                if !self.readable.contains(&stream) {
                    self.readable.push(stream);
                }
            }
            Happening::Writable(stream) => self.writable.push(stream),
            Happening::Acked(stream) => told.push(Event::Acked { conn, stream }),
            Happening::Opened { unidirectional } => self.accept(unidirectional, settings),
            Happening::Stopped(stream, code) => {
                // RFC 9000 section 3.5: the answer to STOP_SENDING is RESET_STREAM with its code.
                self.tell_unsent(stream, told);
                self.reset(stream, code);
                told.push(Event::Stop { conn, stream, code });
            }
            Happening::StreamsAvailable { unidirectional } => {
                told.push(Event::StreamsAvailable { conn, unidirectional });
            }
            Happening::Handshake => {
                let facts = self.link.tls();
                told.push(Event::Handshake { conn, alpn: facts.alpn, server_name: facts.server_name });
            }
            Happening::Connected => self.connected(told),
            Happening::Datagrams => {
                while let Some(data) = self.link.receive_datagram() {
                    // Nobody promised that datagrams arrive.
                    if !told.is_full() {
                        told.push(Event::Datagram { conn, data });
                    }
                }
            }
            Happening::Lost(reason) => *end = Some(reason),
        }
    }

    fn connected(&mut self, told: &mut Told) {
        self.connected = true;
        self.handshake_deadline = None;
        let early_data = self.link.early_data();
        if !self.link.is_server() && !early_data {
            // Streams opened for 0-RTT that the server did not take are void; quinn counts from 0 again.
            self.forget_streams();
        }
        told.push(Event::Connected { conn: self.handle, early_data });
    }

    fn note_path(&mut self, told: &mut Told) {
        let remote = self.link.remote();
        if remote != self.remote && !told.is_full() {
            self.remote = remote;
            told.push(Event::PathChanged { conn: self.handle, remote });
        }
    }

    // ---- keep-alive

    /// PING after so much silence, from now on.
    pub fn set_keep_alive(&mut self, now: Instant, interval: Option<Duration>) {
        self.keep_alive = interval.filter(|interval| !interval.is_zero());
        self.set_ping(now);
    }

    fn set_ping(&mut self, now: Instant) {
        self.ping_at = self.keep_alive.and_then(|interval| now.checked_add(interval));
    }
}
