//! quinn's congestion controllers, which let go when a connection is closed.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use quinn_proto::{RttEstimator, congestion};

use crate::settings::Congestion;

/// The datagram that windows are counted in before the path's own size is known, as quinn counts it.
const DATAGRAM_BYTES: u64 = 1200;

/// Makes congestion controllers that let go at the end.
pub(super) struct LettingGo {
    pub(super) kind: Congestion,
    /// Packets to begin with.
    pub(super) packets: u64,
}

impl congestion::ControllerFactory for LettingGo {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn congestion::Controller> {
        let bytes = self.packets * DATAGRAM_BYTES;
        let inner = match self.kind {
            Congestion::Cubic => {
                let mut config = congestion::CubicConfig::default();
                config.initial_window(bytes);
                Arc::new(config).build(now, current_mtu)
            }
            Congestion::NewReno => {
                let mut config = congestion::NewRenoConfig::default();
                config.initial_window(bytes);
                Arc::new(config).build(now, current_mtu)
            }
        };
        Box::new(Releasable { inner, closing: Arc::new(AtomicBool::new(false)) })
    }
}

/// A congestion controller whose window opens when the connection is closed.
///
/// quinn holds CONNECTION_CLOSE back like data when the window is full and stream data waits. A closed connection reads no
/// acknowledgments, so it would never go out, and the peer would hear of the end by its idle time-out only.
pub(super) struct Releasable {
    inner: Box<dyn congestion::Controller>,
    pub(super) closing: Arc<AtomicBool>,
}

impl congestion::Controller for Releasable {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.inner.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.inner.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest: Option<u64>) {
        self.inner.on_end_acks(now, in_flight, app_limited, largest);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, persistent: bool, lost_bytes: u64) {
        self.inner.on_congestion_event(now, sent, persistent, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.inner.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        if self.closing.load(Ordering::Relaxed) { u64::MAX } else { self.inner.window() }
    }

    fn metrics(&self) -> congestion::ControllerMetrics {
        self.inner.metrics()
    }

    fn clone_box(&self) -> Box<dyn congestion::Controller> {
        Box::new(Releasable { inner: self.inner.clone_box(), closing: self.closing.clone() })
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
