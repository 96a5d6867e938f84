//! Clients that knock: let in, sent away, made to prove their address, or left to the owner.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Core, NO_ERROR, contained,
    places::Neighbour,
    quinn::{Incoming, Reply},
};
use crate::events::{Event, Handle};

/// Answers to strangers that wait for the socket; further ones are dropped, they will ask again.
const MAX_REPLIES: usize = 1024;

impl Core {
    pub(super) fn knock(&mut self, now: Instant, incoming: Incoming) {
        let whom = Neighbour::at(incoming.remote_address());
        let proved = incoming.remote_address_validated();
        let crowded = self.places.connections_of(whom) >= self.settings.max_connections_per_address;
        let full = self.open >= self.settings.max_connections;
        if !self.accepting {
            self.refuse_now(incoming);
        } else if (crowded || full) && !proved {
            // Nobody loses a place to an address that may be somebody else's.
            self.retry_now(incoming);
        } else if crowded || (full && !self.make_room(now)) {
            self.refuse_now(incoming);
        } else if self.settings.ask_incoming {
            self.incoming_serial += 1;
            self.told.push(Event::Incoming {
                incoming: self.incoming_serial,
                remote: incoming.remote_address(),
                validated: incoming.remote_address_validated(),
            });
            self.incomings.insert(self.incoming_serial, (incoming, later(now, self.settings.handshake_timeout)));
        } else if self.handshakes_under_way(now) >= self.settings.retry_above && !incoming.remote_address_validated() {
            self.retry_now(incoming);
        } else {
            self.accept_now(now, incoming);
        }
    }

    /// Close the connection that was of no use for longest, if there is one that may give way. True when there is a place then.
    fn make_room(&mut self, now: Instant) -> bool {
        // Those that are closed live on for some round trips, to answer what is still under way.
        if self.occupied >= self.settings.max_connections.saturating_mul(2) {
            return false;
        }
        let idle = self.conns.iter_mut().flatten().filter_map(|conn| Some((conn.idle_since()?, conn.handle)));
        let Some((since, idlest)) = idle.min() else {
            return false;
        };
        if now.saturating_duration_since(since) < self.settings.evict_idle_after {
            return false;
        }
        self.close(idlest, NO_ERROR, b"the place is needed");
        true
    }

    /// Handshakes that hold a place: those under way, and those that failed a short while ago.
    ///
    /// If a failure freed its place, a client that does not receive what we send could free it: an Initial and a
    /// CONNECTION_CLOSE, both with somebody else's address, and no address would ever have to be proved.
    fn handshakes_under_way(&mut self, now: Instant) -> usize {
        while self.failed_handshakes.front().is_some_and(|&until| until <= now) {
            self.failed_handshakes.pop_front();
        }
        self.handshakes + self.failed_handshakes.len()
    }

    /// A handshake is over. One that failed keeps its place for a while; beyond `retry_above` places make no difference.
    pub(super) fn leave_handshake(&mut self, failed: bool) {
        self.handshakes -= 1;
        if failed && self.failed_handshakes.len() < self.settings.retry_above {
            self.failed_handshakes.push_back(later(self.now(), self.settings.handshake_timeout));
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

    pub(super) fn reply(&mut self, reply: Reply) {
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

    /// True when new clients are let in.
    pub fn set_accepting(&mut self, accepting: bool) {
        self.accepting = accepting;
    }

    /// New connections are served with these settings.
    pub fn set_server_tls(&mut self, server: Arc<rustls::ServerConfig>) {
        self.hub.set_server_tls(Some(server));
    }
}

/// A time-out may be longer than time lasts.
fn later(now: Instant, timeout: Duration) -> Instant {
    now.checked_add(timeout).unwrap_or_else(|| now + AGES)
}

const AGES: Duration = Duration::from_secs(100 * 365 * 86_400);
