//! A core that may be shared with an IO thread, and that thread.
//!
//! ```text
//!   owner's thread                                  IO thread
//!   write(), close(), ... ──> Mutex<Core> <── poll(socket, wake) -> datagrams, timers, packets
//!   recv() <── events ─────────┘    └── Bell (eventfd): rings while events wait
//!   flush() ──> wake (eventfd)
//! ```
//!
//! System calls are made without the lock. When the owner does not fetch its events, streams are no longer read once
//! `MAX_WAITING` bytes wait: flow control then holds the peer back, acknowledgements and keep-alive go on.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::{read, write},
};

use crate::{
    core::{Core, Flushed, Sent, quinn::Reply},
    events::Event,
    io::{GOODBYE, Udp},
};

/// Bytes of stream data that wait for the owner.
const MAX_WAITING: usize = 4 << 20;
/// Datagrams prepared while the lock is held.
const LOCKED_BUDGET: usize = 64;
/// Batches received before the thread looks at its timers again.
const BATCHES: usize = 4;

/// An eventfd that is written at most once until it is read.
pub struct Bell {
    fd: OwnedFd,
    rung: AtomicBool,
}

impl Bell {
    /// A silent one.
    pub fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { fd, rung: AtomicBool::new(false) })
    }

    /// Make it readable.
    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // Cannot fail: the counter is far from its end.
            let _ = write(&self.fd, &1u64.to_ne_bytes());
        }
    }

    /// Make it unreadable; look for work only after this.
    ///
    /// The order matters: read first, then clear the flag. A ring in between writes nothing, but its work is there to be looked
    /// for. The other way round, that ring's write would be read here and its flag would stay: nobody could ring any more.
    pub fn silence(&self) {
        let _ = read(&self.fd, &mut [0; 8]);
        self.rung.swap(false, Ordering::AcqRel);
    }
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// A core behind a lock; with a bell when somebody else than the owner makes events.
pub struct Shared {
    core: Mutex<Core>,
    bell: Option<Bell>,
}

impl Shared {
    /// For one thread.
    pub fn alone(core: Core) -> Self {
        Self { core: Mutex::new(core), bell: None }
    }

    /// For two.
    pub fn with_bell(mut core: Core) -> io::Result<Self> {
        core.limit_waiting(MAX_WAITING);
        Ok(Self { core: Mutex::new(core), bell: Some(Bell::new()?) })
    }

    /// The core. A panic under the lock was contained by the core itself or is none of its business.
    pub fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Work on the core and ring when that made events.
    pub fn with<R>(&self, work: impl FnOnce(&mut Core) -> R) -> R {
        let mut core = self.lock();
        let result = work(&mut core);
        if let Some(bell) = &self.bell
            && core.pending()
        {
            bell.ring();
        }
        result
    }

    /// The bell's descriptor.
    pub fn bell_fd(&self) -> RawFd {
        self.bell.as_ref().map_or(-1, Bell::as_raw_fd)
    }

    /// Fetch the events, and read the streams that could not be read for lack of room.
    pub fn take_events(&self) -> Vec<Event> {
        if let Some(bell) = &self.bell {
            bell.silence();
        }
        self.with(|core| {
            let events = core.take_events();
            core.read_held_back();
            events
        })
    }
}

struct Orders {
    wake: Bell,
    stop: AtomicBool,
    socket: Mutex<Option<Udp>>,
}

/// The IO thread. Dropping it closes every connection and the socket.
pub struct IoThread {
    orders: Arc<Orders>,
    thread: Option<JoinHandle<()>>,
}

impl IoThread {
    /// Start it.
    pub fn start(udp: Udp, shared: Arc<Shared>) -> io::Result<Self> {
        let orders = Arc::new(Orders { wake: Bell::new()?, stop: AtomicBool::new(false), socket: Mutex::new(None) });
        let theirs = orders.clone();
        let run = move || {
            let core = shared.clone();
            let mut worker = Worker { udp, shared, orders: theirs, ready: VecDeque::new() };
            // What goes wrong in one connection is contained by the core; the rest must not end in silence either.
            if catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {
                core.with(Core::shutdown);
            }
        };
        let thread = std::thread::Builder::new().name("h3push-io".to_owned()).spawn(run)?;
        Ok(Self { orders, thread: Some(thread) })
    }

