//! The base class of the drivers: everything that can be done with connections and streams.

use std::{net::SocketAddr, ops::Range, sync::Arc};

use bytes::Bytes;
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
    pybacked::PyBackedBytes,
    types::{PyBytes, PyDict, PyList},
};

use super::{
    convert::{address, file_error, file_path, seconds, socket_address},
    settings::{ClientTls, ServerTls},
};
use crate::{core::quinn::ConnectFailed, threaded::Shared};

/// Error codes, keying material: numbers and lengths that cannot be are a mistake of the caller.
const MAX_CODE: u64 = (1 << 62) - 1;
const MAX_EXPORT: usize = 8160;
/// From here on a write keeps its object instead of copying: below, the copy costs less.
const SHARE_FROM: usize = 16 << 10;

/// `_Streams`: what every driver can do with its connections.
#[pyclass(subclass, frozen, name = "_Streams", module = "h3push._quic")]
pub struct Streams {
    /// The core, and whether somebody is to be told.
    pub shared: Arc<Shared>,
    /// True when the socket behind is IPv6, so that IPv4 addresses are written the IPv6 way.
    pub maps_ipv4: bool,
    /// Deterministic drivers sign deterministically.
    pub steady: bool,
}

impl Streams {
    fn target(&self, to: &(&str, u16)) -> PyResult<SocketAddr> {
        match socket_address(to)? {
            SocketAddr::V4(v4) if self.maps_ipv4 => Ok(SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())),
            other => Ok(other),
        }
    }

    fn write_within(
        &self,
        connection: u64,
        stream: u64,
        data: &Bound<'_, PyBytes>,
        part: Range<usize>,
        fin: bool,
    ) -> u64 {
        let data = kept(data, part);
        self.shared.with(|core| core.write_shared(connection, stream, data, fin))
    }
}

/// A part of `data` for quinn. Large ones are not copied: the object lives until the last of its bytes has been acknowledged.
///
/// Letting go of an object runs its class's code, and that may happen under the core's lock: nothing but plain `bytes` is kept.
fn kept(data: &Bound<'_, PyBytes>, part: Range<usize>) -> Bytes {
    if part.len() < SHARE_FROM || !data.is_exact_instance_of::<PyBytes>() {
        return Bytes::copy_from_slice(&data.as_bytes()[part]);
    }
    Bytes::from_owner(PyBackedBytes::from(data.clone())).slice(part)
}

fn code(error_code: u64) -> PyResult<u64> {
    if error_code <= MAX_CODE {
        Ok(error_code)
    } else {
        Err(PyValueError::new_err("an error code is at most 2**62 - 1"))
    }
}

#[pymethods]
impl Streams {
    fn open(&self, connection: u64, unidirectional: bool) -> Option<u64> {
        self.shared.with(|core| core.open(connection, unidirectional))
    }

    /// How many of `wanted` streams `open` could give now.
    fn stream_credit(&self, connection: u64, unidirectional: bool, wanted: usize) -> usize {
        self.shared.with(|core| core.stream_credit(connection, unidirectional, wanted))
    }

    /// Take everything; return the bytes of this stream that quinn has not taken yet.
    fn write(&self, connection: u64, stream: u64, data: &Bound<'_, PyBytes>, fin: bool) -> u64 {
        let size = data.as_bytes().len();
        self.write_within(connection, stream, data, 0..size, fin)
    }

    /// Open a unidirectional stream, give it a priority and send all of it; `None` when the peer's limit allows none.
    fn send_stream(&self, connection: u64, priority: i32, data: &Bound<'_, PyBytes>) -> Option<u64> {
        let data = kept(data, 0..data.as_bytes().len());
        self.shared.with(|core| core.send_stream(connection, priority, data))
    }

