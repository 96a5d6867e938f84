//! One rustls session behind quinn's trait, for clients and servers.

use std::{any::Any, sync::Arc};

use quinn_proto::{
    ConnectError, ConnectionId, Side, TransportError, TransportErrorCode, crypto,
    transport_parameters::TransportParameters,
};
use rustls::quic::{Connection as QuicTls, KeyChange, Secrets, Suite, Version};

use super::{QUIC_V1, provider};
use crate::tls;

/// The known facts of the TLS session.
#[derive(Clone, Debug, Default)]
pub struct TlsFacts {
    /// The protocol agreed upon.
    pub alpn: Option<Vec<u8>>,
    /// The server name the client sent (server side).
    pub server_name: Option<String>,
    /// The IANA number of the cipher suite.
    pub cipher_suite: Option<u16>,
    /// True when an earlier session was resumed.
    pub resumed: bool,
}

/// One rustls session, as quinn wants it.
struct Tls {
    session: QuicTls,
    suite: Suite,
    secrets: Option<Secrets>,
    told: bool,
}

impl Tls {
    fn new(session: QuicTls, suite: Suite) -> Box<Self> {
        Box::new(Self { session, suite, secrets: None, told: false })
    }
}

impl crypto::Session for Tls {
    fn initial_keys(&self, dst_cid: &ConnectionId, side: Side) -> crypto::Keys {
        initial_keys(self.suite, dst_cid, side)
    }

    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        let server_name = match &self.session {
            QuicTls::Server(server) => server.server_name().map(str::to_owned),
            QuicTls::Client(_) => None,
        };
        self.told.then(|| {
            Box::new(TlsFacts {
                alpn: self.session.alpn_protocol().map(<[u8]>::to_vec),
                server_name,
                cipher_suite: self.session.negotiated_cipher_suite().map(|suite| u16::from(suite.suite())),
                resumed: self.session.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            }) as Box<dyn Any>
        })
    }

    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        let chain = self.session.peer_certificates()?;
        Some(Box::new(chain.iter().map(|certificate| certificate.to_vec()).collect::<Vec<_>>()))
    }

    fn early_crypto(&self) -> Option<(Box<dyn crypto::HeaderKey>, Box<dyn crypto::PacketKey>)> {
        let keys = self.session.zero_rtt_keys()?;
        Some((Box::new(keys.header), Box::new(keys.packet)))
    }

    fn early_data_accepted(&self) -> Option<bool> {
        match &self.session {
            QuicTls::Client(client) => Some(client.is_early_data_accepted()),
            QuicTls::Server(_) => None,
        }
    }

    fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    fn read_handshake(&mut self, data: &[u8]) -> Result<bool, TransportError> {
        self.session.read_hs(data).map_err(|error| TransportError {
            code: match self.session.alert() {
                Some(alert) => TransportErrorCode::crypto(alert.into()),
                None => TransportErrorCode::PROTOCOL_VIOLATION,
            },
            frame: None,
            reason: tls::explain(&error),
        })?;
        // ALPN is always offered here, so it is known as soon as anything is.
        let news = !self.told && (self.session.alpn_protocol().is_some() || !self.session.is_handshaking());
        self.told |= news;
        Ok(news)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        let side = match self.session {
            QuicTls::Client(_) => Side::Client,
            QuicTls::Server(_) => Side::Server,
        };
        match self.session.quic_transport_parameters() {
            None => Ok(None),
            Some(mut encoded) => Ok(Some(TransportParameters::read(side, &mut encoded)?)),
        }
    }

    fn write_handshake(&mut self, buffer: &mut Vec<u8>) -> Option<crypto::Keys> {
        Some(keys(match self.session.write_hs(buffer)? {
            KeyChange::Handshake { keys } => keys,
            KeyChange::OneRtt { keys, next } => {
                self.secrets = Some(next);
                keys
            }
        }))
    }

    fn next_1rtt_keys(&mut self) -> Option<crypto::KeyPair<Box<dyn crypto::PacketKey>>> {
        let next = self.secrets.as_mut()?.next_packet_keys();
        Some(crypto::KeyPair { local: Box::new(next.local), remote: Box::new(next.remote) })
    }

    fn is_valid_retry(&self, orig_dst_cid: &ConnectionId, header: &[u8], payload: &[u8]) -> bool {
        let Some((token, tag)) = payload.split_last_chunk::<16>() else {
            return false;
        };
        // The tag is no secret: it guards against accidents, its key is in the RFC.
        retry_tag(orig_dst_cid, &[header, token].concat()) == *tag
    }

    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), crypto::ExportKeyingMaterialError> {
        let done = self.session.export_keying_material(output, label, Some(context));
        done.map(|_| ()).map_err(|_| crypto::ExportKeyingMaterialError)
    }
}

