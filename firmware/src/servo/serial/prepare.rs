//! Before the arm moves: are these the servos, and are they set up as this arm needs them?

use super::packet::Protocol;
use super::{BusError, BusPort, SerialServos, Setting};

impl<P: BusPort, L: Protocol> SerialServos<P, L> {
    /// Checks every servo's model and sets what it must be set to: the protocol's own settings
    /// (answer at once, position mode), its direction, and those of `settings` (servo id and
    /// register). Registers that hold their value already are not written, so that memory that
    /// survives without power is not worn out.
    ///
    /// Such memory is never written while a servo's torque is on, since the arm may be holding
    /// something up: a wrong value is then an error. A homing offset is never written here: where it
    /// is not the one of `settings`, the servo was calibrated elsewhere, and what the arm's limits
    /// are is not known.
    ///
    /// # Errors
    /// When a servo does not answer, is another model, refuses, or cannot be set.
    pub fn prepare(&mut self, settings: &[(u8, Setting)]) -> Result<(), BusError<P::Error>> {
        for index in 0..self.entries.len() {
            let Some(entry) = self.entries.get(index).copied() else {
                continue;
            };
            let id = entry.servo.id;
            self.check_model(id, entry.servo.model.number())?;
            self.check_turn(id)?;
            for setting in L::SETTINGS {
                self.ensure(id, *setting)?;
            }
            if let Some(address) = L::DRIVE_MODE {
                self.ensure(
                    id,
                    Setting {
                        address,
                        bytes: 1,
                        value: entry.backwards.into(),
                    },
                )?;
            }
            for (_, setting) in settings.iter().filter(|(for_id, _)| *for_id == id) {
                if setting.address == L::HOMING_OFFSET {
                    self.check_offset(id, *setting)?;
                } else {
                    self.ensure(id, *setting)?;
                }
            }
            if let Some(setting) = L::speed_limit(&entry.servo) {
                self.ensure(id, setting)?;
            }
        }
        Ok(())
    }

    fn check_model(&mut self, id: u8, expected: u16) -> Result<(), BusError<P::Error>> {
        let found = self.read_number(id, L::MODEL, 2)? as u16;
        if found == expected {
            return Ok(());
        }
        Err(BusError::Model {
            id,
            found,
            expected,
        })
    }

    /// Whether a servo tells its position within one turn.
    fn check_turn(&mut self, id: u8) -> Result<(), BusError<P::Error>> {
        let Some((address, bit)) = L::MULTI_TURN else {
            return Ok(());
        };
        if self.read_number(id, address, 1)? & u32::from(bit) == 0 {
            Ok(())
        } else {
            Err(BusError::MultiTurn { id })
        }
    }

    fn check_offset(&mut self, id: u8, setting: Setting) -> Result<(), BusError<P::Error>> {
        let found = self.read_number(id, setting.address, setting.bytes)?;
        if found == setting.value {
            return Ok(());
        }
        Err(BusError::Offset {
            id,
            found: L::offset(found),
            expected: L::offset(setting.value),
        })
    }

    /// Sees to it that a register holds a value.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn ensure(&mut self, id: u8, setting: Setting) -> Result<(), BusError<P::Error>> {
        let Setting {
            address,
            bytes,
            value,
        } = setting;
        let found = self.read_number(id, address, bytes)?;
        if found == value {
            return Ok(());
        }
        let lasting = address < L::EEPROM_END;
        if lasting && self.read_number(id, L::TORQUE_ENABLE, 1)? != 0 {
            return Err(BusError::Setting {
                id,
                address,
                found,
                expected: value,
            });
        }
        let lock = L::LOCK.filter(|_| lasting);
        if let Some(lock) = lock {
            self.write_registers(id, lock, &[0])?;
        }
        let data = value.to_le_bytes();
        let data = data.get(..usize::from(bytes)).unwrap_or(&data);
        let written = self.write_registers(id, address, data);
        if let Some(lock) = lock {
            self.write_registers(id, lock, &[1])?;
        }
        written?;
        let found = self.read_number(id, address, bytes)?;
        if found == value {
            return Ok(());
        }
        Err(BusError::Setting {
            id,
            address,
            found,
            expected: value,
        })
    }

    /// A register's value, low byte first.
    fn read_number(&mut self, id: u8, address: u16, bytes: u8) -> Result<u32, BusError<P::Error>> {
        let data = self.read_registers(id, address, bytes.min(4).into())?;
        let mut value = [0; 4];
        for (slot, byte) in value.iter_mut().zip(&data) {
            *slot = *byte;
        }
        Ok(u32::from_le_bytes(value))
    }
}
