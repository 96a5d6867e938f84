//! Accounts of what connections hold: in all, and for each address.
//!
//! Every connection begins with small windows, which cost nothing of the budget. What it needs beyond them is granted from one
//! budget for the endpoint, of which an address gets a part; a connection that finds it used up goes on with its small windows.
//! A grant lasts as long as its connection: what a peer has been promised cannot be taken back.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustc_hash::FxHashMap;

use crate::settings::Settings;

/// Whom an address belongs to: one IPv4 address, or the /64 that a site gets of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Neighbour(u64, bool);

impl Neighbour {
    /// The one at this address.
    pub fn at(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => Self(u64::from(u32::from(ip)), false),
            IpAddr::V6(ip) => Self((u128::from(ip) >> 64) as u64, true),
        }
    }
}

#[derive(Debug)]
struct Pot {
    limit: u64,
    used: AtomicU64,
}

impl Pot {
    fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0) })
    }

    fn take(&self, bytes: u64) -> bool {
        let room = |used: u64| used.checked_add(bytes).filter(|&used| used <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The grant of one connection; dropping it gives the grant back.
#[derive(Debug)]
pub struct Account {
    all: Arc<Pot>,
    own: Arc<Pot>,
    granted: u64,
}

impl Account {
    /// True when so much more may be held.
    pub fn ask(&mut self, bytes: u64) -> bool {
        if !self.own.take(bytes) {
            return false;
        }
        if !self.all.take(bytes) {
            self.own.give_back(bytes);
            return false;
        }
        self.granted += bytes;
        true
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.all.give_back(self.granted);
        self.own.give_back(self.granted);
    }
}

struct Share {
    pot: Arc<Pot>,
    accounts: usize,
    connections: usize,
}

/// The accounts of an endpoint.
pub struct Places {
    all: Arc<Pot>,
    each: u64,
    shares: FxHashMap<Neighbour, Share>,
}

impl Places {
    /// Nobody holds anything.
    pub fn new(settings: &Settings) -> Self {
        Self {
            all: Pot::new(settings.byte_budget),
            each: settings.byte_budget_per_address,
            shares: FxHashMap::default(),
        }
    }

    /// Bytes that are granted now.
    #[cfg(test)]
    pub fn granted(&self) -> u64 {
        self.all.used.load(Ordering::Relaxed)
    }

    /// Connections that `whom` has, of those that proved their address.
    pub fn connections_of(&self, whom: Neighbour) -> usize {
        self.shares.get(&whom).map_or(0, |share| share.connections)
    }

    /// A connection begins.
    pub fn open(&mut self, whom: Neighbour) -> Account {
        let new = || Share { pot: Pot::new(self.each), accounts: 0, connections: 0 };
        let share = self.shares.entry(whom).or_insert_with(new);
        share.accounts += 1;
        Account { all: self.all.clone(), own: share.pot.clone(), granted: 0 }
    }

    /// Its address is proved: it counts from now on. How many do.
    pub fn count(&mut self, whom: Neighbour) -> usize {
        self.shares.get_mut(&whom).map_or(0, |share| {
            share.connections += 1;
            share.connections
        })
    }

    /// It counts no longer.
    pub fn discount(&mut self, whom: Neighbour) {
        if let Some(share) = self.shares.get_mut(&whom) {
            share.connections -= 1;
        }
    }

    /// It is gone; whether it counted.
    pub fn close(&mut self, whom: Neighbour, counted: bool) {
        if let Some(share) = self.shares.get_mut(&whom) {
            share.accounts -= 1;
            share.connections -= usize::from(counted);
            if share.accounts == 0 {
                self.shares.remove(&whom);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_comes_back() {
        let settings = Settings { byte_budget: 100, byte_budget_per_address: 60, ..Settings::default() };
        let mut places = Places::new(&settings);
        let at = |text: &str| Neighbour::at(text.parse().expect("an address"));
        assert_eq!(at("[2001:db8::1]:1"), at("[2001:db8::2]:2"), "a site has a /64");
        assert_eq!(at("[::ffff:192.0.2.1]:1"), at("192.0.2.1:2"));
        let (one, two) = (at("192.0.2.1:1"), at("192.0.2.2:1"));
        let (mut first, mut second, mut third) = (places.open(one), places.open(one), places.open(two));
        assert!(first.ask(40));
        assert!(!second.ask(40), "an address has its part");
        assert!(second.ask(20) && third.ask(40));
        assert!(!third.ask(1), "and all together have theirs");
        assert_eq!(places.granted(), 100);
        drop(first);
        assert!(third.ask(20));
        drop((second, third));
        for whom in [one, one, two] {
            places.close(whom, false);
        }
        assert_eq!((places.granted(), places.shares.len()), (0, 0));
    }
}
