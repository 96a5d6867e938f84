//! The three drivers: `Endpoint`, `ThreadedEndpoint`, `SansIo`.

use std::{
    net::SocketAddr,
    os::fd::{AsRawFd, RawFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
    types::{PyBytes, PyList},
};

use super::{
    convert::{Address, address, event_list, flushed, os_error, socket_address},
    settings::{ClientTls, ServerTls, Transport},
    streams::Streams,
};
use crate::{
    core::{Core, Flushed, Sent, quinn::Identity},
    io::{self, Udp},
    threaded::{IoThread, Shared},
    tls,
};

type Events<'py> = PyResult<Bound<'py, PyList>>;

/// What `bind` takes apart from the address.
struct Wanted<'a, 'py> {
    server: Option<&'a Bound<'py, ServerTls>>,
    client: Option<&'a Bound<'py, ClientTls>>,
    transport: &'a Bound<'py, Transport>,
    fd: Option<RawFd>,
    worker: Option<(u32, u32)>,
    reset_key: Option<&'a [u8]>,
    token_key: Option<&'a [u8]>,
}

impl Wanted<'_, '_> {
    fn udp(&self, to: &(&str, u16)) -> PyResult<Udp> {
        match self.fd {
            Some(fd) => Udp::adopt(fd),
            None => Udp::bind(socket_address(to)?),
        }
        .map_err(os_error)
    }

    fn core(&self, identity: &Identity, whole_packets: bool, steady: bool) -> Core {
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

    fn build(&self, to: &(&str, u16)) -> PyResult<(Udp, Core)> {
        let mut udp = self.udp(to)?;
        if self.server.is_none() {
            udp.ask_for_errors();
        }
        let local = udp.local_address().map_err(os_error)?;
        let core = self.core(&self.identity(local)?, udp.whole_packets(), false);
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
struct Owner(u32);

impl Owner {
    fn this_process() -> Self {
        Self(std::process::id())
    }

    fn is_here(self) -> bool {
        std::process::id() == self.0
    }

    fn check(self) -> PyResult<()> {
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

fn base(shared: Arc<Shared>, local: SocketAddr) -> PyClassInitializer<Streams> {
    PyClassInitializer::from(Streams { shared, maps_ipv4: local.is_ipv6(), steady: false })
}

/// A fresh socket on the same host, or the given one.
fn moved(fd: Option<RawFd>, before: SocketAddr, asks_for_errors: bool) -> PyResult<Udp> {
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One UDP socket, driven from the event loop's thread.
#[pyclass(extends = Streams, frozen, module = "h3push._quic")]
pub struct Endpoint {
    shared: Arc<Shared>,
    udp: Mutex<Option<Udp>>,
    local: Mutex<SocketAddr>,
    owner: Owner,
    asks_for_errors: bool,
}

#[pymethods]
impl Endpoint {
    /// Bind, or take over the bound socket `fd`.
    #[staticmethod]
    #[pyo3(signature = (address, *, server=None, client=None, transport, fd=None, worker=None, reset_key=None, token_key=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn bind(
        py: Python<'_>,
        address: (&str, u16),
        server: Option<&Bound<'_, ServerTls>>,
        client: Option<&Bound<'_, ClientTls>>,
        transport: &Bound<'_, Transport>,
        fd: Option<RawFd>,
        worker: Option<(u32, u32)>,
        reset_key: Option<&[u8]>,
        token_key: Option<&[u8]>,
    ) -> PyResult<Py<Self>> {
        let wanted = Wanted { server, client, transport, fd, worker, reset_key, token_key };
        let (udp, core) = wanted.build(&address)?;
        let local = udp.local_address().map_err(os_error)?;
        let shared = Arc::new(Shared::alone(core));
        let this = Self {
            shared: shared.clone(),
            udp: Mutex::new(Some(udp)),
            local: Mutex::new(local),
            owner: Owner::this_process(),
            asks_for_errors: server.is_none(),
        };
        Py::new(py, base(shared, local).add_subclass(this))
    }

    /// The socket's descriptor; -1 after `shutdown`.
    fn fileno(&self) -> RawFd {
        locked(&self.udp).as_ref().map_or(-1, Udp::as_raw_fd)
    }

    fn local_address(&self) -> Address {
        address(*locked(&self.local))
    }

    /// Read datagrams (bounded), run the protocol, return the events.
    #[pyo3(signature = (max_batches=8))]
    fn recv<'py>(&self, py: Python<'py>, max_batches: usize) -> Events<'py> {
        self.owner.check()?;
        let mut core = self.shared.lock();
        if let Some(udp) = locked(&self.udp).as_mut() {
            io::recv(udp, &mut core, max_batches);
        }
        let events = core.take_events();
        drop(core);
        event_list(py, events)
    }

    /// Run the timers that are due; also returns events that were pending.
    fn tick<'py>(&self, py: Python<'py>) -> Events<'py> {
        self.owner.check()?;
        let mut core = self.shared.lock();
        let now = core.now();
        core.tick(now);
        let events = core.take_events();
        drop(core);
        event_list(py, events)
    }

    /// Send what may be sent.
    fn flush(&self) -> PyResult<(Option<f64>, u8)> {
        self.owner.check()?;
        let mut core = self.shared.lock();
        let Some(left_behind) = locked(&self.udp).as_mut().map(|udp| io::flush(udp, &mut core)) else {
            return Ok((None, flushed(Flushed::Done)));
        };
        let deadline = core.deadline();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(core.now()).as_secs_f64());
        Ok((left, flushed(left_behind)))
    }

    /// Move to a new socket on the same host (fresh port when `fd` is None).
    #[pyo3(signature = (fd=None))]
    fn rebind(&self, fd: Option<RawFd>) -> PyResult<()> {
        self.owner.check()?;
        let mut core = self.shared.lock();
        if let Some(udp) = locked(&self.udp).as_mut() {
            *udp = moved(fd, *locked(&self.local), self.asks_for_errors)?;
            *locked(&self.local) = udp.local_address().map_err(os_error)?;
            core.rebound();
        }
        Ok(())
    }

    /// Close every connection (CONNECTION_CLOSE goes out) and the socket.
    fn shutdown(&self, py: Python<'_>) {
        py.detach(|| self.end());
    }
}

impl Endpoint {
    /// In a child of the process that it belongs to, nothing is said: the connections are the parent's.
    fn end(&self) {
        let udp = locked(&self.udp).take();
        if let Some(mut udp) = udp
            && self.owner.is_here()
        {
            let mut core = self.shared.lock();
            core.shutdown();
            io::say_goodbye(&mut udp, &mut core);
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.end();
    }
}

/// The same on an IO thread.
#[pyclass(extends = Streams, frozen, module = "h3push._quic")]
pub struct ThreadedEndpoint {
    shared: Arc<Shared>,
    thread: Mutex<Option<IoThread>>,
    local: Mutex<SocketAddr>,
    owner: Owner,
    asks_for_errors: bool,
}

#[pymethods]
impl ThreadedEndpoint {
    /// Bind, or take over the bound socket `fd`, and start the thread.
    #[staticmethod]
    #[pyo3(signature = (address, *, server=None, client=None, transport, fd=None, worker=None, reset_key=None, token_key=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn bind(
        py: Python<'_>,
        address: (&str, u16),
        server: Option<&Bound<'_, ServerTls>>,
        client: Option<&Bound<'_, ClientTls>>,
        transport: &Bound<'_, Transport>,
        fd: Option<RawFd>,
        worker: Option<(u32, u32)>,
        reset_key: Option<&[u8]>,
        token_key: Option<&[u8]>,
    ) -> PyResult<Py<Self>> {
        let wanted = Wanted { server, client, transport, fd, worker, reset_key, token_key };
        let (udp, core) = wanted.build(&address)?;
        let local = udp.local_address().map_err(os_error)?;
        let shared = Arc::new(Shared::with_bell(core).map_err(os_error)?);
        let thread = IoThread::start(udp, shared.clone()).map_err(os_error)?;
        let this = Self {
            shared: shared.clone(),
            thread: Mutex::new(Some(thread)),
            local: Mutex::new(local),
            owner: Owner::this_process(),
            asks_for_errors: server.is_none(),
        };
        Py::new(py, base(shared, local).add_subclass(this))
    }

    /// An eventfd that is readable while events wait.
    fn fileno(&self) -> RawFd {
        self.shared.bell_fd()
    }

    fn local_address(&self) -> Address {
        address(*locked(&self.local))
    }

    /// The events that wait.
    #[pyo3(signature = (max_batches=8))]
    fn recv<'py>(&self, py: Python<'py>, max_batches: usize) -> Events<'py> {
        let _ = max_batches;
        self.owner.check()?;
        event_list(py, self.shared.take_events())
    }

    /// The events that wait.
    fn tick<'py>(&self, py: Python<'py>) -> Events<'py> {
        self.owner.check()?;
        event_list(py, self.shared.take_events())
    }

    /// Wake the IO thread.
    fn flush(&self) -> PyResult<(Option<f64>, u8)> {
        self.owner.check()?;
        if let Some(thread) = locked(&self.thread).as_ref() {
            thread.wake();
        }
        Ok((None, flushed(Flushed::Done)))
    }

    /// Move to a new socket on the same host (fresh port when `fd` is None).
    #[pyo3(signature = (fd=None))]
    fn rebind(&self, fd: Option<RawFd>) -> PyResult<()> {
        self.owner.check()?;
        if let Some(thread) = locked(&self.thread).as_ref() {
            let udp = moved(fd, *locked(&self.local), self.asks_for_errors)?;
            *locked(&self.local) = udp.local_address().map_err(os_error)?;
            thread.replace_socket(udp);
        }
        Ok(())
    }

    /// Close every connection (CONNECTION_CLOSE goes out) and the socket; wait for the thread to end.
    fn shutdown(&self, py: Python<'_>) {
        py.detach(|| self.end());
    }
}

