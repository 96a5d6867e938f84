//! Clients that knock: let in, sent away, made to prove their address, or left to the owner.

use std::{sync::Arc, time::Instant};

use super::{
    Core, contained,
    quinn::{Incoming, Reply},
};
use crate::events::{Event, Handle};

/// Answers to strangers that wait for the socket; further ones are dropped, they will ask again.
const MAX_REPLIES: usize = 1024;

impl Core {
    pub(super) fn knock(&mut self, now: Instant, incoming: Incoming) {
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

    /// Whether new clients are let in.
    pub fn set_accepting(&mut self, accepting: bool) {
        self.accepting = accepting;
    }

    /// New connections are served with these settings.
    pub fn set_server_tls(&mut self, server: Arc<rustls::ServerConfig>) {
        self.hub.set_server_tls(Some(server));
    }
}
