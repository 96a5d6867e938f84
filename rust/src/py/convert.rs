//! Addresses, errors and event tuples.

use std::{
    ffi::OsStr,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use pyo3::{
    exceptions::{PyOSError, PyValueError},
    intern,
    prelude::*,
    types::{PyBytes, PyList, PyString, PyTuple},
};

use crate::{
    core::Flushed,
    events::{EndKind, Event, Payload},
    io::plain,
};

/// `(host, port)`.
pub type Address = (String, u16);

const INCOMING: u8 = 1;
const ACCEPTED: u8 = 2;
const HANDSHAKE: u8 = 3;
const CONNECTED: u8 = 4;
const DATA: u8 = 5;
const RESET: u8 = 6;
const STOP: u8 = 7;
const DRAINED: u8 = 8;
const ACKED: u8 = 9;
const STREAMS_AVAILABLE: u8 = 10;
const DATAGRAM: u8 = 11;
const CLOSED: u8 = 12;
const PATH_CHANGED: u8 = 13;

const FILE_FAILED: u8 = 14;
const UNSENT: u8 = 15;
const FLUSH_DONE: u8 = 0;
const FLUSH_MORE: u8 = 1;
const FLUSH_FULL: u8 = 2;

/// The result of a flush, as the stub names it.
pub fn flushed(flushed: Flushed) -> u8 {
    match flushed {
        Flushed::Done => FLUSH_DONE,
        Flushed::More => FLUSH_MORE,
        Flushed::Full => FLUSH_FULL,
    }
}

/// Put the constants of the stub into the module.
pub fn add_constants(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let numbers = [
        ("INCOMING", INCOMING),
        ("ACCEPTED", ACCEPTED),
        ("HANDSHAKE", HANDSHAKE),
        ("CONNECTED", CONNECTED),
        ("DATA", DATA),
        ("RESET", RESET),
        ("STOP", STOP),
        ("DRAINED", DRAINED),
        ("ACKED", ACKED),
        ("STREAMS_AVAILABLE", STREAMS_AVAILABLE),
        ("DATAGRAM", DATAGRAM),
        ("CLOSED", CLOSED),
        ("PATH_CHANGED", PATH_CHANGED),
        ("FILE_FAILED", FILE_FAILED),
        ("UNSENT", UNSENT),
        ("FLUSH_DONE", FLUSH_DONE),
        ("FLUSH_MORE", FLUSH_MORE),
        ("FLUSH_FULL", FLUSH_FULL),
    ];
    for (name, number) in numbers {
        module.add(name, number)?;
    }
    let kinds = [
        ("CLOSED_BY_APPLICATION", EndKind::ByApplication),
        ("CLOSED_BY_TRANSPORT", EndKind::ByTransport),
        ("CLOSED_LOCALLY", EndKind::Locally),
        ("CLOSED_TRANSPORT_ERROR", EndKind::TransportError),
        ("CLOSED_TIMED_OUT", EndKind::TimedOut),
        ("CLOSED_RESET", EndKind::Reset),
        ("CLOSED_REFUSED", EndKind::Refused),
        ("CLOSED_UNREACHABLE", EndKind::Unreachable),
        ("CLOSED_INTERNAL", EndKind::Internal),
    ];
    for (name, kind) in kinds {
        module.add(name, kind_name(module.py(), kind))?;
    }
    Ok(())
}

fn kind_name(py: Python<'_>, kind: EndKind) -> &Bound<'_, PyString> {
    match kind {
        EndKind::ByApplication => intern!(py, "by application"),
        EndKind::ByTransport => intern!(py, "by transport"),
        EndKind::Locally => intern!(py, "locally"),
        EndKind::TransportError => intern!(py, "transport error"),
        EndKind::TimedOut => intern!(py, "timed out"),
        EndKind::Reset => intern!(py, "reset"),
        EndKind::Refused => intern!(py, "refused"),
        EndKind::Unreachable => intern!(py, "unreachable"),
        EndKind::Internal => intern!(py, "internal"),
    }
}

/// Events as tuples.
pub fn event_list(py: Python<'_>, events: Vec<Event>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for event in events {
        list.append(event_tuple(py, event)?)?;
    }
    Ok(list)
}

fn event_tuple(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyTuple>> {
    match event {
        Event::Data { conn, stream, data, fin } => (DATA, conn, stream, joined(py, &data)?, fin).into_pyobject(py),
        Event::Acked { conn, stream } => (ACKED, conn, stream).into_pyobject(py),
        Event::Unsent { conn, stream, bytes } => (UNSENT, conn, stream, bytes).into_pyobject(py),
        Event::Drained { conn, stream } => (DRAINED, conn, stream).into_pyobject(py),
        Event::Reset { conn, stream, code } => (RESET, conn, stream, code).into_pyobject(py),
        Event::Stop { conn, stream, code } => (STOP, conn, stream, code).into_pyobject(py),
        Event::StreamsAvailable { conn, unidirectional } => (STREAMS_AVAILABLE, conn, unidirectional).into_pyobject(py),
        Event::Datagram { conn, data } => (DATAGRAM, conn, PyBytes::new(py, &data)).into_pyobject(py),
        Event::Accepted { conn, remote } => (ACCEPTED, conn, address(remote)).into_pyobject(py),
        Event::Handshake { conn, alpn, server_name } => {
            (HANDSHAKE, conn, alpn.map(|alpn| PyBytes::new(py, &alpn)), server_name).into_pyobject(py)
        }
        Event::Connected { conn, early_data } => (CONNECTED, conn, early_data).into_pyobject(py),
        Event::Incoming { incoming, remote, validated } => {
            (INCOMING, incoming, address(remote), validated).into_pyobject(py)
        }
        Event::PathChanged { conn, remote } => (PATH_CHANGED, conn, address(remote)).into_pyobject(py),
        Event::FileFailed { conn, stream, error } => {
            (FILE_FAILED, conn, stream, error.raw_os_error(), words(&error)).into_pyobject(py)
        }
        Event::Closed { conn, end } => (CLOSED, conn, kind_name(py, end.kind), end.code, &end.reason).into_pyobject(py),
    }
}

fn joined<'py>(py: Python<'py>, data: &Payload) -> PyResult<Bound<'py, PyBytes>> {
    match data.as_one() {
        Some(bytes) => Ok(PyBytes::new(py, bytes)),
        None => PyBytes::new_with(py, data.len(), |target| {
            data.copy_to(target);
            Ok(())
        }),
    }
}