impl ThreadedEndpoint {
    /// In a child of the process that it belongs to there is no thread to end.
    fn end(&self) {
        match locked(&self.thread).take() {
            Some(thread) if !self.owner.is_here() => thread.abandon(),
            thread => drop(thread),
        }
    }
}

impl Drop for ThreadedEndpoint {
    fn drop(&mut self) {
        self.end();
    }
}

/// The same core without socket and clock.
#[pyclass(extends = Streams, frozen, module = "h3push._quic")]
pub struct SansIo {
    shared: Arc<Shared>,
    /// The caller's time 'zero', as told at first, and the instant that stands for it.
    start: u64,
    base: Instant,
}

impl SansIo {
    fn set_clock(&self, core: &mut Core, now: u64) -> Instant {
        let instant = self.base + Duration::from_nanos(now.saturating_sub(self.start));
        let instant = instant.max(core.now());
        core.set_clock(instant);
        instant
    }
}

/// `(destination, bytes, segment_size, ecn)`.
type Transmit<'py> = (Address, Bound<'py, PyBytes>, Option<usize>, Option<u8>);

#[pymethods]
impl SansIo {
    #[new]
    #[pyo3(signature = (*, server=None, client=None, transport, seed, now))]
    fn new(
        server: Option<&Bound<'_, ServerTls>>,
        client: Option<&Bound<'_, ClientTls>>,
        transport: &Bound<'_, Transport>,
        seed: &[u8],
        now: u64,
    ) -> PyResult<PyClassInitializer<Self>> {
        let Ok(seed) = <[u8; 32]>::try_from(seed) else {
            return Err(PyValueError::new_err("seed must have 32 bytes"));
        };
        let wanted = Wanted { server, client, transport, fd: None, worker: None, reset_key: None, token_key: None };
        let mut core = wanted.core(&Identity::from_seed(seed), true, true);
        let base = Instant::now();
        core.set_clock(base);
        let shared = Arc::new(Shared::alone(core));
        let streams = Streams { shared: shared.clone(), maps_ipv4: false, steady: true };
        Ok(PyClassInitializer::from(streams).add_subclass(Self { shared, start: now, base }))
    }