    /// The same for a part of `data`, which is not cut out of it.
    fn write_part(
        &self,
        connection: u64,
        stream: u64,
        data: &Bound<'_, PyBytes>,
        offset: usize,
        length: usize,
        fin: bool,
    ) -> PyResult<u64> {
        let end = offset.checked_add(length).filter(|&end| end <= data.as_bytes().len());
        let end = end.ok_or_else(|| PyValueError::new_err("the part is not within the data"))?;
        Ok(self.write_within(connection, stream, data, offset..end, fin))
    }

    fn writev(&self, connection: u64, stream: u64, buffers: Vec<Bound<'_, PyBytes>>, fin: bool) -> u64 {
        let buffers: Vec<&[u8]> = buffers.iter().map(|buffer| buffer.as_bytes()).collect();
        self.shared.with(|core| core.write_all(connection, stream, &buffers, fin))
    }

    /// Send a part of a file, read as the stream takes it.
    fn write_file(
        &self,
        connection: u64,
        stream: u64,
        path: &Bound<'_, PyAny>,
        offset: u64,
        length: u64,
        fin: bool,
    ) -> PyResult<()> {
        let path = file_path(path)?;
        let files = self.shared.lock().files();
        let source = files.open(&path).map_err(|error| file_error(&error, &path))?;
        self.shared.with(|core| core.write_file(connection, stream, (source, offset, length), fin));
        Ok(())
    }

    fn reset(&self, connection: u64, stream: u64, error_code: u64) -> PyResult<()> {
        let code = code(error_code)?;
        self.shared.with(|core| core.reset(connection, stream, code));
        Ok(())
    }

    fn stop(&self, connection: u64, stream: u64, error_code: u64) -> PyResult<()> {
        let code = code(error_code)?;
        self.shared.with(|core| core.stop(connection, stream, code));
        Ok(())
    }

    fn set_priority(&self, connection: u64, stream: u64, priority: i32) {
        self.shared.with(|core| core.set_priority(connection, stream, priority));
    }

    fn pause(&self, connection: u64, stream: u64) {
        self.shared.with(|core| core.pause(connection, stream));
    }

    /// The next `recv`, `tick` or `events` call delivers what is readable.
    fn resume(&self, connection: u64, stream: u64) {
        self.shared.with(|core| core.resume(connection, stream));
    }

    fn send_datagram(&self, connection: u64, data: &[u8]) -> bool {
        self.shared.with(|core| core.send_datagram(connection, data))
    }

    fn max_datagram(&self, connection: u64) -> Option<usize> {
        self.shared.with(|core| core.max_datagram(connection))
    }

    /// Begin a connection.
    #[pyo3(signature = (address, server_name, *, client=None))]
    fn connect(&self, address: (&str, u16), server_name: &str, client: Option<&Bound<'_, ClientTls>>) -> PyResult<u64> {
        let remote = self.target(&address)?;
        let client = client.map(|client| client.get().config.clone());
        match self.shared.with(|core| core.connect(remote, server_name, client)) {
            Some(Ok(connection)) => Ok(connection),
            Some(Err(ConnectFailed::Name(name))) => {
                Err(PyValueError::new_err(format!("{name:?} cannot be the name of a server")))
            }
            Some(Err(ConnectFailed::Address(_))) => {
                Err(PyValueError::new_err(format!("{} port {} is not an address to connect to", address.0, address.1)))
            }
            Some(Err(ConnectFailed::Other(reason))) => Err(PyRuntimeError::new_err(reason)),
            None => Err(PyRuntimeError::new_err("there are no client settings: pass `client`")),
        }
    }

    fn accept(&self, incoming: u64) -> Option<u64> {
        self.shared.with(|core| core.accept(incoming))
    }

    fn refuse(&self, incoming: u64) {
        self.shared.with(|core| core.refuse(incoming));
    }

    fn retry(&self, incoming: u64) {
        self.shared.with(|core| core.retry(incoming));
    }

    fn ignore(&self, incoming: u64) {
        self.shared.with(|core| core.ignore(incoming));
    }

    /// False: new connections are refused.
    fn set_accepting(&self, accepting: bool) {
        self.shared.with(|core| core.set_accepting(accepting));
    }