/// An address for Python.
pub fn address(address: SocketAddr) -> Address {
    let address = plain(address);
    (address.ip().to_string(), address.port())
}

/// An address from Python. Names are for whoever resolves them; an empty host is `0.0.0.0`, as in the socket module.
pub fn socket_address((host, port): &(&str, u16)) -> PyResult<SocketAddr> {
    if host.is_empty() {
        return Ok(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), *port));
    }
    match host.parse::<IpAddr>() {
        Ok(ip) => Ok(SocketAddr::new(ip, *port)),
        Err(_) => Err(PyValueError::new_err(format!("{host:?} is not an IP address"))),
    }
}

/// A path, as bytes down to the system call: names of files need not be UTF-8.
pub fn file_path(path: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    let bytes = path.py().import("os")?.call_method1("fsencode", (path,))?;
    Ok(PathBuf::from(OsStr::from_bytes(bytes.cast::<PyBytes>()?.as_bytes())))
}

/// The same error with the file that it is about.
pub fn file_error(error: &io::Error, path: &Path) -> PyErr {
    PyOSError::new_err((error.raw_os_error().unwrap_or(0), words(error), path.to_path_buf()))
}

fn words(error: &io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_owned()
}

/// An `OSError` with its number, so that Python picks the subclass.
pub fn os_error(error: io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, words(&error))),
        None => error.into(),
    }
}

/// Seconds that cannot be are a `ValueError`.
pub fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|_| PyValueError::new_err(format!("{name} cannot be {value} seconds")))
}
