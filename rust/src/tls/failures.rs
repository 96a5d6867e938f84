//! TLS failures in sentences.

use rustls::{CertificateError, pki_types::UnixTime};

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
    match error {
        E::UnknownIssuer => "the certificate is not trusted: no authority that we trust has issued it".to_owned(),
        E::NotValidForName => "the certificate is for another name".to_owned(),
        E::NotValidForNameContext { expected, presented } => {
            format!("the certificate is not for {}; it is for {}", expected.to_str(), listed(presented))
        }
        E::Expired => "the certificate has expired".to_owned(),
        E::ExpiredContext { time, not_after } => {
            format!("the certificate has expired, {} ago", days(not_after, time))
        }
        E::NotValidYet => "the certificate is not valid yet".to_owned(),
        E::NotValidYetContext { time, not_before } => {
            format!("the certificate is not valid before another {}", days(time, not_before))
        }
        E::Revoked => "the certificate is revoked".to_owned(),
        E::BadSignature => "the certificate has a wrong signature".to_owned(),
        other => format!("the certificate is not acceptable: {other}"),
    }
}

/// A time in days, and at least one: nobody is told that something ended no days ago.
fn days(from: &UnixTime, to: &UnixTime) -> String {
    match to.as_secs().saturating_sub(from.as_secs()) / 86400 {
        0 | 1 => "1 day".to_owned(),
        days => format!("{days} days"),
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

/// The meaning of a QUIC or TLS error code, where the peer gave no reason.
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
