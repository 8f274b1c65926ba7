//! The file of a recording: each flush is on the disk when it returns, and what could not be written whole is cut off again.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where a recording goes.
pub trait Storage: Write + Send + 'static {
    /// Brings what was written to the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file off.
    fn cut(&mut self, bytes: u64) -> io::Result<()>;
}

impl Storage for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
}

/// A storage and what of it is whole.
pub struct Sink<S: Storage> {
    storage: S,
    written: u64,
    /// Bytes up to the last flush.
    whole: Arc<AtomicU64>,
}

impl<S: Storage> Sink<S> {
    pub fn new(storage: S) -> Self {
        Self {
            storage,
            written: 0,
            whole: Arc::default(),
        }
    }

    /// Bytes up to the last flush, also while a writer has the sink.
    pub fn whole(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.whole)
    }

    /// Cuts off what came after the last flush.
    pub fn cut_to_whole(&mut self) {
        // A reader takes a file with half a record at its end, too: this only makes it tidy.
        let _ = self.storage.cut(self.whole.load(Ordering::Relaxed));
    }
}

impl<S: Storage> Write for Sink<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.storage.write(bytes)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.storage.flush()?;
        self.storage.sync()?;
        self.whole.store(self.written, Ordering::Relaxed);
        Ok(())
    }
}
