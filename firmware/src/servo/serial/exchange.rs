//! One instruction, and the answers to it.

use super::packet::{Packet, Parsed, Protocol, Status, Verdict};
use super::{BusError, BusPort, Instruction, MAX_DATA, SerialServos, bare, read, write};

/// Times that old bytes are cleared from the line before something is sent.
const MOST_CLEARED: usize = 4;

impl<P: BusPort, L: Protocol> SerialServos<P, L> {
    /// Asks whether a servo is there.
    ///
    /// # Errors
    /// When it does not answer, or the line fails.
    pub fn ping(&mut self, id: u8) -> Result<(), BusError<P::Error>> {
        self.packet = Packet::new();
        bare::<L>(&mut self.packet, id, Instruction::Ping);
        self.ask(id, None).map(|_| ())
    }

    /// Starts a servo anew, which takes its torque and, of a Dynamixel that has shut itself down,
    /// the reason for that. It says nothing for up to two seconds.
    ///
    /// # Errors
    /// When the line fails.
    pub fn reboot(&mut self, id: u8) -> Result<(), BusError<P::Error>> {
        self.packet = Packet::new();
        bare::<L>(&mut self.packet, id, Instruction::Reboot);
        self.send()
    }

    /// Reads `length` registers of a servo, [`MAX_DATA`] at most.
    ///
    /// # Errors
    /// When it does not answer or refuses, or the line fails.
    pub fn read_registers(
        &mut self,
        id: u8,
        address: u16,
        length: usize,
    ) -> Result<heapless::Vec<u8, MAX_DATA>, BusError<P::Error>> {
        self.packet = Packet::new();
        read::<L>(&mut self.packet, id, address, length);
        self.ask(id, Some(length)).map(|status| status.data)
    }

    /// Writes registers of a servo.
    ///
    /// # Errors
    /// When it does not answer or refuses, or the line fails.
    pub fn write_registers(
        &mut self,
        id: u8,
        address: u16,
        data: &[u8],
    ) -> Result<(), BusError<P::Error>> {
        self.packet = Packet::new();
        write::<L>(&mut self.packet, id, address, data);
        self.ask(id, Some(0)).map(|_| ())
    }

    /// Sends the packet until servo `id` has answered with `length` bytes, or with any number of
    /// them.
    fn ask(&mut self, id: u8, length: Option<usize>) -> Result<Status, BusError<P::Error>> {
        let mut outcome = self.ask_any(id, length);
        for _ in 0..self.options.retries {
            if !matches!(outcome, Err(BusError::NoAnswer { .. })) {
                break;
            }
            outcome = self.ask_any(id, length);
        }
        outcome
    }

    /// As [`ask`](Self::ask), once.
    pub(super) fn ask_once(&mut self, id: u8, length: usize) -> Result<Status, BusError<P::Error>> {
        self.ask_any(id, Some(length))
    }

    fn ask_any(&mut self, id: u8, length: Option<usize>) -> Result<Status, BusError<P::Error>> {
        self.send()?;
        let wanted = L::STATUS_FRAME.saturating_add(length.unwrap_or(0));
        let mut left_us = self.options.answer_timeout_us;
        while let Some(status) = self.next_status(wanted, &mut left_us)? {
            // Another's answer, or a late one to something else, is not what was asked for.
            if status.id != id {
                continue;
            }
            if let Verdict::Refused(error) = L::verdict(status.error) {
                return Err(BusError::Refused { id, error });
            }
            if length.is_none_or(|length| length == status.data.len()) {
                return Ok(status);
            }
        }
        Err(BusError::NoAnswer { id })
    }

    /// Sends the packet onto a line cleared of what came before.
    pub(super) fn send(&mut self) -> Result<(), BusError<P::Error>> {
        for _ in 0..MOST_CLEARED {
            self.received.clear();
            let room = self.received.free(usize::MAX);
            let whole = room.len();
            if self.port.receive(room, &mut 0).map_err(BusError::Port)? < whole {
                break;
            }
        }
        self.received.clear();
        self.heard = false;
        let bytes = self.packet.bytes().ok_or(BusError::TooLong)?;
        self.port.send(bytes).map_err(BusError::Port)?;
        if self.options.echo {
            self.hear_echo()?;
        }
        Ok(())
    }

    /// Takes back what was just sent.
    fn hear_echo(&mut self) -> Result<(), BusError<P::Error>> {
        let sent = self.packet.bytes().unwrap_or_default();
        let mut left_us = self.options.answer_timeout_us;
        while self.received.bytes().len() < sent.len() {
            let missing = sent.len().saturating_sub(self.received.bytes().len());
            let room = self.received.free(missing);
            let count = self
                .port
                .receive(room, &mut left_us)
                .map_err(BusError::Port)?;
            if count == 0 {
                return Err(BusError::Echo);
            }
            self.received.grow(count);
        }
        if self.received.bytes() != sent {
            return Err(BusError::Echo);
        }
        self.received.clear();
        Ok(())
    }

    /// The next status packet, of which at least `wanted` bytes are still to come; `None` when the
    /// time is up, or too much noise came.
    pub(super) fn next_status(
        &mut self,
        wanted: usize,
        left_us: &mut u32,
    ) -> Result<Option<Status>, BusError<P::Error>> {
        loop {
            let bytes = self.received.bytes();
            match L::parse(bytes) {
                Parsed::Packet(length, status) => {
                    // An instruction can look like a status packet of the servo it is for.
                    if bytes.get(..length) == self.packet.bytes() {
                        return Err(BusError::Echo);
                    }
                    self.received.discard(length);
                    return Ok(Some(status));
                }
                Parsed::Garbage(count) | Parsed::Damaged(count) => self.received.discard(count),
                Parsed::Incomplete => {
                    let missing = wanted.saturating_sub(bytes.len()).max(1);
                    let room = self.received.free(missing);
                    if room.is_empty() {
                        return Ok(None);
                    }
                    let count = self.port.receive(room, left_us).map_err(BusError::Port)?;
                    if count == 0 {
                        return Ok(None);
                    }
                    self.heard = true;
                    self.received.grow(count);
                }
            }
        }
    }
}