    #[pyo3(signature = (now, data, address, ecn=None))]
    fn feed(&self, now: u64, data: &[u8], address: (&str, u16), ecn: Option<u8>) -> PyResult<()> {
        let remote = socket_address(&address)?;
        let mut core = self.shared.lock();
        let now = self.set_clock(&mut core, now);
        core.datagram(now, remote, None, ecn, BytesMut::from(data));
        Ok(())
    }

    /// Set the clock and run the timers that are due.
    fn advance(&self, now: u64) {
        let mut core = self.shared.lock();
        let now = self.set_clock(&mut core, now);
        core.tick(now);
    }

    fn events<'py>(&self, py: Python<'py>) -> Events<'py> {
        let mut core = self.shared.lock();
        core.settle();
        let events = core.take_events();
        drop(core);
        event_list(py, events)
    }

    /// `(destination, bytes, segment_size, ecn)`.
    #[pyo3(signature = (now, max_datagrams=1))]
    fn transmits<'py>(&self, py: Python<'py>, now: u64, max_datagrams: usize) -> Vec<Transmit<'py>> {
        let mut core = self.shared.lock();
        let now = self.set_clock(&mut core, now);
        core.settle();
        let mut transmits = Vec::new();
        core.transmit(now, max_datagrams.max(1), usize::MAX, |packet, bytes| {
            transmits.push((address(packet.destination), PyBytes::new(py, bytes), packet.segment_size, packet.ecn));
            Sent::Done
        });
        transmits
    }

    /// When `advance` is due (nanoseconds), or None.
    fn timeout(&self) -> Option<u64> {
        let mut core = self.shared.lock();
        core.settle();
        let after = core.deadline_when_sent()?.saturating_duration_since(self.base);
        Some(self.start.saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX)))
    }
}
