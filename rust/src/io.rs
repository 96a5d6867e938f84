//! A UDP socket with everything the kernel offers (batches, GSO, GRO, ECN), and the driver that runs a core over it in the
//! caller's thread.
//!
//! Nothing here blocks. Receiving is bounded by batches and datagrams, sending by datagrams, so that one call never keeps
//! an event loop from its other work for long; whoever calls is told when there is more to do.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit, TransportErrorPayload, UdpSockRef, UdpSocketState};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::core::{
    Core, Flushed, Sent,
    quinn::{Packet, Reply},
};

/// Datagrams that leave in one system call. How many may leave at once is the pacer's business; this decides only how many calls
/// that takes: with 32 instead of 10, a megabyte costs a fifth less.
const MAX_SEGMENTS: usize = 32;
/// Datagrams sent in one `flush`, about 2 ms of work.
pub const SEND_BUDGET: usize = 512;
/// Datagrams taken in by one `recv`, whatever the number of batches.
const RECEIVE_BUDGET: usize = 4096;
/// The buffer size that we ask the kernel for; it may give less.
const SOCKET_BUFFER: usize = 4 << 20;
/// How long goodbyes wait for a full socket, in all.
pub const GOODBYE: Duration = Duration::from_millis(500);
/// Errors taken from the kernel's queue by one `recv`.
const ERROR_BUDGET: usize = 16;
/// The largest message that GRO makes.
const SLOT: usize = 65535;

/// A socket.
pub struct Udp {
    socket: UdpSocket,
    state: UdpSocketState,
    buffer: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
    stuck: Option<Reply>,
    /// The kernel is asked for the ICMP errors that our packets caused, and there may be some.
    errors: Option<bool>,
}

