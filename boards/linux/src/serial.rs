//! A serial adapter as a servo bus.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use serialport::{ErrorKind, SerialPort};
use wink_firmware::servo::serial::BusPort;

use crate::BoardError;

/// So long between two bytes of an answer and there are no more: USB hands them over in pieces, a millisecond apart.
const SILENCE: Duration = Duration::from_millis(2);

/// A half-duplex line to servos: a USB adapter (Feetech's or Waveshare's driver board, ROBOTIS' U2D2) or the board's own UART
/// behind a line driver that switches direction by itself.
pub struct SerialLine {
    port: Box<dyn SerialPort>,
}

impl SerialLine {
    /// Opens a serial device.
    ///
    /// # Errors
    /// When there is none, it is taken, or may not be opened; the error says what to do.
    pub fn open(path: &str, baud: u32) -> Result<Self, BoardError> {
        let port = serialport::new(path, baud)
            .timeout(Duration::ZERO)
            .open()
            .map_err(|error| refused(path, &error))?;
        Ok(Self { port })
    }

    /// The line of a port that is open already.
    #[must_use]
    pub fn from_port(port: Box<dyn SerialPort>) -> Self {
        Self { port }
    }
}

fn refused(path: &str, error: &serialport::Error) -> BoardError {
    let hint = match error.kind {
        ErrorKind::NoDevice | ErrorKind::Io(io::ErrorKind::NotFound) => {
            ": is the adapter plugged in? `ls /dev/serial/by-id` lists those that are"
        }
        ErrorKind::Io(io::ErrorKind::PermissionDenied) => {
            ": let your user open it with `sudo usermod -aG dialout $USER`, then log in again"
        }
        _ => "",
    };
    BoardError::Open {
        path: path.to_owned(),
        message: format!("{}{hint}", error.description),
    }
}

impl BusPort for SerialLine {
    type Error = io::Error;

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.port.write_all(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8], left_us: &mut u32) -> io::Result<usize> {
        let start = Instant::now();
        let patience = Duration::from_micros((*left_us).into());
        let mut count = 0;
        while count < buffer.len() {
            let wait = if count == 0 {
                patience.saturating_sub(start.elapsed())
            } else {
                SILENCE
            };
            self.port.set_timeout(wait)?;
            match self.port.read(&mut buffer[count..]) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let waited_us = u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX);
        *left_us = if count == 0 {
            0
        } else {
            left_us.saturating_sub(waited_us)
        };
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
}
