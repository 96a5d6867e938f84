//! Files that are sent: few are open at a time, however many are under way.
//!
//! ```text
//!   open(path) ──> Source (path and stamp) <── streams that send it, any number; the same file is one source
//!                    │ descriptor, while it is read: at most `limit` of all sources have one
//!                    └ taken away from whoever was read longest ago, opened again for its next piece
//! ```
//!
//! A client that stops reading in mid-download thus holds no descriptor. When a file is opened again it must be the same one: its
//! stamp says so, and each piece that was read is believed only if the stamp still holds. A file that changed is not sent on,
//! for nobody could tell where the old one ends and the new one begins; one that only grew is, since logs do.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use rustc_hash::FxHashMap;
use rustix::io::Errno;

/// The identity of a file's content: differs between files, and between states of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stamp {
    device: u64,
    number: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            number: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// True when the content of this stamp is still there, perhaps with more behind it.
    fn holds(&self, now: &Self) -> bool {
        self == now || ((self.device, self.number) == (now.device, now.number) && now.size > self.size)
    }
}

/// The files of an endpoint that are being sent.
pub struct Files {
    limit: usize,
    clock: AtomicU64,
    known: Mutex<FxHashMap<Stamp, Weak<Source>>>,
    open: Mutex<Vec<Weak<Source>>>,
}

/// A file that is being sent. Its descriptor is closed with the last stream that sends it, if not before.
pub struct Source {
    files: Arc<Files>,
    path: PathBuf,
    stamp: Stamp,
    used: AtomicU64,
    descriptor: Mutex<Option<File>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn changed() -> io::Error {
    io::Error::other("the file was changed while it was sent")
}

/// Names of descriptors of this process: what they name may be closed, or another file, the next time.
fn is_descriptor(path: &Path) -> bool {
    ["/dev/fd", "/proc/self/fd"].iter().any(|folder| path.starts_with(folder))
}

impl Files {
    /// At most `limit` descriptors.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, clock: AtomicU64::new(0), known: Mutex::default(), open: Mutex::default() })
    }

    /// A file to be sent, as it is now.
    pub fn open(self: &Arc<Self>, path: &Path) -> io::Result<Arc<Source>> {
        let file = self.open_file(path)?;
        let stamp = Stamp::of(&file.metadata()?);
        // In a statement of its own: the last owner of a source must not go while `known` is locked.
        let same = locked(&self.known).get(&stamp).and_then(Weak::upgrade);
        if let Some(source) = same
            && source.path == path
            && !is_descriptor(path)
        {
            return Ok(source);
        }
        let source = Arc::new(Source {
            files: self.clone(),
            path: path.to_path_buf(),
            stamp,
            used: AtomicU64::new(self.tick()),
            descriptor: Mutex::new(Some(file)),
        });
        locked(&self.known).insert(stamp, Arc::downgrade(&source));
        self.note_open(&source);
        Ok(source)
    }

    /// How many descriptors there are.
    pub fn descriptors(&self) -> usize {
        let open = locked(&self.open).iter().filter_map(Weak::upgrade).collect::<Vec<_>>();
        open.iter().filter(|source| locked(&source.descriptor).is_some()).count()
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    /// When the process has no descriptor left, ours go before somebody is refused.
    fn open_file(&self, path: &Path) -> io::Result<File> {
        match File::open(path) {
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) => {
                self.close_all_but(0);
                File::open(path)
            }
            result => result,
        }
    }

    fn note_open(&self, source: &Arc<Source>) {
        if !is_descriptor(&source.path) {
            self.close_all_but(self.limit.saturating_sub(1));
            locked(&self.open).push(Arc::downgrade(source));
        }
    }

    /// Take descriptors away until so many are left, from those first that were read longest ago.
    fn close_all_but(&self, left: usize) {
        let mut open = locked(&self.open);
        let mut sources: Vec<_> = open.iter().filter_map(Weak::upgrade).collect();
        if sources.len() > left {
            sources.sort_unstable_by_key(|source| source.used.load(Ordering::Relaxed));
            let surplus = sources.len() - left;
            // One that is being read just now is in use, and not for long.
            sources = sources
                .into_iter()
                .enumerate()
                .filter(|(place, source)| *place >= surplus || !source.let_go())
                .map(|(_, source)| source)
                .collect();
        }
        *open = sources.iter().map(Arc::downgrade).collect();
        drop(open); // before the last owner of a source may be dropped
    }
}

