//! The native QUIC transport of h3push: packets, cryptography, UDP batches and stream buffers. No HTTP/3 in here.
//!
//! ```text
//!            py          three Python classes over one base; the only place that knows Python
//!      io | threaded     a UDP socket driven by its owner | the same on a thread of its own
//!           core         connections, streams, events, timers; knows no socket and takes the time as an argument
//!        core::quinn     the only module that names quinn's crate
//! ```
//!
//! **Memory.** What a peer can make us hold is bounded by [`settings::Settings`]: windows per stream and connection,
//! connections per endpoint, handshakes before Retry, bytes and number of undecided Initials. Every limit that quinn
//! leaves open or wide is set there explicitly.
//!
//! **Panics.** Work on one connection runs inside `catch_unwind`; a panic closes that connection and nothing else.
//!
//! **Forks.** An endpoint belongs to the process that made it: connection state, sequence of packet numbers and IO thread
//! are not to be shared. Fork first, then bind (sockets may be bound before the fork and passed by descriptor).
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(clippy::undocumented_unsafe_blocks)]

#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
compile_error!("choose a cryptography provider: feature `ring` or `aws-lc-rs`");

pub mod core;
pub mod events;
pub mod files;
pub mod io;
pub mod settings;
pub mod threaded;
pub mod tls;

#[cfg(feature = "python")]
mod py;
