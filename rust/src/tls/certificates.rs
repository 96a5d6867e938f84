//! Which certificate a server shows, and signatures of one length where the sizes of packets are to be the same every time.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    SignatureAlgorithm, SignatureScheme,
    pki_types::{CertificateDer, SubjectPublicKeyInfoDer},
    server::{ClientHello, ResolvesServerCert},
    sign::{CertifiedKey, Signer, SigningKey},
};

use super::{IdentityPem, TlsError, identity_sentence, parse_chain, parse_key, provider, value};

/// Picks the certificate by the names in it; the first one for everything else.
#[derive(Debug)]
pub(super) struct ByName {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By the parent of `*.parent`.
    wildcards: HashMap<String, Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
}

impl ByName {
    pub(super) fn new(identities: &[IdentityPem<'_>]) -> Result<Self, TlsError> {
        let (mut exact, mut wildcards, mut default) = (HashMap::new(), HashMap::new(), None);
        for (chain, key) in identities {
            let chain = parse_chain(chain)?;
            let names = dns_names(&chain[0])?;
            let refused = |error| TlsError::Value(identity_sentence(&error));
            let key = Arc::new(CertifiedKey::from_der(chain, parse_key(key)?, &provider()).map_err(refused)?);
            default.get_or_insert_with(|| key.clone());
            for name in names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut wildcards, parent.to_owned()),
                    None => (&mut exact, name),
                };
                map.entry(name).or_insert_with(|| key.clone());
            }
        }
        match default {
            Some(default) => Ok(Self { exact, wildcards, default }),
            None => value("identities is empty: a server needs a certificate"),
        }
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let parent = name.split_once('.').map(|(_, parent)| parent);
        self.exact.get(&name).or_else(|| self.wildcards.get(parent?))
    }
}

fn dns_names(leaf: &CertificateDer<'_>) -> Result<Vec<String>, TlsError> {
    match webpki::EndEntityCert::try_from(leaf) {
        Ok(leaf) => Ok(leaf.valid_dns_names().map(str::to_ascii_lowercase).collect()),
        Err(error) => value(format!("the certificate cannot be read: {error}")),
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = hello.server_name().and_then(|name| self.find(name));
        Some(found.unwrap_or(&self.default).clone())
    }
}

/// The same settings with ECDSA signatures of one length, for drivers that promise the same packet sizes every time: the
/// length of a DER signature depends on chance, so sign until it is the likeliest one (every second attempt).
pub fn steady(config: &Arc<rustls::ServerConfig>) -> Arc<rustls::ServerConfig> {
    let mut config = rustls::ServerConfig::clone(config);
    config.cert_resolver = Arc::new(Steady(config.cert_resolver.clone()));
    Arc::new(config)
}

#[derive(Debug)]
struct Steady<T: ?Sized>(Arc<T>);

impl ResolvesServerCert for Steady<dyn ResolvesServerCert> {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = self.0.resolve(hello)?;
        let mut steady = CertifiedKey::new(found.cert.clone(), Arc::new(Steady(found.key.clone())));
        steady.ocsp.clone_from(&found.ocsp);
        Some(Arc::new(steady))
    }
}

impl SigningKey for Steady<dyn SigningKey> {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(SteadySigner(self.0.choose_scheme(offered)?)))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.0.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}

#[derive(Debug)]
struct SteadySigner(Box<dyn Signer>);

impl Signer for SteadySigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let length = match self.scheme() {
            SignatureScheme::ECDSA_NISTP256_SHA256 => 71,
            SignatureScheme::ECDSA_NISTP384_SHA384 => 103,
            _ => return self.0.sign(message),
        };
        loop {
            let signature = self.0.sign(message)?;
            if signature.len() == length {
                return Ok(signature);
            }
        }
    }

    fn scheme(&self) -> SignatureScheme {
        self.0.scheme()
    }
}