impl Source {
    /// Fill `bytes` with what stands at `offset`, if the file is still the one that was opened.
    pub fn read_exact_at(self: &Arc<Self>, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.used.store(self.files.tick(), Ordering::Relaxed);
        let mut descriptor = locked(&self.descriptor);
        let reopened = descriptor.is_none();
        let file = match descriptor.take() {
            Some(file) => file,
            None => self.files.open_file(&self.path)?,
        };
        file.read_exact_at(bytes, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other("the file is shorter than what was announced of it"),
            _ => error,
        })?;
        if !self.stamp.holds(&Stamp::of(&file.metadata()?)) {
            return Err(changed());
        }
        *descriptor = Some(file);
        drop(descriptor);
        if reopened {
            self.files.note_open(self);
        }
        Ok(())
    }

    fn let_go(&self) -> bool {
        self.descriptor.try_lock().is_ok_and(|mut descriptor| descriptor.take().is_some())
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let mut known = locked(&self.files.known);
        if known.get(&self.stamp).is_some_and(|source| source.strong_count() == 0) {
            known.remove(&self.stamp);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("h3push-files-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a folder");
            Self(path)
        }

        fn file(&self, name: &str, content: &[u8]) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, content).expect("room");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn read(source: &Arc<Source>, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        source.read_exact_at(&mut bytes, 0).map(|()| bytes)
    }

    /// However many files are under way, so many are open; each is read in its turn (issue 9, point 4).
    #[test]
    fn few_descriptors_serve_many_files() {
        let folder = Folder::new("few");
        let files = Files::new(3);
        let sources: Vec<_> = (0..20_u8)
            .map(|number| files.open(&folder.file(&number.to_string(), &[number; 10])).expect("it is there"))
            .collect();
        assert_eq!(files.descriptors(), 3);
        for _ in 0..2 {
            for (number, source) in sources.iter().enumerate() {
                assert_eq!(read(source, 10).expect("it is there"), [number as u8; 10]);
                assert!(files.descriptors() <= 3);
            }
        }
        drop(sources);
        assert_eq!(files.descriptors(), 0, "nothing is kept when nobody sends");
        assert!(locked(&files.known).is_empty());
    }

    /// Streams that send the same file share its descriptor.
    #[test]
    fn streams_share_a_file() {
        let folder = Folder::new("shared");
        let path = folder.file("page", b"content");
        let files = Files::new(3);
        let (first, second) = (files.open(&path).expect("there"), files.open(&path).expect("there"));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(files.descriptors(), 1);
    }

    /// A file that was changed, replaced or cut meanwhile is not sent on, open or not; one that grew is.
    #[test]
    fn a_file_that_changed_fails() {
        let folder = Folder::new("changed");
        type Act = fn(&Path);
        let change: [(&str, Act, bool); 4] = [
            ("grown", |path| File::options().append(true).open(path).unwrap().write_all(b"more").unwrap(), true),
            ("cut", |path| File::options().write(true).open(path).unwrap().set_len(3).unwrap(), false),
            ("replaced", |path| std::fs::rename(path.with_extension("new"), path).unwrap(), false),
            ("gone", |path| std::fs::remove_file(path).unwrap(), false),
        ];
        for (name, act, goes_on) in change {
            let path = folder.file(name, b"content");
            folder.file(&format!("{name}.new"), b"CONTENT");
            let files = Files::new(1);
            let source = files.open(&path).expect("it is there");
            assert!(read(&source, 7).is_ok());
            files.close_all_but(0);
            act(&path);
            let result = read(&source, 7);
            assert_eq!(result.is_ok(), goes_on, "{name}: {result:?}");
        }
        let path = folder.file("cut while open", b"content");
        let files = Files::new(1);
        let source = files.open(&path).expect("it is there");
        File::options().write(true).open(&path).unwrap().set_len(3).unwrap();
        assert!(read(&source, 3).is_err(), "even where the bytes are still there");
    }
}