    fn close(&self, connection: u64, error_code: u64, reason: &[u8]) -> PyResult<()> {
        let code = code(error_code)?;
        self.shared.with(|core| core.close(connection, code, reason));
        Ok(())
    }

    fn ping(&self, connection: u64) {
        self.shared.with(|core| core.ping(connection));
    }

    /// Send a PING after so many idle seconds from now on; None: no more.
    fn set_keep_alive(&self, connection: u64, interval: Option<f64>) -> PyResult<()> {
        let interval = interval.map(|value| seconds("interval", value)).transpose()?;
        self.shared.with(|core| core.set_keep_alive(connection, interval));
        Ok(())
    }

    fn set_max_streams(&self, connection: u64, unidirectional: bool, count: u64) {
        self.shared.with(|core| core.set_max_streams(connection, unidirectional, count));
    }

    /// Facts about a connection; empty when it is gone.
    fn info<'py>(&self, py: Python<'py>, connection: u64) -> PyResult<Bound<'py, PyDict>> {
        let facts = PyDict::new(py);
        let Some(info) = self.shared.with(|core| core.info(connection)) else {
            return Ok(facts);
        };
        let chain = info.peer_certificates.iter().map(|certificate| PyBytes::new(py, certificate));
        facts.set_item("alpn", info.tls.alpn.map(|alpn| PyBytes::new(py, &alpn)))?;
        facts.set_item("server_name", info.tls.server_name)?;
        facts.set_item("peer_certificates", PyList::new(py, chain)?)?;
        facts.set_item("remote", address(info.remote))?;
        facts.set_item("local_ip", info.local_ip.map(|ip| address(SocketAddr::new(ip, 0)).0))?;
        facts.set_item("early_data", info.early_data)?;
        facts.set_item("cipher_suite", info.tls.cipher_suite)?;
        facts.set_item("resumed", info.tls.resumed)?;
        Ok(facts)
    }

    fn export_keying_material<'py>(
        &self,
        py: Python<'py>,
        connection: u64,
        label: &[u8],
        context: &[u8],
        length: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let longest = length.min(MAX_EXPORT + 1);
        match self.shared.with(|core| core.export(connection, label, context, longest)) {
            Some(material) if length <= MAX_EXPORT => Ok(PyBytes::new(py, &material)),
            _ => Err(PyValueError::new_err("there is no keying material of that length, or not yet, or no longer")),
        }
    }

    /// Numbers about a connection; empty when it is gone.
    fn stats<'py>(&self, py: Python<'py>, connection: u64) -> PyResult<Bound<'py, PyDict>> {
        let numbers = PyDict::new(py);
        if let Some((stats, buffered)) = self.shared.with(|core| core.stats(connection)) {
            numbers.set_item("rtt", stats.rtt.as_secs_f64())?;
            numbers.set_item("min_rtt", stats.min_rtt.as_secs_f64())?;
            numbers.set_item("congestion_window", stats.congestion_window)?;
            numbers.set_item("sent_bytes", stats.sent_bytes)?;
            numbers.set_item("received_bytes", stats.received_bytes)?;
            numbers.set_item("sent_packets", stats.sent_packets)?;
            numbers.set_item("lost_packets", stats.lost_packets)?;
            numbers.set_item("mtu", stats.mtu)?;
            numbers.set_item("buffered_bytes", buffered)?;
        }
        Ok(numbers)
    }

    fn connection_count(&self) -> usize {
        self.shared.with(|core| core.connection_count())
    }

    /// New connections use the new settings.
    fn set_server_tls(&self, server: &Bound<'_, ServerTls>) {
        let config = &server.get().config;
        let config = if self.steady { crate::tls::steady(config) } else { config.clone() };
        self.shared.with(|core| core.set_server_tls(config));
    }

    /// True when events wait that no datagram will announce.
    fn pending(&self) -> bool {
        self.shared.with(|core| {
            core.settle();
            core.pending()
        })
    }
}
