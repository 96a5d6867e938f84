//! TLS settings from PEM, checked where they are made, and TLS failures in sentences.
//!
//! Trust of the system comes from rustls-native-certs and not from rustls-platform-verifier: on Linux both read the same
//! files (and `SSL_CERT_FILE`, `SSL_CERT_DIR`), and this one brings no platform bindings along. Sessions for resumption are
//! kept in the settings object, on both sides; 0-RTT needs that (rustls takes early data with stateful sessions only). Servers
//! that share a port may put them into tickets instead, with a key that they share.

mod certificates;
mod failures;
mod tickets;
mod trust;

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use rustls::{
    DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    quic::Suite,
    server::{ServerSessionMemoryCache, WebPkiClientVerifier, danger::ClientCertVerifier},
};

use self::{certificates::ByName, tickets::SharedTickets, trust::Given};
pub use self::{
    certificates::steady,
    failures::{alert_reason, explain},
};

#[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
use rustls::crypto::aws_lc_rs as backend;
#[cfg(feature = "ring")]
use rustls::crypto::ring as backend;

/// The name of the cryptography provider.
pub const PROVIDER: &str = if cfg!(feature = "ring") { "ring" } else { "aws-lc-rs" };

/// Sessions that a server remembers (32 bytes of ticket each on the wire, some hundred here).
const SERVER_SESSIONS: usize = 4096;
/// Server names whose sessions a client remembers.
const CLIENT_SESSIONS: usize = 256;

/// Why settings could not be made.
#[derive(Debug)]
pub enum TlsError {
    /// One clear sentence.
    Value(String),
    /// A file could not be opened.
    File(PathBuf, std::io::Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Value(sentence) => f.write_str(sentence),
            TlsError::File(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

fn value<T>(sentence: impl Into<String>) -> Result<T, TlsError> {
    Err(TlsError::Value(sentence.into()))
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(backend::default_provider())).clone()
}

/// Fill with randomness of the operating system.
fn random(bytes: &mut [u8]) -> Option<()> {
    provider().secure_random.fill(bytes).ok()
}

/// The cipher suite of Initial packets, which every provider has.
pub fn initial_suite(provider: &Arc<CryptoProvider>) -> Suite {
    let mut suites = provider.cipher_suites.iter().filter_map(|suite| suite.tls13());
    let suite = suites.find(|suite| suite.common.suite == rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    suite.and_then(|suite| suite.quic_suite()).expect("the provider has AES-128-GCM for QUIC")
}

/// A certificate chain and its key, both PEM.
pub type IdentityPem<'a> = (&'a [u8], &'a [u8]);

/// The private key of the first identity, DER: what an endpoint derives its own keys from.
pub fn secret_of(identities: &[IdentityPem<'_>]) -> Result<Vec<u8>, TlsError> {
    match identities.first() {
        Some((_, key)) => Ok(parse_key(key)?.secret_der().to_vec()),
        None => value("identities is empty: a server needs a certificate"),
    }
}

/// The clients that a server lets in by their certificates.
#[derive(Clone, Copy, Debug)]
pub struct ClientCertificates<'a> {
    /// PEM of the authorities that may have signed them.
    pub authorities: &'a [u8],
    /// True to refuse a client without one.
    pub required: bool,
}

/// Make a server's settings.
pub fn server(
    identities: &[IdentityPem<'_>],
    alpn: Vec<Vec<u8>>,
    clients: Option<ClientCertificates<'_>>,
    early_data: bool,
    ticket_key: Option<&[u8]>,
    key_log_file: Option<&Path>,
) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    if early_data && ticket_key.is_some() {
        return value("early data needs sessions that this server remembers: it cannot go with a ticket key");
    }
    let resolver = ByName::new(identities)?;
    let builder = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(client_verifier(clients)?),
    };
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = checked_alpn(alpn)?;
    config.max_early_data_size = if early_data { u32::MAX } else { 0 };
    match ticket_key {
        Some(key) => config.ticketer = Arc::new(SharedTickets::new(key)?),
        None => config.session_storage = ServerSessionMemoryCache::new(SERVER_SESSIONS),
    }
    if let Some(path) = key_log_file {
        config.key_log = Arc::new(KeyLogFile::open(path)?);
    }
    Ok(Arc::new(config))
}

fn client_verifier(clients: ClientCertificates<'_>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let roots = Arc::new(authorities(clients.authorities)?);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| TlsError::Value(format!("the authorities of clients cannot be used: {error}")))
}

/// Make a client's settings.
pub fn client(
    trust: Option<&[u8]>,
    verify: bool,
    alpn: Vec<Vec<u8>>,
    early_data: bool,
    identity: Option<IdentityPem<'_>>,
    key_log_file: Option<&Path>,
) -> Result<Arc<rustls::ClientConfig>, TlsError> {
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3");
    let builder = match (verify, trust) {
        (true, Some(pem)) => {
            let verifier = Given::new(authorities(pem)?, pem)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        (true, None) => builder.with_root_certificates(system_authorities()?),
        (false, _) => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone)),
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let (chain, key) = (parse_chain(chain)?, parse_key(key)?);
            let refused = |error| TlsError::Value(identity_sentence(&error));
            builder.with_client_auth_cert(chain, key).map_err(refused)?
        }
    };
    config.alpn_protocols = checked_alpn(alpn)?;
    config.enable_early_data = early_data;
    config.resumption = Resumption::in_memory_sessions(CLIENT_SESSIONS);
    if let Some(path) = key_log_file {
        config.key_log = Arc::new(KeyLogFile::open(path)?);
    }
    Ok(Arc::new(config))
}

