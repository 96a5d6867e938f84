//! Session tickets that every process with the same key can open, so that sessions are resumed on every worker of a port.

use std::fmt;

use rustls::server::ProducesTickets;

use super::{TlsError, random, value};
#[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
use aws_lc_rs::{aead, hkdf};
#[cfg(feature = "ring")]
use ring::{aead, hkdf};

/// How long a ticket is good. The key is drawn anew with each generation of workers, and this is what clients are told.
const LIFETIME_SECONDS: u32 = 12 * 3600;
/// Every ticket has a key of its own, drawn from the shared one and so much salt: no nonce can repeat, however many tickets
/// however many processes make.
const SALT: usize = 32;
/// A client sends what it likes as a ticket; ours hold a certificate chain of the client at most.
const MAX_TICKET: usize = 16 << 10;

pub(super) struct SharedTickets {
    root: hkdf::Prk,
}

impl SharedTickets {
    pub(super) fn new(key: &[u8]) -> Result<Self, TlsError> {
        if key.len() < 32 {
            return value("a ticket key must have at least 32 bytes");
        }
        Ok(Self { root: hkdf::Salt::new(hkdf::HKDF_SHA256, b"h3push session tickets").extract(key) })
    }

    fn key(&self, salt: &[u8]) -> Option<aead::LessSafeKey> {
        let info = [salt];
        let key = self.root.expand(&info, &aead::AES_256_GCM).ok()?;
        Some(aead::LessSafeKey::new(aead::UnboundKey::from(key)))
    }
}

fn nonce() -> aead::Nonce {
    aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
}

impl ProducesTickets for SharedTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_SECONDS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut ticket = vec![0; SALT];
        random(&mut ticket)?;
        let mut sealed = plain.to_vec();
        self.key(&ticket)?.seal_in_place_append_tag(nonce(), aead::Aad::empty(), &mut sealed).ok()?;
        ticket.append(&mut sealed);
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > MAX_TICKET {
            return None;
        }
        let (salt, sealed) = ticket.split_at_checked(SALT)?;
        let mut opened = sealed.to_vec();
        let length = self.key(salt)?.open_in_place(nonce(), aead::Aad::empty(), &mut opened).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }
}

impl fmt::Debug for SharedTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedTickets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two processes with one key open each other's tickets; anything else is refused, not a panic.
    #[test]
    fn tickets_are_opened_with_the_key_that_made_them() {
        let (one, other) = (SharedTickets::new(&[7; 32]).unwrap(), SharedTickets::new(&[7; 32]).unwrap());
        let ticket = one.encrypt(b"a session").unwrap();
        assert_eq!(other.decrypt(&ticket).unwrap(), b"a session");
        assert_ne!(one.encrypt(b"a session").unwrap(), ticket);
        assert!(SharedTickets::new(&[8; 32]).unwrap().decrypt(&ticket).is_none());
        assert!((0..ticket.len()).all(|length| other.decrypt(&ticket[..length]).is_none()));
        assert!(other.decrypt(&vec![0; MAX_TICKET + 1]).is_none());
        assert!(SharedTickets::new(&[7; 31]).is_err());
    }
}
