//! As much of HTTP/3 as a load client needs: fixed request bytes out, frames counted on the way in, pushes taken.
//!
//! Written by hand because hyperium's h3 takes no pushes, and because a client that builds no header maps is never what is
//! measured. Nothing is skipped that a server could tell: SETTINGS, the control stream, MAX_PUSH_ID, static QPACK.

use std::{
    error::Error,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream, VarInt};
use tokio::sync::{Mutex, Semaphore};

/// Whatever went wrong; the load client counts it or prints it.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Push IDs that are granted at once; raised by as many as have ended.
const PUSH_WINDOW: u64 = 256;

const DATA: u64 = 0x0;
const HEADERS: u64 = 0x1;
const PUSH_STREAM: u64 = 0x1;
const SETTINGS: u8 = 0x4;
const MAX_PUSH_ID: u8 = 0xd;
/// How a connection ends when nothing is wrong.
pub const H3_NO_ERROR: u32 = 0x100;

/// Append a varint (RFC 9000 section 16), in the shortest of the lengths 1, 2, 4 and 8.
fn put_varint(out: &mut Vec<u8>, value: u64) {
    match value {
        0..0x40 => out.push(value as u8),
        0x40..0x4000 => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        0x4000..0x4000_0000 => out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend_from_slice(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

/// Read a varint; `None` when it is cut.
fn take_varint(data: &[u8]) -> Option<(u64, usize)> {
    let first = *data.first()?;
    let length = 1 << (first >> 6);
    let bytes = data.get(..length)?;
    let value = bytes[1..].iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte));
    Some((value, length))
}

/// A field line with a name of the static table and a literal value (RFC 9204 section 4.5.4).
fn put_field(out: &mut Vec<u8>, static_index: u8, value: &str) {
    if static_index < 15 {
        out.push(0x50 | static_index);
    } else {
        out.extend_from_slice(&[0x5f, static_index - 15]);
    }
    assert!(value.len() < 127, "a longer value needs a longer length");
    out.push(value.len() as u8);
    out.extend_from_slice(value.as_bytes());
}

/// A HEADERS frame: GET, or POST when there is content.
pub fn request_head(authority: &str, path: &str, content: Option<usize>) -> Bytes {
    let mut section = vec![0, 0];
    section.push(if content.is_some() { 0xc0 | 20 } else { 0xc0 | 17 }); // :method
    section.push(0xc0 | 23); // :scheme https
    put_field(&mut section, 0, authority);
    put_field(&mut section, 1, path);
    put_field(&mut section, 95, "h3push-load"); // user-agent
    section.push(0xc0 | 29); // accept: */*
    if let Some(length) = content {
        put_field(&mut section, 4, &length.to_string()); // content-length
    }
    let mut frame = Vec::new();
    put_varint(&mut frame, HEADERS);
    put_varint(&mut frame, section.len() as u64);
    frame.extend_from_slice(&section);
    frame.into()
}

/// The header of a DATA frame.
pub fn data_header(length: usize) -> Bytes {
    let mut frame = vec![DATA as u8];
    put_varint(&mut frame, length as u64);
    frame.into()
}

/// Follows the frames of one response.
#[derive(Default)]
struct Frames {
    unread: Vec<u8>,
    left: u64,
    is_data: bool,
    answered: bool,
    content: u64,
}

impl Frames {
    fn take(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let mut joined = std::mem::take(&mut self.unread);
        let mut data = chunk;
        if !joined.is_empty() {
            joined.extend_from_slice(chunk);
            data = &joined;
        }
        while !data.is_empty() {
            if self.left == 0 {
                let Some(behind) = self.header(data)? else {
                    self.unread = data.to_vec();
                    return Ok(());
                };
                data = &data[behind..];
            }
            let here = self.left.min(data.len() as u64);
            self.left -= here;
            if self.is_data {
                self.content += here;
            }
            data = &data[here as usize..];
        }
        Ok(())
    }

    /// Read a frame header, and in HEADERS the status; `None` when more bytes are needed.
    fn header(&mut self, data: &[u8]) -> Result<Option<usize>, Failure> {
        let Some((kind, first)) = take_varint(data) else { return Ok(None) };
        let Some((length, second)) = take_varint(&data[first..]) else { return Ok(None) };
        let start = first + second;
        if kind == HEADERS && !self.answered {
            // `:status 200` is entry 25 of the static table, and comes first behind the section's prefix.
            match data.get(start + 2) {
                None => return Ok(None),
                Some(0xd9) => self.answered = true,
                Some(other) => return Err(format!("the response does not begin with status 200 but {other:#x}").into()),
            }
        }
        self.left = length;
        self.is_data = kind == DATA;
        Ok(Some(start))
    }

    /// Bytes of content of a response that is complete and had status 200.
    fn finish(self) -> Result<u64, Failure> {
        if !self.answered || self.left > 0 || !self.unread.is_empty() {
            return Err("the response ended too early".into());
        }
        Ok(self.content)
    }
}

/// Read a response to its end, or until `stop`; returns the bytes of its content.
async fn read_response(stream: &mut RecvStream, mut frames: Frames, stop: Option<&AtomicBool>) -> Result<u64, Failure> {
    while let Some(chunk) = stream.read_chunk(usize::MAX, true).await? {
        frames.take(&chunk.bytes)?;
        if stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Ok(frames.content);
        }
    }
    frames.finish()
}