impl Udp {
    /// Bind. `::` takes IPv4 too.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        use socket2::{Domain, Protocol, Socket, Type};
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        socket.bind(&address.into())?;
        Self::new(socket.into())
    }

    /// Take over a bound socket.
    pub fn adopt(fd: RawFd) -> io::Result<Self> {
        if fd < 0 {
            return Err(rustix::io::Errno::BADF.into());
        }
        // SAFETY: the caller hands the descriptor over (the contract of `fd` in the Python stub); a number that is not an
        // open socket fails in the first system call below and is closed at worst, never dereferenced.
        let socket = UdpSocket::from(unsafe { OwnedFd::from_raw_fd(fd) });
        match socket.local_addr() {
            Ok(_) => Self::new(socket),
            Err(error) => {
                // Not ours to close: it was no socket.
                let _ = std::os::fd::IntoRawFd::into_raw_fd(socket);
                Err(error)
            }
        }
    }

    fn new(socket: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // Best effort: net.core.rmem_max decides.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER);
        let _ = state.set_send_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER);
        // Pages that are never written to cost nothing.
        let buffer = vec![0; SLOT * BATCH_SIZE];
        Ok(Self { socket, state, buffer, metas: [RecvMeta::default(); BATCH_SIZE], stuck: None, errors: None })
    }

    /// The address it is bound to.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// True when the kernel does not fragment, so that the MTU can be probed.
    pub fn whole_packets(&self) -> bool {
        !self.state.may_fragment()
    }

    /// Datagrams that may leave in one call.
    pub fn max_segments(&self) -> usize {
        self.state.max_gso_segments().min(MAX_SEGMENTS)
    }

    /// Receive one batch; `arrivals` has it then. Returns the number of messages, 0 when there are none.
    pub fn receive(&mut self) -> usize {
        let mut slots = self.buffer.chunks_exact_mut(SLOT).map(IoSliceMut::new);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] = std::array::from_fn(|_| slots.next().expect("one per message"));
        // An error here is about a packet sent earlier (ICMP) or about the socket being gone; both show elsewhere.
        let count = self.state.recv(UdpSockRef::from(&self.socket), &mut slices, &mut self.metas).unwrap_or(0);
        self.suspect(count == 0);
        count
    }

    /// Have the kernel keep the ICMP errors that our packets cause: for clients, who want to know that nobody is there. A server
    /// would hear of every client that has gone.
    pub fn ask_for_errors(&mut self) {
        if self.state.enable_transport_errors(UdpSockRef::from(&self.socket)).is_ok() {
            self.errors = Some(false);
        }
    }

    fn suspect(&mut self, reason: bool) {
        if let Some(some) = &mut self.errors {
            *some |= reason;
        }
    }

    /// Tell `core` whom the kernel calls unreachable.
    pub fn feed_errors(&mut self, core: &mut Core) {
        if self.errors != Some(true) {
            return;
        }
        self.errors = Some(false);
        for _ in 0..ERROR_BUDGET {
            match self.state.recv_transport_error(UdpSockRef::from(&self.socket)) {
                Ok(Some(error)) if matches!(error.payload, TransportErrorPayload::Unreachable) => {
                    core.unreachable(error.addr.map(|address| address.ip()), error.raw_errno);
                }
                Ok(Some(_)) => {}
                _ => return,
            }
        }
    }

    /// Feed the first `count` messages of the last batch to `core`; returns the number of datagrams.
    pub fn feed(&self, count: usize, core: &mut Core) -> usize {
        let now = core.now();
        let mut datagrams = 0;
        for (meta, slot) in self.metas[..count].iter().zip(self.buffer.chunks_exact(SLOT)) {
            let ecn = meta.ecn.map(|ecn| ecn as u8);
            let mut data = BytesMut::from(&slot[..meta.len]);
            while !data.is_empty() {
                let datagram = data.split_to(meta.stride.clamp(1, data.len()));
                core.datagram(now, meta.addr, meta.dst_ip, ecn, datagram);
                datagrams += 1;
            }
        }
        datagrams
    }

    /// Send, or keep the packet until the socket has room.
    pub fn send(&mut self, packet: &Packet, bytes: &[u8]) -> Sent {
        if self.try_send(packet, bytes) == Sent::Full {
            self.stuck = Some((*packet, bytes.to_vec()));
            return Sent::Full;
        }
        Sent::Done
    }

    /// Send what was kept.
    pub fn unstick(&mut self) -> Sent {
        match self.stuck.take() {
            Some((packet, bytes)) => self.send(&packet, &bytes),
            None => Sent::Done,
        }
    }

    /// Send, unless the socket is full.
    pub fn try_send(&mut self, packet: &Packet, bytes: &[u8]) -> Sent {
        let transmit = Transmit {
            destination: packet.destination,
            ecn: packet.ecn.and_then(EcnCodepoint::from_bits),
            contents: bytes,
            segment_size: packet.segment_size,
            src_ip: packet.src_ip,
        };
        match self.state.try_send(UdpSockRef::from(&self.socket), &transmit) {
            Ok(()) => Sent::Done,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Sent::Full,
            // Too large for the path, no route, ...: a lost packet, which is what QUIC is made for.
            Err(error) => {
                self.suspect(true);
                if packet.segment_size.is_none() && Errno::from_io_error(&error) == Some(Errno::INVAL) {
                    self.forgive();
                }
                Sent::Done
            }
        }
    }

    /// A single datagram that the kernel calls invalid has an address that it cannot be sent to. quinn-udp takes the error for
    /// a defect of the socket and gives up GSO and ECN for good: begin anew.
    fn forgive(&mut self) {
        if let Ok(state) = UdpSocketState::new(UdpSockRef::from(&self.socket)) {
            self.state = state;
        }
    }

    /// Wait until the socket takes packets again, or until then.
    pub fn wait_writable(&self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        let _ = poll(&mut [PollFd::from_borrowed_fd(self.as_fd(), PollFlags::OUT)], Some(&left));
    }

    /// An address in the family of this socket.
    pub fn reachable(&self, address: SocketAddr) -> SocketAddr {
        match (self.local_address(), address) {
            (Ok(SocketAddr::V6(_)), SocketAddr::V4(v4)) => {
                SocketAddr::new(IpAddr::V6(v4.ip().to_ipv6_mapped()), v4.port())
            }
            _ => address,
        }
    }
}

impl AsFd for Udp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Udp {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// An address as people write it: IPv4 is IPv4, whatever socket it came through.
pub fn plain(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 => v4,
    };
    SocketAddr::new(ip, address.port())
}

/// Read datagrams (bounded), run the protocol; events are in the core then.
pub fn recv(udp: &mut Udp, core: &mut Core, max_batches: usize) {
    let mut datagrams = 0;
    for _ in 0..max_batches {
        let count = udp.receive();
        datagrams += udp.feed(count, core);
        if count < BATCH_SIZE || datagrams >= RECEIVE_BUDGET {
            break;
        }
    }
    udp.feed_errors(core);
    core.settle();
}

/// Send the goodbyes of a core that is shut down, but wait for a full socket only so long: the peers' idle timers are there for
/// the rest.
pub fn say_goodbye(udp: &mut Udp, core: &mut Core) {
    let until = Instant::now() + GOODBYE;
    loop {
        match flush(udp, core) {
            Flushed::Done => return,
            Flushed::More => {}
            Flushed::Full => udp.wait_writable(until),
        }
        if Instant::now() >= until {
            return;
        }
    }
}

/// Send what may be sent.
pub fn flush(udp: &mut Udp, core: &mut Core) -> Flushed {
    if udp.unstick() == Sent::Full {
        return Flushed::Full;
    }
    let (now, max_segments) = (core.now(), udp.max_segments());
    core.transmit(now, max_segments, SEND_BUDGET, |packet, bytes| udp.send(packet, bytes))
}