fn checked_alpn(alpn: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, TlsError> {
    if alpn.is_empty() {
        return value("alpn is empty: QUIC needs an application protocol");
    }
    if alpn.iter().any(|name| name.is_empty() || name.len() > 255) {
        return value("an alpn name must have 1 to 255 bytes");
    }
    Ok(alpn)
}

fn parse_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    match CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>() {
        Ok(chain) if chain.is_empty() => value("there is no certificate in the certificate PEM"),
        Ok(chain) => Ok(chain),
        Err(error) => value(format!("the certificate PEM cannot be read: {error}")),
    }
}

fn parse_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    use rustls::pki_types::pem::Error;
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) => Ok(key),
        Err(Error::NoItemsFound) if pem.windows(9).any(|word| word == b"ENCRYPTED") => {
            value("the private key is encrypted; decrypt it first")
        }
        Err(Error::NoItemsFound) => value("there is no private key in the key PEM"),
        Err(error) => value(format!("the private key PEM cannot be read: {error}")),
    }
}

fn identity_sentence(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => "the private key does not belong to the certificate".to_owned(),
        rustls::Error::InvalidCertificate(_) => "the certificate cannot be read".to_owned(),
        other => format!("certificate and private key cannot be used: {other}"),
    }
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let unreadable = |error: &dyn fmt::Display| TlsError::Value(format!("the trust PEM cannot be read: {error}"));
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|error| unreadable(&error))?).map_err(|error| unreadable(&error))?;
    }
    if roots.is_empty() {
        return value("there is no certificate in the trust PEM");
    }
    Ok(roots)
}

/// Read once per process: there are some 150 of them.
fn system_authorities() -> Result<Arc<RootCertStore>, TlsError> {
    static SYSTEM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = SYSTEM.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    if roots.is_empty() {
        return value("the system trusts no certificate authority: install ca-certificates or pass `trust`");
    }
    Ok(roots.clone())
}

/// `verify=False`: any certificate will do, but the server must still hold its key.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("QUIC has no TLS 1.2".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// An NSS key log, appended to: what SSLKEYLOGFILE is elsewhere.
#[derive(Debug)]
struct KeyLogFile(Mutex<File>);

impl KeyLogFile {
    /// Whoever reads it reads the connections: it is made for its owner alone.
    fn open(path: &Path) -> Result<Self, TlsError> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        let file = file.map_err(|error| TlsError::File(path.to_path_buf(), error))?;
        Ok(Self(Mutex::new(file)))
    }
}

impl rustls::KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        // A log that cannot be written must not end connections.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
    }
}
