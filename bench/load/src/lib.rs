//! What the load client and the native server share.

use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

/// Socket buffers: 4 MB each way, as h3push asks for; the kernel grants what it allows.
const BUFFER: usize = 4 << 20;

/// A UDP socket with large buffers, bound to `address`.
///
/// # Errors
/// The address cannot be bound.
pub fn udp_socket(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(BUFFER)?;
    socket.set_send_buffer_size(BUFFER)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
