//! A pseudo-terminal behind a symbolic link: what a USB adapter's device and its name under /dev/serial/by-id are.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, poll};
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{FlushArg, SetArg, cfmakeraw, tcflush, tcgetattr, tcsetattr};

use crate::BoardError;

/// What came from the other end of a [`Pty`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// So many bytes.
    Bytes(usize),
    /// Nothing yet.
    Nothing,
    /// No program has the device open any more.
    Closed,
}

/// The near end of a pseudo-terminal, raw and without waiting. Other programs open its device by the link.
pub struct Pty {
    end: PtyMaster,
    device: PathBuf,
    link: PathBuf,
}

impl Pty {
    /// Makes a pseudo-terminal and the symbolic link by which other programs find it. A link that another run left behind is
    /// replaced, any other file is not.
    ///
    /// # Errors
    /// When the operating system gives none, or the link cannot be made.
    pub fn create(link: &Path) -> Result<Self, BoardError> {
        let failed = |message: String| BoardError::Open {
            path: link.display().to_string(),
            message,
        };
        if fs::symlink_metadata(link).is_ok_and(|old| !old.is_symlink()) {
            return Err(failed(
                "there already is a file of this name: choose another".to_owned(),
            ));
        }
        let (end, device) = open().map_err(|error| failed(error.to_string()))?;
        point(link, &device).map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            end,
            device,
            link: link.to_owned(),
        })
    }

    /// The device behind the link.
    #[must_use]
    pub fn device(&self) -> &Path {
        &self.device
    }

    /// Takes another pseudo-terminal behind the same link: the next program finds neither the settings of the last one nor what
    /// it did not read.
    ///
    /// # Errors
    /// When the operating system gives none.
    pub fn renew(&mut self) -> io::Result<()> {
        (self.end, self.device) = open()?;
        point(&self.link, &self.device)
    }

    /// The speed that the other end was set to last, bits a second; 38400 before it was set.
    ///
    /// # Errors
    /// When the pseudo-terminal is gone.
    pub fn baud(&self) -> io::Result<u32> {
        Ok(rustix::termios::tcgetattr(&self.end)?.output_speed())
    }

    /// Takes what has come, without waiting.
    ///
    /// # Errors
    /// When the pseudo-terminal is gone.
    pub fn receive(&mut self, bytes: &mut [u8]) -> io::Result<Received> {
        loop {
            return match self.end.read(bytes) {
                Ok(0) => Ok(Received::Closed),
                Ok(count) => Ok(Received::Bytes(count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Received::Nothing),
                Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => {
                    Ok(Received::Closed)
                }
                Err(error) => Err(error),
            };
        }
    }

    /// Waits until something comes, no longer than `most`.
    ///
    /// # Errors
    /// When the operating system does not wait.
    pub fn wait(&self, most: Duration) -> io::Result<()> {
        let mut ends = [PollFd::new(self.end.as_fd(), PollFlags::POLLIN)];
        let most_ms = u16::try_from(most.as_millis().max(1)).unwrap_or(u16::MAX);
        match poll(&mut ends, most_ms) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let closed = ends[0]
            .revents()
            .is_some_and(|events| events.contains(PollFlags::POLLHUP));
        if closed {
            // Without a program at the other end there is nothing to wait for.
            std::thread::sleep(most.min(Duration::from_millis(1)));
        }
        Ok(())
    }

    /// Sends all of `bytes`, without waiting. Where the other end does not read, the bytes that were sent first are dropped.
    ///
    /// # Errors
    /// When the pseudo-terminal is gone.
    pub fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let mut dropped = false;
        while !bytes.is_empty() {
            match self.end.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && !dropped => {
                    dropped = true;
                    tcflush(&self.end, FlushArg::TCOFLUSH)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl AsFd for Pty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // Another run may have taken it over.
        if fs::read_link(&self.link).is_ok_and(|device| device == self.device) {
            let _ = fs::remove_file(&self.link);
        }
    }
}

/// The near end of a pseudo-terminal, and the name of its far end.
fn open() -> nix::Result<(PtyMaster, PathBuf)> {
    let end = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    grantpt(&end)?;
    unlockpt(&end)?;
    let device = PathBuf::from(ptsname_r(&end)?);
    let mut settings = tcgetattr(&end)?;
    cfmakeraw(&mut settings);
    tcsetattr(&end, SetArg::TCSANOW, &settings)?;
    Ok((end, device))
}

fn point(link: &Path, device: &Path) -> io::Result<()> {
    if fs::symlink_metadata(link).is_ok() {
        fs::remove_file(link)?;
    }
    symlink(device, link)
}
