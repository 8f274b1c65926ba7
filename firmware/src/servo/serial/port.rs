//! Bytes to and from a servo bus, with a limit on every wait.

use embedded_hal::delay::DelayNs;
use embedded_io::{Read, ReadReady, Write};

/// A half-duplex line to servos. Switching a driver's direction pin, where there is one, is the
/// port's own business.
pub trait BusPort {
    /// What went wrong.
    type Error;

    /// Sends all of `bytes`; returns when the last has left or is about to.
    ///
    /// # Errors
    /// When they could not all be sent.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Takes what comes until `buffer` is full or the line falls silent, and returns how many bytes
    /// that were. Waits no longer than `left_us` for the first of them, and takes off `left_us` what
    /// it waited. 0 bytes mean that the time is up.
    ///
    /// # Errors
    /// When the line is broken. A framing or overrun error of single bytes is none: damaged bytes
    /// may be dropped or passed on, check sums find them.
    fn receive(&mut self, buffer: &mut [u8], left_us: &mut u32) -> Result<usize, Self::Error>;
}

impl<P: BusPort + ?Sized> BusPort for &mut P {
    type Error = P::Error;

    fn send(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        (**self).send(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8], left_us: &mut u32) -> Result<usize, Self::Error> {
        (**self).receive(buffer, left_us)
    }
}

/// A bus on any UART that offers the traits of `embedded-io`, looked at every few microseconds.
///
/// The UART must buffer what comes while nobody looks: at 1 Mbaud a byte comes every 10 us. A FIFO
/// or an interrupt that fills a ring does; a single data register at a slow core clock does not.
#[derive(Debug)]
pub struct Polled<U, D> {
    uart: U,
    delay: D,
}

/// Between two looks at the line: half a byte at 1 Mbaud.
const POLL_US: u32 = 5;

/// So long between two bytes of a packet and the line is silent: ten bytes at 1 Mbaud.
const SILENCE_US: u32 = 100;

impl<U, D> Polled<U, D> {
    /// A bus on `uart`, timed with `delay`.
    pub const fn new(uart: U, delay: D) -> Self {
        Self { uart, delay }
    }

    /// Gives both back.
    pub fn into_parts(self) -> (U, D) {
        (self.uart, self.delay)
    }
}

impl<U: Read + ReadReady + Write, D: DelayNs> BusPort for Polled<U, D> {
    type Error = U::Error;

    fn send(&mut self, bytes: &[u8]) -> Result<(), U::Error> {
        self.uart.write_all(bytes)?;
        self.uart.flush()
    }

    fn receive(&mut self, buffer: &mut [u8], left_us: &mut u32) -> Result<usize, U::Error> {
        let mut count = 0_usize;
        let mut silence_us = 0;
        while let Some(free) = buffer.get_mut(count..).filter(|free| !free.is_empty()) {
            if self.uart.read_ready()? {
                count = count.saturating_add(self.uart.read(free)?.max(1));
                silence_us = 0;
                continue;
            }
            if count == 0 && *left_us == 0 || count > 0 && silence_us >= SILENCE_US {
                break;
            }
            self.delay.delay_us(POLL_US);
            *left_us = left_us.saturating_sub(POLL_US);
            silence_us = silence_us.saturating_add(POLL_US);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use embedded_io::ErrorType;

    use super::*;

    /// Bytes that come at given times; the clock is the delay.
    #[derive(Default)]
    struct Line {
        now_us: u32,
        incoming: VecDeque<(u32, u8)>,
        sent: std::vec::Vec<u8>,
    }

    struct Uart<'a>(&'a core::cell::RefCell<Line>);
    struct Delay<'a>(&'a core::cell::RefCell<Line>);

    impl ErrorType for Uart<'_> {
        type Error = Infallible;
    }

    impl Read for Uart<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
            let (_, byte) = self.0.borrow_mut().incoming.pop_front().expect("blocks");
            buffer[0] = byte;
            Ok(1)
        }
    }

    impl ReadReady for Uart<'_> {
        fn read_ready(&mut self) -> Result<bool, Infallible> {
            let line = self.0.borrow();
            Ok(line
                .incoming
                .front()
                .is_some_and(|(at, _)| *at <= line.now_us))
        }
    }

    impl Write for Uart<'_> {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
            let part = bytes.len().min(3);
            self.0.borrow_mut().sent.extend(&bytes[..part]);
            Ok(part)
        }

        fn flush(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }

    impl DelayNs for Delay<'_> {
        fn delay_ns(&mut self, ns: u32) {
            self.0.borrow_mut().now_us += ns / 1000;
        }
    }

    #[test]
    fn waits_for_the_first_byte_and_takes_the_rest() {
        let incoming = [(200, 1), (210, 2), (220, 3), (400, 4)];
        let line = core::cell::RefCell::new(Line {
            incoming: incoming.into(),
            ..Line::default()
        });
        let mut port = Polled::new(Uart(&line), Delay(&line));
        let mut buffer = [0; 8];
        // The gap before the fourth byte ends it.
        let mut left_us = 1_000;
        assert_eq!(port.receive(&mut buffer, &mut left_us), Ok(3));
        assert_eq!(buffer[..3], [1, 2, 3]);
        assert!((600..=700).contains(&left_us), "{left_us}");
        // A full buffer ends it too.
        assert_eq!(port.receive(&mut buffer[..1], &mut left_us), Ok(1));
        // And time does.
        assert_eq!(port.receive(&mut buffer, &mut left_us), Ok(0));
        assert_eq!(left_us, 0);
        assert_eq!(port.receive(&mut buffer, &mut left_us), Ok(0));
        assert!((1_000..=1_100).contains(&line.borrow().now_us));
    }

    #[test]
    fn sends_everything() {
        let line = core::cell::RefCell::new(Line::default());
        let mut port = Polled::new(Uart(&line), Delay(&line));
        port.send(&[1, 2, 3, 4, 5, 6, 7]).unwrap();
        assert_eq!(line.borrow().sent, [1, 2, 3, 4, 5, 6, 7]);
    }
}
