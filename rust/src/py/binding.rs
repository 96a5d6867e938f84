//! The parts of a driver with a socket: the socket, the keys, and the process that owns them.

use std::{
    net::SocketAddr,
    os::fd::RawFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
    types::PyList,
};

use super::{
    convert::{os_error, socket_address},
    settings::{ClientTls, ServerTls, Transport},
    streams::Streams,
};
use crate::{
    core::{Core, quinn::Identity, roster::Roster},
    io::Udp,
    threaded::Shared,
    tls,
};

/// Events as a list of tuples.
pub type Events<'py> = PyResult<Bound<'py, PyList>>;

/// The arguments of `bind` besides the address.
pub struct Wanted<'a, 'py> {
    pub server: Option<&'a Bound<'py, ServerTls>>,
    pub client: Option<&'a Bound<'py, ClientTls>>,
    pub transport: &'a Bound<'py, Transport>,
    pub fd: Option<RawFd>,
    pub worker: Option<(u32, u32)>,
    pub reset_key: Option<&'a [u8]>,
    pub token_key: Option<&'a [u8]>,
    pub roster: Option<RawFd>,
}

impl Wanted<'_, '_> {
    fn udp(&self, to: &(&str, u16)) -> PyResult<Udp> {
        match self.fd {
            Some(fd) => Udp::adopt(fd),
            None => Udp::bind(socket_address(to)?),
        }
        .map_err(os_error)
    }

    /// A core with these settings.
    pub fn core(&self, identity: &Identity, whole_packets: bool, steady: bool) -> Core {
        let server = self.server.map(|server| server.get().config.clone());
        let server = server.map(|config| if steady { tls::steady(&config) } else { config });
        let client = self.client.map(|client| client.get().config.clone());
        Core::new(self.transport.get().settings.clone(), identity, server, client, whole_packets)
    }

    fn identity(&self, local: SocketAddr) -> PyResult<Identity> {
        let mut identity = Identity::random();
        if let Some(server) = self.server {
            identity.derive_keys(&server.get().secret, scope(local).as_bytes());
        }
        if let Some((index, count)) = self.worker {
            identity.worker = match (u8::try_from(index), u8::try_from(count)) {
                (Ok(index), Ok(count)) if index < count => Some((index, count)),
                _ => {
                    return Err(PyValueError::new_err("worker is (index, count) with index < count <= 255"));
                }
            };
        }
        for (given, place) in [(self.reset_key, &mut identity.reset_key), (self.token_key, &mut identity.token_key)] {
            match given {
                Some(key) if key.len() < 16 => {
                    return Err(PyValueError::new_err("a key must have at least 16 bytes"));
                }
                Some(key) => *place = key.to_vec(),
                None => {}
            }
        }
        Ok(identity)
    }

    /// A socket, and a core for it.
    pub fn build(&self, to: &(&str, u16)) -> PyResult<(Udp, Core)> {
        let mut udp = self.udp(to)?;
        if self.server.is_none() {
            udp.ask_for_errors();
        }
        let local = udp.local_address().map_err(os_error)?;
        let mut core = self.core(&self.identity(local)?, udp.whole_packets(), false);
        if let Some(fd) = self.roster {
            core.keep_roster(Roster::map(fd).map_err(os_error)?);
        }
        Ok((udp, core))
    }
}

/// Endpoints that share a TLS key and differ in this have keys of their own. The name of the machine is among it, since the
/// same certificate and port may be behind another one.
fn scope(local: SocketAddr) -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{local} {}", machine.trim())
}

/// The process that made an endpoint. A copy of it in a child has the same sockets and the same keys: whatever it sent or read
/// would be sent and read in its parent's name.
#[derive(Clone, Copy)]
pub struct Owner(u32);

impl Owner {
    /// An endpoint is being made.
    pub fn this_process() -> Self {
        Self(std::process::id())
    }

    /// False in a child.
    pub fn is_here(self) -> bool {
        std::process::id() == self.0
    }

    /// `RuntimeError` in a child.
    pub fn check(self) -> PyResult<()> {
        if self.is_here() {
            return Ok(());
        }
        let here = std::process::id();
        Err(PyRuntimeError::new_err(format!(
            "this endpoint belongs to process {}, not to its child {here}: fork first, then bind",
            self.0
        )))
    }
}

/// The base class of a driver.
pub fn base(shared: Arc<Shared>, local: SocketAddr) -> PyClassInitializer<Streams> {
    PyClassInitializer::from(Streams { shared, maps_ipv4: local.is_ipv6(), steady: false })
}

/// A fresh socket on the same host, or the given one.
pub fn moved(fd: Option<RawFd>, before: SocketAddr, asks_for_errors: bool) -> PyResult<Udp> {
    let mut udp = match fd {
        Some(fd) => Udp::adopt(fd),
        None => Udp::bind(SocketAddr::new(before.ip(), 0)),
    }
    .map_err(os_error)?;
    if asks_for_errors {
        udp.ask_for_errors();
    }
    Ok(udp)
}

/// The lock, whoever panicked with it.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
