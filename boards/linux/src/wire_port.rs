//! The wire to a host as a pseudo-terminal: what a microcontroller's USB port is to a host, for a board that is a process.

use std::path::Path;

use wink_runtime::arm::{Link, LinkError};

use crate::BoardError;
use crate::pty::{Pty, Received};

/// A pseudo-terminal that hosts open like a serial port, one at a time.
pub struct WirePort {
    pty: Pty,
}

impl WirePort {
    /// As [`Pty::create`].
    ///
    /// # Errors
    /// When the operating system gives no pseudo-terminal, or the link cannot be made.
    pub fn create(link: &Path) -> Result<Self, BoardError> {
        let pty = Pty::create(link)?;
        Ok(Self { pty })
    }

    /// The device behind the link. Another one when a host has gone.
    #[must_use]
    pub fn device(&self) -> &Path {
        self.pty.device()
    }

    /// Hands over what has come from either end, without waiting. What no host reads is dropped, the oldest first.
    ///
    /// # Errors
    /// When the board or the pseudo-terminal is gone.
    pub fn exchange(&mut self, board: &mut impl Link) -> Result<(), LinkError> {
        let mut bytes = [0; 1024];
        loop {
            match self.pty.receive(&mut bytes)? {
                Received::Bytes(count) => board.write(&bytes[..count])?,
                Received::Nothing => break,
                // The next host must not find what this one left: its settings, and what it did not read.
                Received::Closed => return Ok(self.pty.renew()?),
            }
        }
        loop {
            let count = board.read(&mut bytes)?;
            if count == 0 {
                return Ok(());
            }
            self.pty.send(&bytes[..count])?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::fs;
    use std::io::{Read, Write};
    use std::os::unix::fs::{FileTypeExt, symlink};
    use std::time::Duration;

    use serialport::SerialPort;

    /// Says the same for ever, and keeps what it hears.
    #[derive(Default)]
    struct Board {
        heard: Vec<u8>,
        says: VecDeque<u8>,
    }

    impl Link for Board {
        fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
            self.heard.extend(bytes);
            Ok(())
        }

        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
            Ok(self.says.read(buffer)?)
        }
    }

    fn host(link: &Path) -> Box<dyn SerialPort> {
        serialport::new(link.to_str().unwrap(), 1_000_000)
            .timeout(Duration::from_secs(10))
            .open()
            .unwrap()
    }

    #[test]
    fn hosts_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("board");
        let mut port = WirePort::create(&link).unwrap();
        assert!(fs::metadata(&link).unwrap().file_type().is_char_device());
        let mut board = Board::default();
        for turn in 0..3_u8 {
            let mut host = host(&link);
            host.write_all(&[turn, b'\n', b'\r', 3, 4]).unwrap();
            board.says.extend([turn, b'\n', b'\r', 26]);
            port.exchange(&mut board).unwrap();
            assert_eq!(board.heard, [turn, b'\n', b'\r', 3, 4]);
            board.heard.clear();
            let mut said = [0; 4];
            host.read_exact(&mut said).unwrap();
            assert_eq!(said, [turn, b'\n', b'\r', 26]);
            let device = port.device().to_owned();
            board.says.extend([99; 100]);
            port.exchange(&mut board).unwrap();
            drop(host);
            port.exchange(&mut board).unwrap();
            assert_ne!(
                port.device(),
                device,
                "another one, without what was not read"
            );
        }
        drop(port);
        assert!(fs::symlink_metadata(&link).is_err(), "the link is left");
    }

    #[test]
    fn what_nobody_reads_is_dropped_and_the_host_is_heard_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("board");
        let mut port = WirePort::create(&link).unwrap();
        let mut board = Board::default();
        let mut host = host(&link);
        for count in 0..200_000_u32 {
            board.says.extend(count.to_le_bytes());
            if count % 256 == 0 {
                port.exchange(&mut board).unwrap();
            }
        }
        host.write_all(b"hold").unwrap();
        port.exchange(&mut board).unwrap();
        assert_eq!(board.heard, b"hold");
        host.set_timeout(Duration::from_millis(300)).unwrap();
        let mut said = vec![];
        let mut piece = [0; 4096];
        while let Ok(count) = host.read(&mut piece) {
            said.extend_from_slice(&piece[..count]);
        }
        assert!((4..400_000).contains(&said.len()), "{}", said.len());
        assert!(said.ends_with(&199_999_u32.to_le_bytes()));
    }

    #[test]
    fn an_old_link_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("board");
        symlink("/dev/pts/no-such", &link).unwrap();
        let port = WirePort::create(&link).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), port.device());
        let taken = folder.path().join("notes.txt");
        fs::write(&taken, "mine").unwrap();
        let error = WirePort::create(&taken).err().unwrap().to_string();
        assert!(
            error.contains("notes.txt: there already is a file"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&taken).unwrap(), "mine");
    }
}