    /// There is something to send, or time to look.
    pub fn wake(&self) {
        self.orders.wake.ring();
    }

    /// Go on with another socket.
    pub fn replace_socket(&self, udp: Udp) {
        *self.orders.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(udp);
        self.wake();
    }

    /// Let go of a thread that only the parent process has: nothing of it may be touched, and nothing is said.
    pub fn abandon(mut self) {
        std::mem::forget(self.thread.take());
        std::mem::forget(self);
    }

    /// Close everything and wait for the thread to end.
    pub fn stop(&mut self) {
        self.orders.stop.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for IoThread {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Worker {
    udp: Udp,
    shared: Arc<Shared>,
    orders: Arc<Orders>,
    ready: VecDeque<Reply>,
}

impl Worker {
    fn run(&mut self) {
        loop {
            self.orders.wake.silence();
            let stop = self.orders.stop.load(Ordering::Acquire);
            if stop {
                self.shared.with(Core::shutdown);
            }
            self.take_new_socket();
            self.receive();
            self.shared.with(|core| core.tick(core.now()));
            let full = self.transmit() == Flushed::Full;
            if stop {
                return self.say_goodbye();
            }
            let deadline = self.shared.lock().deadline();
            self.wait(deadline, full);
        }
    }

    fn take_new_socket(&mut self) {
        if let Some(udp) = self.orders.socket.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.udp = udp;
            self.shared.with(Core::rebound);
        }
    }

    fn receive(&mut self) {
        for _ in 0..BATCHES {
            let count = self.udp.receive();
            if count == 0 {
                self.shared.with(|core| self.udp.feed_errors(core));
                return;
            }
            self.shared.with(|core| {
                self.udp.feed(count, core);
                core.settle();
            });
        }
    }

    fn say_goodbye(&mut self) {
        let until = Instant::now() + GOODBYE;
        while self.transmit() == Flushed::Full && Instant::now() < until {
            self.udp.wait_writable(until);
        }
    }

    /// Prepare packets under the lock, send them without it.
    fn transmit(&mut self) -> Flushed {
        loop {
            while let Some((packet, bytes)) = self.ready.front() {
                if self.udp.try_send(packet, bytes) == Sent::Full {
                    return Flushed::Full;
                }
                self.ready.pop_front();
            }
            let (ready, max_segments) = (&mut self.ready, self.udp.max_segments());
            self.shared.with(|core| {
                let now = core.now();
                core.transmit(now, max_segments, LOCKED_BUDGET, |packet, bytes| {
                    ready.push_back((*packet, bytes.to_vec()));
                    Sent::Done
                })
            });
            if self.ready.is_empty() {
                return Flushed::Done;
            }
        }
    }

    fn wait(&self, deadline: Option<Instant>, full: bool) {
        let timeout = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
        });
        let interest = if full { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let mut fds = [
            PollFd::from_borrowed_fd(self.udp.as_fd(), interest),
            PollFd::from_borrowed_fd(self.orders.wake.fd.as_fd(), PollFlags::IN),
        ];
        // Interrupted by a signal: look around, wait again.
        let _ = poll(&mut fds, timeout.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    /// Whoever looks for work after `silence` misses none: every ring is heard or its work is seen.
    #[test]
    fn no_ring_is_lost() {
        const ROUNDS: u64 = 200_000;
        let (bell, work) = (Arc::new(Bell::new().unwrap()), Arc::new(AtomicU64::new(0)));
        let (theirs, done) = (bell.clone(), work.clone());
        let ringer = std::thread::spawn(move || {
            for _ in 0..ROUNDS {
                done.fetch_add(1, Ordering::SeqCst);
                theirs.ring();
            }
        });
        let second = Timespec { tv_sec: 10, tv_nsec: 0 };
        loop {
            bell.silence();
            if work.load(Ordering::SeqCst) == ROUNDS {
                break;
            }
            let mut waiting = [PollFd::from_borrowed_fd(bell.fd.as_fd(), PollFlags::IN)];
            let heard = poll(&mut waiting, Some(&second)).unwrap();
            assert!(heard > 0, "the bell fell silent after {} of {ROUNDS} rings", work.load(Ordering::SeqCst));
        }
        ringer.join().unwrap();
    }
}
