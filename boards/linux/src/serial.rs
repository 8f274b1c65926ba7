//! A serial adapter as a servo bus.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use serialport::{ClearBuffer, SerialPort};
use wink_firmware::servo::serial::BusPort;

use crate::BoardError;
use crate::port::{check, refused};

/// So long between two bytes of an answer and there are no more: USB hands them over in pieces, a millisecond apart.
const SILENCE: Duration = Duration::from_millis(2);
/// Time between two tries to open an adapter that was pulled.
const RETRY: Duration = Duration::from_millis(200);

/// A half-duplex line to servos: a USB adapter (Feetech's or Waveshare's driver board, ROBOTIS' U2D2) or the board's own UART
/// behind a line driver that switches direction by itself. An adapter that is pulled is an error until it is plugged in again.
pub struct SerialLine {
    /// `None` while the adapter is gone.
    port: Option<Box<dyn SerialPort>>,
    /// Where to find it again; `None` where it was open already.
    place: Option<(String, u32)>,
    retry_at: Instant,
}

impl SerialLine {
    /// Opens a serial device.
    ///
    /// # Errors
    /// When there is none, it is taken, may not be opened, or hands answers over too late; the error says what to do.
    pub fn open(path: &str, baud: u32) -> Result<Self, BoardError> {
        check(path)?;
        let port = open(path, baud).map_err(|error| refused(path, "adapter", &error))?;
        Ok(Self {
            port: Some(port),
            place: Some((path.to_owned(), baud)),
            retry_at: Instant::now(),
        })
    }

    /// The line of a port that is open already.
    #[must_use]
    pub fn from_port(port: Box<dyn SerialPort>) -> Self {
        Self {
            port: Some(port),
            place: None,
            retry_at: Instant::now(),
        }
    }

    /// Changes the line's speed, bits a second.
    ///
    /// # Errors
    /// When the adapter is gone or has no such speed.
    pub fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        self.port()?.set_baud_rate(baud)?;
        if let Some(place) = &mut self.place {
            place.1 = baud;
        }
        Ok(())
    }

    /// The port, opened again where its adapter is back.
    fn port(&mut self) -> io::Result<&mut Box<dyn SerialPort>> {
        if self.port.is_none() && Instant::now() >= self.retry_at {
            self.retry_at = Instant::now() + RETRY;
            self.port = self
                .place
                .as_ref()
                .and_then(|(path, baud)| open(path, *baud).ok());
        }
        let path = self.path();
        self.port.as_mut().ok_or_else(|| gone(&path))
    }

    fn path(&self) -> String {
        self.place
            .as_ref()
            .map_or_else(|| "the adapter".to_owned(), |(path, _)| path.clone())
    }

    /// Closes the port of an adapter that failed.
    fn lose(&mut self, error: &io::Error) -> io::Error {
        self.port = None;
        self.retry_at = Instant::now() + RETRY;
        let gone = gone(&self.path());
        io::Error::new(gone.kind(), format!("{gone} ({error})"))
    }
}

fn open(path: &str, baud: u32) -> serialport::Result<Box<dyn SerialPort>> {
    let port = serialport::new(path, baud).timeout(Duration::ZERO).open()?;
    // What a program before this one did not read is no answer.
    let _ = port.clear(ClearBuffer::Input);
    Ok(port)
}

fn gone(path: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotConnected,
        format!("{path} is gone: plug the adapter in again; it is then opened again by itself"),
    )
}

impl BusPort for SerialLine {
    type Error = io::Error;

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = self.port()?.write_all(bytes);
        sent.map_err(|error| self.lose(&error))
    }

    fn receive(&mut self, buffer: &mut [u8], left_us: &mut u32) -> io::Result<usize> {
        let start = Instant::now();
        let patience = Duration::from_micros((*left_us).into());
        let mut count = 0;
        let port = self.port()?;
        let outcome = loop {
            if count == buffer.len() {
                break Ok(count);
            }
            let wait = if count == 0 {
                patience.saturating_sub(start.elapsed())
            } else {
                SILENCE
            };
            if let Err(error) = port.set_timeout(wait) {
                break Err(error.into());
            }
            match port.read(&mut buffer[count..]) {
                // A terminal that is there says that it has nothing; one that is gone has nothing to say.
                Ok(0) => break Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => break Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        let waited_us = u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX);
        *left_us = if count == 0 {
            0
        } else {
            left_us.saturating_sub(waited_us)
        };
        outcome.map_err(|error| self.lose(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pty::{Pty, Received};
    use serialport::TTYPort;

    #[test]
    fn bytes_come_and_go_and_silence_ends() {
        let (mut far, near) = TTYPort::pair().unwrap();
        let mut line = SerialLine::from_port(Box::new(near));
        line.send(&[1, 2, 3]).unwrap();
        let mut heard = [0; 3];
        far.set_timeout(Duration::from_secs(10)).unwrap();
        far.read_exact(&mut heard).unwrap();
        assert_eq!(heard, [1, 2, 3]);

        let mut buffer = [0; 8];
        let mut left_us = 1_000;
        assert_eq!(line.receive(&mut buffer, &mut left_us).unwrap(), 0);
        assert_eq!(left_us, 0);
        far.write_all(&[7; 10]).unwrap();
        let mut left_us = 10_000_000;
        assert_eq!(line.receive(&mut buffer, &mut left_us).unwrap(), 8);
        assert!((1..=10_000_000).contains(&left_us));
        assert_eq!(line.receive(&mut buffer, &mut left_us).unwrap(), 2);
    }

    #[test]
    fn what_cannot_be_opened_says_what_to_do() {
        let error = SerialLine::open("/dev/no-such-adapter", 1_000_000)
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("/dev/no-such-adapter") && error.contains("plugged in"),
            "{error}"
        );
    }

    #[test]
    fn an_adapter_that_is_pulled_is_told_and_opened_again_once_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("adapter");
        let path = link.to_str().unwrap();
        let adapter = Pty::create(&link).unwrap();
        let mut line = SerialLine::open(path, 1_000_000).unwrap();
        line.send(b"here").unwrap();

        drop(adapter);
        let start = Instant::now();
        let told = loop {
            match line.receive(&mut [0; 8], &mut 1_000) {
                Err(error) => break error.to_string(),
                Ok(count) => assert_eq!(count, 0),
            }
        };
        assert!(start.elapsed() < Duration::from_secs(1));
        assert!(
            told.contains(path) && told.contains("plug the adapter in again"),
            "{told}"
        );
        assert!(line.send(b"lost").is_err());

        let mut adapter = Pty::create(&link).unwrap();
        let start = Instant::now();
        while line.send(b"back").is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "not reopened");
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut heard = [0; 8];
        let count = loop {
            match adapter.receive(&mut heard).unwrap() {
                Received::Bytes(count) => break count,
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        assert_eq!(&heard[..count], b"back");
    }
}
