//! `ServerTls`, `ClientTls` and `Transport`.

use std::sync::Arc;

use pyo3::{exceptions::PyValueError, prelude::*, types::PyBytes};

use super::convert::{file_error, file_path, seconds};
use crate::{
    settings::{Congestion, Settings},
    tls::{self, ClientCertificates, TlsError},
};

fn raised(error: TlsError) -> PyErr {
    match error {
        TlsError::Value(sentence) => PyValueError::new_err(sentence),
        TlsError::File(path, error) => file_error(&error, &path),
    }
}

fn protocols(alpn: Option<Vec<Bound<'_, PyBytes>>>) -> Vec<Vec<u8>> {
    match alpn {
        None => vec![b"h3".to_vec()],
        Some(names) => names.iter().map(|name| name.as_bytes().to_vec()).collect(),
    }
}

/// A server's TLS settings.
#[pyclass(frozen, module = "h3push._quic")]
pub struct ServerTls {
    pub config: Arc<rustls::ServerConfig>,
    /// The secret that endpoints derive their keys from.
    pub secret: Vec<u8>,
}

#[pymethods]
impl ServerTls {
    #[new]
    #[pyo3(signature = (identities, *, alpn=None, client_ca=None, require_client=true, early_data=false, ticket_key=None,
        key_log_file=None))]
    #[allow(clippy::too_many_arguments)] // keywords, in Python
    fn new(
        identities: Vec<(Bound<'_, PyBytes>, Bound<'_, PyBytes>)>,
        alpn: Option<Vec<Bound<'_, PyBytes>>>,
        client_ca: Option<&[u8]>,
        require_client: bool,
        early_data: bool,
        ticket_key: Option<&[u8]>,
        key_log_file: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let identities: Vec<_> = identities.iter().map(|(chain, key)| (chain.as_bytes(), key.as_bytes())).collect();
        let key_log_file = key_log_file.map(file_path).transpose()?;
        let clients = client_ca.map(|authorities| ClientCertificates { authorities, required: require_client });
        let config =
            tls::server(&identities, protocols(alpn), clients, early_data, ticket_key, key_log_file.as_deref());
        let config = config.map_err(raised)?;
        Ok(Self { config, secret: tls::secret_of(&identities).map_err(raised)? })
    }
}

/// A client's TLS settings.
#[pyclass(frozen, module = "h3push._quic")]
pub struct ClientTls {
    pub config: Arc<rustls::ClientConfig>,
}

#[pymethods]
impl ClientTls {
    #[new]
    #[pyo3(signature = (*, trust=None, verify=true, alpn=None, early_data=false, identity=None, key_log_file=None))]
    fn new(
        trust: Option<&[u8]>,
        verify: bool,
        alpn: Option<Vec<Bound<'_, PyBytes>>>,
        early_data: bool,
        identity: Option<(Bound<'_, PyBytes>, Bound<'_, PyBytes>)>,
        key_log_file: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let identity = identity.as_ref().map(|(chain, key)| (chain.as_bytes(), key.as_bytes()));
        let key_log_file = key_log_file.map(file_path).transpose()?;
        let config = tls::client(trust, verify, protocols(alpn), early_data, identity, key_log_file.as_deref());
        let config = config.map_err(raised)?;
        Ok(Self { config })
    }
}

/// QUIC transport settings.
#[pyclass(frozen, module = "h3push._quic")]
pub struct Transport {
    pub settings: Settings,
}

#[pymethods]
impl Transport {
    #[new]
    #[pyo3(signature = (
        *,
        idle_timeout = 30.0,
        handshake_timeout = 10.0,
        keep_alive_interval = None,
        max_bidirectional_streams = 100,
        max_unidirectional_streams = 16,
        stream_receive_window = 262144,
        connection_receive_window = 1048576,
        send_window = 1048576,
        high_water = 65536,
        low_water = 16384,
        max_connections = 10000,
        max_connections_per_address = 1000,
        evict_idle_after = 10.0,
        byte_budget = 1073741824,
        byte_budget_per_address = 268435456,
        retry_above = 1000,
        ask_incoming = false,
        first_read_unidirectional = 0,
        congestion = "cubic",
        initial_window = 10,
        initial_rtt = 0.333,
        max_datagram_frame = 0,
        migration = true,
        mtu_discovery = true,
        initial_mtu = 1200,
        max_open_files = 64,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn new(
        idle_timeout: f64,
        handshake_timeout: f64,
        keep_alive_interval: Option<f64>,
        max_bidirectional_streams: u64,
        max_unidirectional_streams: u64,
        stream_receive_window: u64,
        connection_receive_window: u64,
        send_window: u64,
        high_water: u64,
        low_water: u64,
        max_connections: usize,
        max_connections_per_address: usize,
        evict_idle_after: f64,
        byte_budget: u64,
        byte_budget_per_address: u64,
        retry_above: usize,
        ask_incoming: bool,
        first_read_unidirectional: usize,
        congestion: &str,
        initial_window: u64,
        initial_rtt: f64,
        max_datagram_frame: usize,
        migration: bool,
        mtu_discovery: bool,
        initial_mtu: u16,
        max_open_files: usize,
    ) -> PyResult<Self> {
        let settings = Settings {
            idle_timeout: seconds("idle_timeout", idle_timeout)?,
            handshake_timeout: seconds("handshake_timeout", handshake_timeout)?,
            keep_alive: keep_alive_interval.map(|value| seconds("keep_alive_interval", value)).transpose()?,
            max_bidirectional_streams,
            max_unidirectional_streams,
            stream_receive_window,
            connection_receive_window,
            send_window,
            high_water,
            low_water,
            max_connections,
            max_connections_per_address,
            evict_idle_after: seconds("evict_idle_after", evict_idle_after)?,
            byte_budget,
            byte_budget_per_address,
            retry_above,
            ask_incoming,
            first_read_unidirectional,
            congestion: controller(congestion)?,
            initial_window,
            initial_rtt: seconds("initial_rtt", initial_rtt)?,
            max_datagram_frame,
            migration,
            mtu_discovery,
            initial_mtu,
            max_open_files,
        };
        settings.check().map_err(PyValueError::new_err)?;
        Ok(Self { settings })
    }
}

fn controller(name: &str) -> PyResult<Congestion> {
    match name {
        "cubic" => Ok(Congestion::Cubic),
        "new_reno" => Ok(Congestion::NewReno),
        _ => Err(PyValueError::new_err(format!("congestion is {name:?}; it can be \"cubic\" or \"new_reno\""))),
    }
}
