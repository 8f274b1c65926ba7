//! A serial port in two halves: the interrupt that serves the wire, and the loop that reads and writes.

use crate::ring::ByteRing;

/// What the interrupt needs of a UART.
pub trait Uart {
    /// A byte that has arrived, or `None`. What arrived damaged is skipped.
    fn read(&mut self) -> Option<u8>;
    /// Hands a byte to the transmitter; `false` where it has no room.
    fn write(&mut self, byte: u8) -> bool;
    /// Whether the transmitter shall interrupt once it has room.
    fn listen_for_room(&mut self, listen: bool);
}

/// The interrupt's work: everything received into `rx`, and of `tx` what the transmitter takes.
pub fn serve<const RX: usize, const TX: usize>(
    uart: &mut impl Uart,
    rx: &ByteRing<RX>,
    tx: &ByteRing<TX>,
) {
    while let Some(byte) = uart.read() {
        rx.push(byte);
    }
    loop {
        match tx.peek() {
            None => return uart.listen_for_room(false),
            Some(byte) if uart.write(byte) => {
                tx.pop();
            }
            Some(_) => return uart.listen_for_room(true),
        }
    }
}

/// The loop's half of a port.
pub struct Port<const RX: usize, const TX: usize> {
    rx: &'static ByteRing<RX>,
    tx: &'static ByteRing<TX>,
    /// Makes the interrupt run.
    wake: fn(),
}

impl<const RX: usize, const TX: usize> Port<RX, TX> {
    /// A port over these rings; `wake` is to make the interrupt run that serves them.
    pub const fn new(rx: &'static ByteRing<RX>, tx: &'static ByteRing<TX>, wake: fn()) -> Self {
        Self { rx, tx, wake }
    }

    /// Takes what has arrived, without waiting; the number of bytes put at the start of `buffer`.
    pub fn take(&mut self, buffer: &mut [u8]) -> usize {
        let arrived = buffer.iter_mut().zip(core::iter::from_fn(|| self.rx.pop()));
        arrived.map(|(slot, byte)| *slot = byte).count()
    }

    /// Sends all of `bytes` in the background, or nothing and returns `false` where there is not
    /// room for all.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= self.tx.room();
        if fits {
            bytes.iter().for_each(|byte| {
                self.tx.push(*byte);
            });
            (self.wake)();
        }
        fits
    }

    /// Bytes that [`send`](Self::send) would take now.
    pub fn room(&self) -> usize {
        self.tx.room()
    }

    /// Whether bytes wait for the transmitter.
    pub fn is_sending(&self) -> bool {
        !self.tx.is_empty()
    }

    /// Bytes that arrived and found no room since the start.
    pub fn lost(&self) -> usize {
        self.rx.lost()
    }

    /// Whether bytes have arrived.
    pub fn has_input(&self) -> bool {
        !self.rx.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::vec::Vec;

    use super::*;

    /// A UART with room for two bytes to send.
    #[derive(Default)]
    struct Wire {
        to_board: VecDeque<u8>,
        from_board: Vec<u8>,
        room: usize,
        listens: bool,
    }

    impl Uart for Wire {
        fn read(&mut self) -> Option<u8> {
            self.to_board.pop_front()
        }

        fn write(&mut self, byte: u8) -> bool {
            let taken = self.room > 0;
            if taken {
                self.room -= 1;
                self.from_board.push(byte);
            }
            taken
        }

        fn listen_for_room(&mut self, listen: bool) {
            self.listens = listen;
        }
    }

    #[test]
    fn the_interrupt_fills_and_drains_the_rings() {
        let (rx, tx) = (ByteRing::<4>::new(), ByteRing::<8>::new());
        let mut wire = Wire {
            to_board: (0..6).collect(),
            room: 2,
            ..Wire::default()
        };
        for byte in *b"hello" {
            tx.push(byte);
        }
        serve(&mut wire, &rx, &tx);
        assert_eq!((rx.len(), rx.lost()), (4, 2));
        assert_eq!(
            (wire.from_board.as_slice(), wire.listens),
            (&b"he"[..], true)
        );
        for _ in 0..2 {
            wire.room = 2;
            serve(&mut wire, &rx, &tx);
        }
        assert_eq!(
            (wire.from_board.as_slice(), wire.listens),
            (&b"hello"[..], false)
        );
    }

    #[test]
    fn the_loop_sends_whole_messages_or_none() {
        static RX: ByteRing<8> = ByteRing::new();
        static TX: ByteRing<8> = ByteRing::new();
        let mut port = Port::new(&RX, &TX, || ());
        assert!(port.send(b"12345"));
        assert!(!port.send(b"6789"), "there is room for three");
        assert_eq!(TX.room(), 3);
        for byte in *b"abc" {
            RX.push(byte);
        }
        let mut buffer = [0; 2];
        assert!(port.has_input());
        assert_eq!((port.take(&mut buffer), buffer), (2, *b"ab"));
        assert_eq!((port.take(&mut buffer), buffer[0]), (1, b'c'));
        assert_eq!(port.take(&mut buffer), 0);
    }
}