/// What came as pushes on one connection.
struct Pushes {
    ended: Semaphore,
    bytes: AtomicU64,
    failed: AtomicBool,
    granted: Mutex<u64>,
    count: AtomicU64,
}

/// One HTTP/3 connection.
#[derive(Clone)]
pub struct Client {
    connection: Connection,
    control: Arc<Mutex<SendStream>>,
    pushes: Arc<Pushes>,
}

impl Client {
    /// Connect, and open the control stream; with `push` the server is granted push IDs.
    pub async fn connect(endpoint: &Endpoint, address: SocketAddr, push: bool) -> Result<Self, Failure> {
        let connection = endpoint.connect(address, "localhost")?.await?;
        let mut control = connection.open_uni().await?;
        let mut greeting = vec![0, SETTINGS, 0];
        if push {
            max_push_id(&mut greeting, PUSH_WINDOW - 1);
        }
        control.write_all(&greeting).await?;
        let pushes = Arc::new(Pushes {
            ended: Semaphore::new(0),
            bytes: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            granted: Mutex::new(PUSH_WINDOW),
            count: AtomicU64::new(0),
        });
        tokio::spawn(accept_streams(connection.clone(), pushes.clone()));
        Ok(Self { connection, control: Arc::new(Mutex::new(control)), pushes })
    }

    /// GET; returns the bytes of content.
    pub async fn get(&self, head: &Bytes, stop: Option<&AtomicBool>) -> Result<u64, Failure> {
        let (mut sending, mut receiving) = self.connection.open_bi().await?;
        sending.write_chunk(head.clone()).await?;
        sending.finish()?;
        read_response(&mut receiving, Frames::default(), stop).await
    }

    /// POST `length` bytes; returns the bytes of the response.
    pub async fn post(&self, head: &Bytes, piece: &Bytes, length: usize) -> Result<u64, Failure> {
        let (mut sending, mut receiving) = self.connection.open_bi().await?;
        sending.write_chunk(head.clone()).await?;
        sending.write_chunk(data_header(length)).await?;
        let mut left = length;
        while left > 0 {
            let size = left.min(piece.len());
            sending.write_chunk(piece.slice(..size)).await?;
            left -= size;
        }
        sending.finish()?;
        read_response(&mut receiving, Frames::default(), None).await
    }

    /// GET a page that comes with `count` pushes, and wait for all of them; returns the bytes of all contents.
    pub async fn get_with_pushes(&self, head: &Bytes, count: u32) -> Result<u64, Failure> {
        let before = self.pushes.bytes.load(Ordering::Relaxed);
        self.get(head, None).await?;
        self.pushes.ended.acquire_many(count).await?.forget();
        if self.pushes.failed.load(Ordering::Relaxed) {
            return Err("a push failed".into());
        }
        let mut granted = self.pushes.granted.lock().await;
        let ended = self.pushes.count.load(Ordering::Relaxed);
        if *granted < ended + PUSH_WINDOW / 2 {
            *granted = ended + PUSH_WINDOW;
            let mut frame = Vec::new();
            max_push_id(&mut frame, *granted - 1);
            self.control.lock().await.write_all(&frame).await?;
        }
        Ok(self.pushes.bytes.load(Ordering::Relaxed) - before)
    }

    /// Why the connection has ended; `None` while it stands.
    pub fn close_reason(&self) -> Option<ConnectionError> {
        self.connection.close_reason()
    }

    /// Close without an error.
    pub fn close(&self) {
        self.connection.close(VarInt::from_u32(H3_NO_ERROR), b"");
    }
}

fn max_push_id(out: &mut Vec<u8>, push_id: u64) {
    let mut payload = Vec::new();
    put_varint(&mut payload, push_id);
    out.push(MAX_PUSH_ID);
    put_varint(out, payload.len() as u64);
    out.extend_from_slice(&payload);
}

/// Take what the server opens: push streams are counted, the rest is read and forgotten.
async fn accept_streams(connection: Connection, pushes: Arc<Pushes>) {
    while let Ok(stream) = connection.accept_uni().await {
        let pushes = pushes.clone();
        tokio::spawn(async move {
            match take_stream(stream).await {
                Ok(Some(bytes)) => {
                    pushes.bytes.fetch_add(bytes, Ordering::Relaxed);
                    pushes.count.fetch_add(1, Ordering::Relaxed);
                    pushes.ended.add_permits(1);
                }
                Ok(None) => {}
                Err(_) => {
                    pushes.failed.store(true, Ordering::Relaxed);
                    pushes.ended.close();
                }
            }
        });
    }
}

/// Read a unidirectional stream to its end; the bytes of content when it was a push stream.
async fn take_stream(mut stream: RecvStream) -> Result<Option<u64>, Failure> {
    let mut header = Vec::new();
    while let Some(chunk) = stream.read_chunk(usize::MAX, true).await? {
        header.extend_from_slice(&chunk.bytes);
        let Some((kind, first)) = take_varint(&header) else { continue };
        if kind != PUSH_STREAM {
            while stream.read_chunk(usize::MAX, true).await?.is_some() {}
            return Ok(None);
        }
        let Some((_push_id, second)) = take_varint(&header[first..]) else { continue };
        let mut frames = Frames::default();
        frames.take(&header[first + second..])?;
        return Ok(Some(read_response(&mut stream, frames, None).await?));
    }
    Ok(None)
}
