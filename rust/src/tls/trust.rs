//! Trust in the certificates of a file that somebody named, as curl has it.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};

use super::{TlsError, provider};

/// Certificates of a file: each is an authority, and each may be the server's own.
///
/// webpki takes no certificate for a server's that says of itself that it is an authority's, as those do that are made
/// with `openssl req -x509`. Somebody who names the file means exactly that certificate, so its name is what is left to
/// check: webpki looks at the dates before it looks at the purpose.
#[derive(Debug)]
pub struct Given {
    authorities: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Given {
    /// Trust what is in `pem`, of which `roots` was made.
    pub fn new(roots: RootCertStore, pem: &[u8]) -> Result<Self, TlsError> {
        let unusable =
            |error: &dyn std::fmt::Display| TlsError::Value(format!("the trust PEM cannot be used: {error}"));
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
        Ok(Self {
            authorities: verifier.build().map_err(|error| unusable(&error))?,
            certificates: CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect(),
        })
    }
}

fn is_purpose(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(error))) = error else {
        return false;
    };
    matches!(error.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

impl ServerCertVerifier for Given {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judged = self.authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match judged {
            Err(error) if is_purpose(&error) && self.certificates.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}
