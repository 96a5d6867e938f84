//! The identity of an endpoint on the wire: its keys, and the connection IDs that it draws.

use std::time::Duration;

use quinn_proto::ConnectionId;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use super::{CID_LENGTH, provider::hkdf};

const KEY_LENGTH: usize = 32;

/// The identity of this endpoint on the wire.
#[derive(Clone)]
pub struct Identity {
    /// Seeds everything random: connection IDs, packet number gaps, padding.
    pub seed: [u8; 32],
    /// Stateless resets are signed with this.
    pub reset_key: Vec<u8>,
    /// Retry tokens are sealed with this.
    pub token_key: Vec<u8>,
    /// (index, count): the first byte of our connection IDs is congruent to the index.
    pub worker: Option<(u8, u8)>,
}

impl Identity {
    /// Everything from `seed`.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let mut draw = |length: usize| {
            let mut bytes = vec![0; length];
            rng.fill_bytes(&mut bytes);
            bytes
        };
        Self { reset_key: draw(64), token_key: draw(64), seed: rng.random(), worker: None }
    }

    /// Everything from the operating system's randomness.
    pub fn random() -> Self {
        let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).expect("the operating system has randomness");
        Self::from_seed(rng.random())
    }

    /// Derive the keys from a secret that outlives the process, such as the server's TLS key: after a restart, old connections
    /// are reset at their next packet, and old tokens are good. `scope` tells endpoints apart that share the secret: who knew
    /// a connection ID of one could otherwise have another one make its stateless reset (RFC 9000 section 21.11).
    pub fn derive_keys(&mut self, secret: &[u8], scope: &[u8]) {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"h3push endpoint keys").extract(secret);
        for (label, key) in [("stateless reset", &mut self.reset_key), ("token", &mut self.token_key)] {
            let info = [label.as_bytes(), b"\0", scope];
            let drawn = root.expand(&info, hkdf::HKDF_SHA256).and_then(|drawn| drawn.fill(&mut key[..KEY_LENGTH]));
            drawn.expect("a hash is no longer than HKDF allows");
            key.truncate(KEY_LENGTH);
        }
    }

    pub(super) fn seed_for(&self, purpose: u8) -> [u8; 32] {
        let mut seed = self.seed;
        seed[0] ^= purpose;
        StdRng::from_seed(seed).random()
    }
}

/// Connection IDs of 8 random bytes; the first one steers to a worker where there are several.
pub(super) struct CidGenerator {
    pub(super) rng: StdRng,
    pub(super) worker: Option<(u8, u8)>,
}

impl quinn_proto::ConnectionIdGenerator for CidGenerator {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut cid: [u8; CID_LENGTH] = self.rng.random();
        if let Some((index, count)) = self.worker {
            let (index, count) = (u32::from(index), u32::from(count));
            let choices = (255 - index) / count + 1;
            cid[0] = (index + count * self.rng.random_range(0..choices)) as u8;
        }
        ConnectionId::new(&cid)
    }

    // A packet of another worker's connection gets no stateless reset from us: the workers share the key.
    fn validate(&self, cid: &ConnectionId) -> Result<(), quinn_proto::InvalidCid> {
        match self.worker {
            Some((index, count)) if cid[0] % count != index => Err(quinn_proto::InvalidCid),
            _ => Ok(()),
        }
    }

    fn cid_len(&self) -> usize {
        CID_LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
pub mod tests {
    use quinn_proto::ConnectionIdGenerator;

    use super::*;

    /// So many connection IDs of a worker.
    pub fn cids(worker: Option<(u8, u8)>, count: usize) -> Vec<Vec<u8>> {
        let mut generator = CidGenerator { rng: StdRng::from_seed([9; 32]), worker };
        let mut draw = || {
            let cid = generator.generate_cid();
            assert!(generator.validate(&cid).is_ok());
            cid.to_vec()
        };
        (0..count).map(|_| draw()).collect()
    }
}
