//! The roster: the address and the connection ID of each connection of a worker, in memory that outlives it.
//!
//! A process that is killed says nothing to its clients. Those that send are told at their next packet; those that only wait would
//! not hear of it until they ask. Whoever finds the roster of a dead worker tells them all: a stateless reset for each
//! (RFC 9000 section 10.3), whose token follows from the connection ID and the key that all workers share.
//!
//! One process writes; another reads when that is gone. An entry is 32 bytes: in use, family, port, address, connection ID.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{BorrowedFd, RawFd},
    ptr,
};

use rustix::{
    fs::fstat,
    mm::{MapFlags, ProtFlags, mmap, munmap},
};

/// Bytes of a connection ID.
pub const CID: usize = 8;
const ENTRY: usize = 32;
const ADDRESS: usize = 4;
const ID: usize = 20;

type Entry = [u8; ENTRY];

/// A connection that was alive when its worker was not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The address of its client.
    pub remote: SocketAddr,
    /// The connection ID that the client used last.
    pub cid: [u8; CID],
}

/// Shared memory with one entry for each slot; slots beyond its size are not recorded.
pub struct Roster {
    memory: *mut Entry,
    entries: usize,
}

// SAFETY: the memory belongs to this value alone in this process, and all access goes through `&mut self`.
unsafe impl Send for Roster {}

impl Roster {
    /// Map the memory of a file, which stays open for others.
    pub fn map(fd: RawFd) -> io::Result<Self> {
        if fd < 0 {
            return Err(rustix::io::Errno::BADF.into());
        }
        // SAFETY: borrowed for two system calls; a number that is not an open file fails in the first.
        let file = unsafe { BorrowedFd::borrow_raw(fd) };
        let size = usize::try_from(fstat(file)?.st_size).unwrap_or(0);
        let entries = size / ENTRY;
        if entries == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the roster's file is empty"));
        }
        // SAFETY: a fresh mapping of a whole file, unmapped when this value is dropped.
        let memory =
            unsafe { mmap(ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0)? };
        Ok(Self { memory: memory.cast(), entries })
    }

    /// Note where the client of `slot` is, and by which connection ID it speaks to us.
    pub fn note(&mut self, slot: usize, remote: SocketAddr, cid: [u8; CID]) {
        let entry = packed(remote, cid);
        if slot < self.entries && self.read(slot) != entry {
            self.write(slot, entry);
        }
    }

    /// Forget the connection of `slot`.
    pub fn clear(&mut self, slot: usize) {
        if slot < self.entries && self.read(slot)[0] != 0 {
            self.write(slot, [0; ENTRY]);
        }
    }

    /// Take everything that is in it.
    pub fn take(&mut self) -> Vec<Orphan> {
        let mut found = Vec::new();
        for slot in 0..self.entries {
            if let Some(orphan) = unpacked(&self.read(slot)) {
                found.push(orphan);
                self.write(slot, [0; ENTRY]);
            }
        }
        found
    }

    fn read(&self, slot: usize) -> Entry {
        debug_assert!(slot < self.entries);
        // SAFETY: `slot` is within the mapping (every caller looks), and any bytes are an entry.
        unsafe { ptr::read_volatile(self.memory.add(slot)) }
    }

    fn write(&mut self, slot: usize, entry: Entry) {
        debug_assert!(slot < self.entries);
        // SAFETY: as in `read`.
        unsafe { ptr::write_volatile(self.memory.add(slot), entry) }
    }
}

impl Drop for Roster {
    fn drop(&mut self) {
        // SAFETY: the mapping of `map`, which nothing else refers to.
        let _ = unsafe { munmap(self.memory.cast(), self.entries * ENTRY) };
    }
}

fn packed(remote: SocketAddr, cid: [u8; CID]) -> Entry {
    let mut entry = [0; ENTRY];
    entry[0] = 1;
    entry[2..ADDRESS].copy_from_slice(&remote.port().to_be_bytes());
    match remote.ip() {
        IpAddr::V4(ip) => {
            entry[1] = 4;
            entry[ADDRESS..ADDRESS + 4].copy_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            entry[1] = 6;
            entry[ADDRESS..ID].copy_from_slice(&ip.octets());
        }
    }
    entry[ID..ID + CID].copy_from_slice(&cid);
    entry
}

fn unpacked(entry: &Entry) -> Option<Orphan> {
    let port = u16::from_be_bytes([entry[2], entry[3]]);
    let ip = match (entry[0], entry[1]) {
        (1, 4) => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(&entry[ADDRESS..ADDRESS + 4]).ok()?)),
        (1, 6) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(&entry[ADDRESS..ID]).ok()?)),
        _ => return None,
    };
    Some(Orphan { remote: SocketAddr::new(ip, port), cid: entry[ID..ID + CID].try_into().ok()? })
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::fd::AsRawFd};

    use super::*;

    fn file(entries: usize) -> File {
        let path = std::env::temp_dir().join(format!("roster-{}-{entries}", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.set_len((entries * ENTRY) as u64).unwrap();
        file
    }

    #[test]
    fn what_one_process_noted_another_finds() {
        let file = file(3);
        let four: SocketAddr = "192.0.2.1:443".parse().unwrap();
        let six: SocketAddr = "[2001:db8::1]:50000".parse().unwrap();
        let mut writer = Roster::map(file.as_raw_fd()).unwrap();
        writer.note(0, four, [1; CID]);
        writer.note(0, six, [2; CID]);
        writer.note(1, four, [3; CID]);
        writer.note(2, four, [4; CID]);
        writer.note(3, four, [5; CID]);
        writer.clear(1);
        writer.clear(9);
        drop(writer);
        let mut reader = Roster::map(file.as_raw_fd()).unwrap();
        let found = reader.take();
        assert_eq!(found, [Orphan { remote: six, cid: [2; CID] }, Orphan { remote: four, cid: [4; CID] }]);
        assert!(reader.take().is_empty());
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        assert!(Roster::map(-1).is_err());
        assert!(Roster::map(file(0).as_raw_fd()).is_err());
    }
}
