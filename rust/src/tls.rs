//! TLS settings from PEM, checked where they are made, and TLS failures in sentences.
//!
//! Trust of the system comes from rustls-native-certs and not from rustls-platform-verifier: on Linux both read the same
//! files (and `SSL_CERT_FILE`, `SSL_CERT_DIR`), and this one brings no platform bindings along. Sessions for resumption are
//! kept in the settings object, on both sides; 0-RTT needs that (rustls takes early data with stateful sessions only).

use std::{
    collections::HashMap,
    fmt,
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use rustls::{
    CertificateError, DigitallySignedStruct, RootCertStore, SignatureAlgorithm, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime, pem::PemObject},
    quic::Suite,
    server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache},
    sign::{CertifiedKey, Signer, SigningKey},
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

/// Make a server's settings.
pub fn server(
    identities: &[IdentityPem<'_>],
    alpn: Vec<Vec<u8>>,
    early_data: bool,
    key_log_file: Option<&Path>,
) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    let resolver = ByName::new(identities)?;
    let builder = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3");
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = checked_alpn(alpn)?;
    config.max_early_data_size = if early_data { u32::MAX } else { 0 };
    config.session_storage = ServerSessionMemoryCache::new(SERVER_SESSIONS);
    if let Some(path) = key_log_file {
        config.key_log = Arc::new(KeyLogFile::open(path)?);
    }
    Ok(Arc::new(config))
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
        (true, Some(pem)) => builder.with_root_certificates(authorities(pem)?),
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

/// Picks the certificate by the names in it; the first one for everything else.
#[derive(Debug)]
struct ByName {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By the parent of `*.parent`.
    wildcards: HashMap<String, Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
}

impl ByName {
    fn new(identities: &[IdentityPem<'_>]) -> Result<Self, TlsError> {
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

/// A TLS failure on our side, as a sentence for whoever typed the host name.
pub fn explain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => explain_certificate(error),
        rustls::Error::NoApplicationProtocol => "the peer speaks none of our application protocols (ALPN)".to_owned(),
        rustls::Error::AlertReceived(alert) => alert_reason(0x100 + u64::from(u8::from(*alert))),
        rustls::Error::NoCertificatesPresented => "the peer sent no certificate".to_owned(),
        other => other.to_string(),
    }
}

fn explain_certificate(error: &CertificateError) -> String {
    use CertificateError as E;
    let days = |from: &UnixTime, to: &UnixTime| to.as_secs().saturating_sub(from.as_secs()) / 86400;
    match error {
        E::UnknownIssuer => "the certificate is not trusted: no authority that we trust has issued it".to_owned(),
        E::NotValidForName => "the certificate is for another name".to_owned(),
        E::NotValidForNameContext { expected, presented } => {
            format!("the certificate is not for {}; it is for {}", expected.to_str(), listed(presented))
        }
        E::Expired => "the certificate has expired".to_owned(),
        E::ExpiredContext { time, not_after } => {
            format!("the certificate has expired, {} days ago", days(not_after, time))
        }
        E::NotValidYet => "the certificate is not valid yet".to_owned(),
        E::NotValidYetContext { time, not_before } => {
            format!("the certificate is not valid before another {} days", days(time, not_before))
        }
        E::Revoked => "the certificate is revoked".to_owned(),
        E::BadSignature => "the certificate has a wrong signature".to_owned(),
        other => format!("the certificate is not acceptable: {other}"),
    }
}

/// `DnsName("a")`, `IpAddress(..)` as rustls writes them, for people.
fn listed(presented: &[String]) -> String {
    let plain = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
    match presented {
        [] => "no name at all".to_owned(),
        names => names.iter().map(plain).collect::<Vec<_>>().join(", "),
    }
}

/// What a QUIC or TLS error code means, where the peer gave no reason.
pub fn alert_reason(code: u64) -> String {
    let text = match code {
        0x1 => "internal error",
        0x2 => "the server refuses new connections",
        0x3 => "flow control error",
        0x4 => "stream limit error",
        0x5 => "stream state error",
        0x6 => "final size error",
        0x7 => "frame encoding error",
        0x8 => "transport parameter error",
        0x9 => "connection ID limit error",
        0xa => "protocol violation",
        0xb => "invalid token",
        0xc => "application error",
        0xd => "crypto buffer exceeded",
        0xe => "key update error",
        0xf => "AEAD limit reached",
        0x10 => "no viable path",
        0x128 => "TLS: handshake failure, nothing acceptable in common",
        0x12a => "TLS: the certificate is bad",
        0x12b => "TLS: the certificate is of an unsupported kind",
        0x12c => "TLS: the certificate is revoked",
        0x12d => "TLS: the certificate has expired",
        0x12e => "TLS: the certificate is not acceptable",
        0x130 => "TLS: the certificate authority is unknown",
        0x133 => "TLS: decrypt error",
        0x146 => "TLS: protocol version not supported",
        0x150 => "TLS: internal error",
        0x16d => "TLS: an extension is missing",
        0x170 => "TLS: the server does not know this name",
        0x174 => "TLS: a client certificate is required",
        0x178 => "TLS: no application protocol in common (ALPN)",
        0x100..=0x1ff => return format!("TLS alert {}", code - 0x100),
        _ => "",
    };
    text.to_owned()
}
