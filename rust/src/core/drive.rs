//! The calls of drivers: datagrams and time in, packets and events out.

use std::{
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use bytes::BytesMut;

use super::{
    Core, Flushed, NO_ERROR, Sent,
    conn::Conn,
    contained,
    quinn::{Packet, Routed},
    roster::{CID, Roster},
};
use crate::events::Event;

/// Packets that one connection sends before the next one has its turn.
const TRANSMITS_PER_TURN: usize = 4;

impl Core {
    /// Take in a datagram; `settle` follows when all are in.
    pub fn datagram(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        local_ip: Option<IpAddr>,
        ecn: Option<u8>,
        data: BytesMut,
    ) {
        // Nothing can be sent there: the kernel refuses an answer, and quinn-udp would take that for a defect of the socket.
        if remote.port() == 0 {
            return;
        }
        let cid = self.roster.as_ref().and_then(|_| short_cid(&data));
        let hub = &mut self.hub;
        let routed = contained(|| hub.route(now, remote, local_ip, ecn, data)).unwrap_or(Routed::Nothing);
        match routed {
            Routed::Nothing => {}
            Routed::Reply(reply) => self.reply(reply),
            Routed::Incoming(incoming) => self.knock(now, incoming),
            Routed::Link(slot, event) => {
                self.guard(slot, |work| work.conn.heard(now, event));
                self.touch(slot);
                if let Some(cid) = cid {
                    self.record(slot, cid);
                }
            }
        }
    }

    /// Note in the roster where a client of ours is.
    fn record(&mut self, slot: usize, cid: [u8; CID]) {
        let conn = self.conns.get(slot).and_then(Option::as_ref).filter(|conn| conn.link.is_server());
        if let (Some(roster), Some(conn)) = (&mut self.roster, conn) {
            roster.note(slot, conn.link.remote(), cid);
        }
    }

    /// Tell the clients of a worker that is gone: a stateless reset for each connection of its roster. Returns how many.
    pub fn tell_orphans(&mut self, roster: &mut Roster) -> usize {
        let orphans = roster.take();
        for orphan in &orphans {
            let reset = self.hub.reset(orphan);
            self.replies.push_back(reset);
        }
        orphans.len()
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
            let drained = work.hub.settle(slot, &mut work.conn.link);
            work.conn.process(work.settings, work.told);
            drained | work.hub.settle(slot, &mut work.conn.link)
        });
        self.after(slot);
        match drained {
            Some(true) => self.remove(slot),
            _ => self.want_to_send(slot),
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

    /// Hand packets to `send` until there are none, the socket is full, or about `budget` datagrams are out.
    pub fn transmit(
        &mut self,
        now: Instant,
        max_segments: usize,
        mut budget: usize,
        mut send: impl FnMut(&Packet, &[u8]) -> Sent,
    ) -> Flushed {
        self.settle();
        while let Some((packet, bytes)) = self.replies.pop_front() {
            if send(&packet, &bytes) == Sent::Full {
                return Flushed::Full;
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
        match (full, self.sending.is_empty()) {
            (true, _) => Flushed::Full,
            (false, false) => Flushed::More,
            (false, true) => Flushed::Done,
        }
    }

    fn sent(&mut self, slot: usize, more: bool) {
        match self.guard(slot, |work| work.hub.settle(slot, &mut work.conn.link)) {
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

    /// True when events wait.
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

    /// The kernel says that nobody is at `whom`; a router in between may speak for anybody.
    pub fn unreachable(&mut self, whom: Option<IpAddr>, error: i32) {
        let now = self.now();
        let about = |conn: &Conn| whom.is_some_and(|ip| conn.link.remote().ip().to_canonical() == ip.to_canonical());
        let meant = self.conns.iter().flatten().any(|conn| about(conn));
        for slot in 0..self.conns.len() {
            if self.conns[slot].as_ref().is_some_and(|conn| !meant || about(conn)) {
                self.guard(slot, |work| work.conn.unreachable(now, error, work.told));
                self.after(slot);
                self.touch(slot);
            }
        }
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
}

/// The connection ID of a packet with a short header, if it is one: after the handshake, all of a client's are.
fn short_cid(data: &[u8]) -> Option<[u8; CID]> {
    (data.first()? & 0x80 == 0).then(|| data.get(1..1 + CID)?.try_into().ok())?
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
