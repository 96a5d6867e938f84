//! The drivers with a socket: `Endpoint` and `ThreadedEndpoint`.

use std::{
    net::SocketAddr,
    os::fd::{AsRawFd, RawFd},
    sync::{Arc, Mutex},
};

use pyo3::prelude::*;

use super::{
    binding::{Events, Owner, Wanted, base, locked, moved},
    convert::{Address, address, event_list, flushed, os_error},
    settings::{ClientTls, ServerTls, Transport},
    streams::Streams,
};
use crate::{
    core::{Flushed, roster::Roster},
    io::{self, Udp},
    threaded::{IoThread, Shared},
};

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
    #[pyo3(signature = (address, *, server=None, client=None, transport, fd=None, worker=None, reset_key=None, token_key=None, roster=None))]
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
        roster: Option<RawFd>,
    ) -> PyResult<Py<Self>> {
        let wanted = Wanted { server, client, transport, fd, worker, reset_key, token_key, roster };
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

    /// Reset every connection of the roster `fd`, whose worker is gone; `flush` follows. Returns how many.
    fn tell_orphans(&self, fd: RawFd) -> PyResult<usize> {
        self.owner.check()?;
        let mut roster = Roster::map(fd).map_err(os_error)?;
        Ok(self.shared.lock().tell_orphans(&mut roster))
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
    #[pyo3(signature = (address, *, server=None, client=None, transport, fd=None, worker=None, reset_key=None, token_key=None, roster=None))]
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
        roster: Option<RawFd>,
    ) -> PyResult<Py<Self>> {
        let wanted = Wanted { server, client, transport, fd, worker, reset_key, token_key, roster };
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
