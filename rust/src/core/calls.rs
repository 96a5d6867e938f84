//! The calls of owners: connections by handle, streams by number. A call for what is gone does nothing.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    Core, Info,
    conn::FilePart,
    quinn::{ConnectFailed, LinkStats},
};
use crate::{
    events::{End, EndKind, Handle},
    files::Files,
    settings::MAX_STREAMS,
};

impl Core {
    /// Begin a connection. `None` when there are no client settings.
    pub fn connect(
        &mut self,
        remote: SocketAddr,
        server_name: &str,
        client: Option<Arc<rustls::ClientConfig>>,
    ) -> Option<Result<Handle, ConnectFailed>> {
        let client = client.or_else(|| self.client.clone())?;
        let now = self.now();
        Some(self.hub.connect(now, client, remote, server_name).map(|(slot, link)| self.insert(slot, link, now)))
    }

    /// Close with an application's code.
    pub fn close(&mut self, handle: Handle, code: u64, reason: &[u8]) {
        let Some(slot) = self.slot_of(handle) else {
            return;
        };
        let now = self.now();
        let text = String::from_utf8_lossy(reason).into_owned();
        let reason = Bytes::copy_from_slice(reason);
        self.guard(slot, |work| {
            work.conn.link.close(now, code, reason);
            work.conn.end(End { kind: EndKind::Locally, code: Some(code), reason: text }, work.told);
        });
        self.after(slot);
        self.want_to_send(slot);
    }

    /// Send a PING.
    pub fn ping(&mut self, handle: Handle) {
        self.on(handle, |work| work.conn.link.ping());
    }

    /// Send a PING after so much silence.
    pub fn set_keep_alive(&mut self, handle: Handle, interval: Option<Duration>) {
        let now = self.now();
        self.on(handle, |work| work.conn.set_keep_alive(now, interval));
    }

    /// How many streams the peer may have open: `MAX_STREAMS` at most, since quinn makes each of them at once.
    pub fn set_max_streams(&mut self, handle: Handle, unidirectional: bool, count: u64) {
        let count = count.min(MAX_STREAMS);
        self.on(handle, |work| work.conn.link.set_max_streams(unidirectional, count));
    }

    /// How many connections there are.
    pub fn connection_count(&self) -> usize {
        self.open
    }

    /// Facts about a connection.
    pub fn info(&mut self, handle: Handle) -> Option<Info> {
        self.on(handle, |work| {
            let link = &work.conn.link;
            Some(Info {
                tls: link.tls(),
                peer_certificates: link.peer_certificates(),
                remote: link.remote(),
                local_ip: link.local_ip(),
                early_data: link.early_data(),
            })
        })
    }

    /// Numbers about a connection, and bytes that wait outside of quinn.
    pub fn stats(&mut self, handle: Handle) -> Option<(LinkStats, u64)> {
        self.on(handle, |work| Some((work.conn.link.stats(), work.conn.buffered())))
    }

    /// RFC 5705 keying material.
    pub fn export(&mut self, handle: Handle, label: &[u8], context: &[u8], length: usize) -> Option<Vec<u8>> {
        let mut output = vec![0; length];
        self.on(handle, |work| work.conn.link.export(&mut output, label, context)).then_some(output)
    }

    // ---- streams

    /// Open a stream.
    pub fn open(&mut self, handle: Handle, unidirectional: bool) -> Option<u64> {
        self.on(handle, |work| work.conn.open_stream(unidirectional))
    }

    /// How many of `wanted` streams could be opened.
    pub fn stream_credit(&mut self, handle: Handle, unidirectional: bool, wanted: usize) -> usize {
        self.on(handle, |work| work.conn.stream_credit(unidirectional, wanted))
    }

    /// The same as `write_shared`, of a copy.
    #[cfg(test)]
    pub fn write(&mut self, handle: Handle, stream: u64, data: &[u8], fin: bool) -> u64 {
        self.on(handle, |work| work.conn.write(stream, data, fin, work.settings))
    }

    /// Send bytes; returns how many of the stream's bytes quinn has not taken.
    pub fn write_shared(&mut self, handle: Handle, stream: u64, data: Bytes, fin: bool) -> u64 {
        self.on(handle, |work| work.conn.write_shared(stream, data, fin, work.settings))
    }

    /// Open a unidirectional stream of this priority and send all of it: `data`, and the end.
    pub fn send_stream(&mut self, handle: Handle, priority: i32, data: Bytes) -> Option<u64> {
        self.on(handle, |work| work.conn.send_stream(priority, data, work.settings))
    }

    /// Send several buffers.
    pub fn write_all(&mut self, handle: Handle, stream: u64, buffers: &[&[u8]], fin: bool) -> u64 {
        self.on(handle, |work| work.conn.write_all(stream, buffers, fin, work.settings))
    }

    /// The files that are being sent.
    pub fn files(&self) -> Arc<Files> {
        self.files.clone()
    }

    /// Send a part of a file.
    pub fn write_file(&mut self, handle: Handle, stream: u64, part: FilePart, fin: bool) {
        self.on(handle, |work| work.conn.write_file(stream, part, fin, work.settings, work.told));
    }

    /// RESET_STREAM.
    pub fn reset(&mut self, handle: Handle, stream: u64, code: u64) {
        self.on(handle, |work| work.conn.reset(stream, code));
    }

    /// STOP_SENDING.
    pub fn stop(&mut self, handle: Handle, stream: u64, code: u64) {
        self.on(handle, |work| work.conn.stop(stream, code));
    }

    /// Streams with a higher number go first.
    pub fn set_priority(&mut self, handle: Handle, stream: u64, priority: i32) {
        self.on(handle, |work| work.conn.link.set_priority(stream, priority));
    }

    /// Read no more of a stream.
    pub fn pause(&mut self, handle: Handle, stream: u64) {
        self.on(handle, |work| work.conn.pause(stream));
    }

    /// Read on.
    pub fn resume(&mut self, handle: Handle, stream: u64) {
        let Some(slot) = self.slot_of(handle) else {
            return;
        };
        self.guard(slot, |work| work.conn.resume(stream, work.settings, work.told));
        self.after(slot);
        self.want_to_send(slot);
    }

    /// Send an RFC 9221 datagram.
    pub fn send_datagram(&mut self, handle: Handle, data: &[u8]) -> bool {
        self.on(handle, |work| work.conn.link.send_datagram(Bytes::copy_from_slice(data)))
    }

    /// The largest datagram that can be sent.
    pub fn max_datagram(&mut self, handle: Handle) -> Option<usize> {
        self.on(handle, |work| work.conn.link.max_datagram())
    }
}