pub(super) struct ClientCrypto {
    pub(super) tls: Arc<rustls::ClientConfig>,
    pub(super) suite: Suite,
}

impl crypto::ClientConfig for ClientCrypto {
    fn start_session(
        self: Arc<Self>,
        version: u32,
        server_name: &str,
        params: &TransportParameters,
    ) -> Result<Box<dyn crypto::Session>, ConnectError> {
        let version = tls_version(version)?;
        let bad_name = |_| ConnectError::InvalidServerName(server_name.to_owned());
        let name = rustls::pki_types::ServerName::try_from(server_name).map_err(bad_name)?.to_owned();
        let client = rustls::quic::ClientConnection::new(self.tls.clone(), version, name, encoded(params));
        let client = client.map_err(|error| ConnectError::InvalidServerName(format!("{server_name}: {error}")))?;
        Ok(Tls::new(QuicTls::Client(client), self.suite))
    }
}

pub(super) struct ServerCrypto {
    pub(super) tls: Arc<rustls::ServerConfig>,
    pub(super) suite: Suite,
}

impl crypto::ServerConfig for ServerCrypto {
    fn initial_keys(&self, version: u32, dst_cid: &ConnectionId) -> Result<crypto::Keys, crypto::UnsupportedVersion> {
        tls_version(version)?;
        Ok(initial_keys(self.suite, dst_cid, Side::Server))
    }

    fn retry_tag(&self, _version: u32, orig_dst_cid: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        retry_tag(orig_dst_cid, packet)
    }

    fn start_session(self: Arc<Self>, _version: u32, params: &TransportParameters) -> Box<dyn crypto::Session> {
        let server = rustls::quic::ServerConnection::new(self.tls.clone(), Version::V1, encoded(params));
        Tls::new(QuicTls::Server(server.expect("tls::server makes settings that QUIC can use")), self.suite)
    }
}

fn tls_version(version: u32) -> Result<Version, crypto::UnsupportedVersion> {
    if version == QUIC_V1 { Ok(Version::V1) } else { Err(crypto::UnsupportedVersion) }
}

fn encoded(params: &TransportParameters) -> Vec<u8> {
    let mut buffer = Vec::new();
    params.write(&mut buffer);
    buffer
}

fn initial_keys(suite: Suite, dst_cid: &ConnectionId, side: Side) -> crypto::Keys {
    let side = if side == Side::Client { rustls::Side::Client } else { rustls::Side::Server };
    keys(suite.keys(dst_cid, side, Version::V1))
}

fn keys(keys: rustls::quic::Keys) -> crypto::Keys {
    crypto::Keys {
        header: crypto::KeyPair { local: Box::new(keys.local.header), remote: Box::new(keys.remote.header) },
        packet: crypto::KeyPair { local: Box::new(keys.local.packet), remote: Box::new(keys.remote.packet) },
    }
}

/// RFC 9001 section 5.8.
fn retry_tag(orig_dst_cid: &ConnectionId, packet: &[u8]) -> [u8; 16] {
    use provider::aead;
    const KEY: u128 = 0xbe0c690b9f66575a1d766b54e368c84e;
    const NONCE: [u8; 12] = [0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb];
    let key = aead::UnboundKey::new(&aead::AES_128_GCM, &KEY.to_be_bytes()).expect("the key is 16 bytes");
    let pseudo = [&[orig_dst_cid.len() as u8][..], orig_dst_cid, packet].concat();
    let nonce = aead::Nonce::assume_unique_for_key(NONCE);
    let tag = aead::LessSafeKey::new(key).seal_in_place_separate_tag(nonce, aead::Aad::from(pseudo), &mut []);
    tag.expect("nothing to seal").as_ref().try_into().expect("the tag is 16 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_retry_tag_is_that_of_rfc_9001_appendix_a_4() {
        let orig = ConnectionId::new(&[0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08]);
        let packet = b"\xff\0\0\0\x01\0\x08\xf0\x67\xa5\x50\x2a\x42\x62\xb5token";
        let tag = retry_tag(&orig, packet);
        assert_eq!(tag, 0x04a265ba2eff4d829058fb3f0f2496bau128.to_be_bytes());
    }
}
