//! The driver without socket and clock.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use pyo3::{exceptions::PyValueError, prelude::*, types::PyBytes};

use super::{
    binding::{Events, Wanted},
    convert::{Address, address, event_list, socket_address},
    settings::{ClientTls, ServerTls, Transport},
    streams::Streams,
};
use crate::{
    core::{Core, Sent, quinn::Identity},
    threaded::Shared,
};

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
        let wanted = Wanted {
            server,
            client,
            transport,
            fd: None,
            worker: None,
            reset_key: None,
            token_key: None,
            roster: None,
        };
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
