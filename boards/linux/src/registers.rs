//! Registers of single servos, for set-up: whichever protocol they speak, one at a time, with torque off.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wink_firmware::servo::dynamixel::{self, DynamixelServos};
use wink_firmware::servo::feetech::{self, FeetechServos};
use wink_firmware::servo::serial::{
    BROADCAST, BusError, BusOptions, BusServo, Protocol, SerialServos, ServoModel, Setting,
};
use wink_firmware::servo::{Alerts, TICKS_PER_TURN};

use crate::SerialLine;

/// Why a servo could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServoError {
    /// The adapter failed or is gone.
    #[error("{0}")]
    Line(std::io::Error),
    /// Nothing came.
    #[error("servo {id} does not answer")]
    Silent {
        /// Who was asked.
        id: u8,
    },
    /// Something came, and never undamaged.
    #[error("what comes from servo {id} is damaged: have two servos this id?")]
    Damaged {
        /// Who was asked.
        id: u8,
    },
    /// A servo did not do as told.
    #[error("{0}")]
    Refused(String),
}

/// What one servo says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ServoReading {
    /// Its id.
    pub id: u8,
    /// Its model's number.
    pub model: u16,
    /// Where it says it is, ticks: its encoder's reading without the homing offset.
    pub position: i32,
    /// Its homing offset, ticks.
    pub offset: i32,
    /// Whether it counts whole turns.
    pub counts_turns: bool,
    /// Whether its torque is on.
    pub torque: bool,
    /// Its supply, V.
    pub voltage_v: f32,
    /// The supply that it is made for, V.
    pub supply_limits_v: [f32; 2],
    /// Temperature inside, degrees Celsius.
    pub temperature_c: f32,
    /// What it complains of.
    pub alerts: Alerts,
}

/// Where a protocol's servos hold what set-up needs: addresses and numbers of bytes.
struct Places {
    model: (u16, usize),
    position: (u16, usize),
    offset: (u16, usize),
    torque: (u16, usize),
    voltage: (u16, usize),
    temperature: (u16, usize),
    supply_limits: [u16; 2],
    complaints: u16,
    phase: Option<(u16, u8)>,
    id: u16,
    /// Where the speed is held, and what stands there for 1 Mbaud.
    baud: (u16, u8),
    /// Speeds that a servo may be set to, bits a second, the likeliest first.
    speeds: &'static [u32],
    lock: Option<u16>,
}

const fn places<L: Protocol>(
    position: (u16, usize),
    offset_bytes: usize,
    [voltage, temperature]: [(u16, usize); 2],
    id: u16,
    baud: (u16, u8),
    speeds: &'static [u32],
) -> Places {
    Places {
        model: (L::MODEL, 2),
        position,
        offset: (L::HOMING_OFFSET, offset_bytes),
        torque: (L::TORQUE_ENABLE, 1),
        voltage,
        temperature,
        supply_limits: L::SUPPLY_LIMITS,
        complaints: L::COMPLAINTS,
        phase: L::MULTI_TURN,
        id,
        baud,
        speeds,
        lock: L::LOCK,
    }
}

/// Present position 56, voltage 62 and temperature 63 (memory table of the STS3215).
const FEETECH: Places = places::<feetech::Feetech>(
    (56, 2),
    2,
    [(62, 1), (63, 1)],
    feetech::ID,
    (feetech::BAUD, 0),
    &[
        BUS_BAUD, 500_000, 250_000, 128_000, 115_200, 76_800, 57_600, 38_400,
    ],
);
/// Present position 132, voltage 144 and temperature 146 (control table of the X series).
const DYNAMIXEL: Places = places::<dynamixel::Dynamixel>(
    (132, 4),
    4,
    [(144, 2), (146, 1)],
    dynamixel::ID,
    (dynamixel::BAUD, 3),
    // 57600 is the factory's.
    &[
        BUS_BAUD, 57_600, 115_200, 2_000_000, 3_000_000, 4_000_000, 9_600,
    ],
);

enum Servos {
    Feetech(FeetechServos<SerialLine>),
    Dynamixel(DynamixelServos<SerialLine>),
}

macro_rules! on_either {
    ($bus:expr, $servos:ident => $done:expr) => {
        match &mut $bus.servos {
            Servos::Feetech($servos) => $done,
            Servos::Dynamixel($servos) => $done,
        }
    };
}

/// A bus whose servos are asked and told one register at a time.
pub struct RegisterBus {
    servos: Servos,
    places: &'static Places,
    options: BusOptions,
    /// How long the last answers took.
    took: VecDeque<Duration>,
}

/// Answers whose times are kept.
const KEPT: usize = 128;

/// Wait after an answer that did not come in time, before the next question: a late answer would be taken for the answer to that.
const LATE: Duration = Duration::from_millis(40);

impl RegisterBus {
    /// A bus of servos that speak as those of `model` do.
    ///
    /// # Errors
    /// Never for a servo's model as it is.
    pub fn new(
        line: SerialLine,
        model: ServoModel,
        options: BusOptions,
    ) -> Result<Self, ServoError> {
        // The driver wants a servo; which one does not matter here.
        let any = [BusServo {
            id: 1,
            model,
            joint: 0,
            calibration: wink_firmware::servo::TickCalibration::CENTRED,
            max_ticks_per_s: 0,
            max_torque_permille: 1000,
        }];
        let refused = |error: &dyn std::error::Error| ServoError::Refused(error.to_string());
        let (servos, places) = if model.is_dynamixel() {
            let servos = SerialServos::new(line, &any, once(options));
            let servos = servos.map_err(|error| refused(&error))?;
            (Servos::Dynamixel(servos), &DYNAMIXEL)
        } else {
            let servos = SerialServos::new(line, &any, once(options));
            let servos = servos.map_err(|error| refused(&error))?;
            (Servos::Feetech(servos), &FEETECH)
        };
        Ok(Self {
            servos,
            places,
            options,
            took: VecDeque::with_capacity(KEPT),
        })
    }

    /// Gives the line back.
    #[must_use]
    pub fn into_line(self) -> SerialLine {
        match self.servos {
            Servos::Feetech(servos) => servos.into_port(),
            Servos::Dynamixel(servos) => servos.into_port(),
        }
    }

    /// How long answers are waited for, and how often is asked again.
    #[must_use]
    pub const fn options(&self) -> BusOptions {
        self.options
    }

    /// The time within which one in ten of the last answers came, however busy this computer is; `None` before the first.
    #[must_use]
    pub fn fast(&self) -> Option<Duration> {
        let mut took: Vec<Duration> = self.took.iter().copied().collect();
        took.sort_unstable();
        took.get(took.len() / 10).copied()
    }

    /// Changes how the bus behaves.
    pub fn set_options(&mut self, options: BusOptions) {
        self.options = options;
        on_either!(self, servos => servos.set_options(once(options)));
    }

    /// The speeds that servos of this make may be set to, bits a second, the bus' own first.
    #[must_use]
    pub const fn speeds(&self) -> &'static [u32] {
        self.places.speeds
    }

    /// Changes the line's speed, bits a second.
    ///
    /// # Errors
    /// When the adapter is gone or has no such speed.
    pub fn set_baud(&mut self, baud: u32) -> Result<(), ServoError> {
        on_either!(self, servos => servos.port_mut().set_baud(baud)).map_err(ServoError::Line)
    }

    /// Asks until there is an answer. Before it asks again it lets a late one pass.
    fn ask<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<T, BusError<std::io::Error>>,
    ) -> Result<T, ServoError> {
        let mut heard = false;
        for left in (0..=self.options.retries).rev() {
            let start = Instant::now();
            let outcome = attempt(self);
            heard |= on_either!(self, servos => servos.heard());
            let id = match outcome {
                Ok(answer) => {
                    if self.took.len() == KEPT {
                        self.took.pop_front();
                    }
                    self.took.push_back(start.elapsed());
                    return Ok(answer);
                }
                Err(BusError::Port(error)) => return Err(ServoError::Line(error)),
                Err(BusError::NoAnswer { id }) => id,
                Err(other) => return Err(ServoError::Refused(other.to_string())),
            };
            if left > 0 {
                std::thread::sleep(LATE);
            } else if heard {
                return Err(ServoError::Damaged { id });
            } else {
                return Err(ServoError::Silent { id });
            }
        }
        Err(ServoError::Refused("nothing was asked".to_owned()))
    }

    /// Asks whether a servo is there.
    ///
    /// # Errors
    /// When it does not answer, or the line fails.
    pub fn ping(&mut self, id: u8) -> Result<(), ServoError> {
        self.ask(|bus| on_either!(bus, servos => servos.ping(id)))
    }

    /// Reads registers.
    ///
    /// # Errors
    /// When the servo does not answer or refuses, or the line fails.
    pub fn read(&mut self, id: u8, address: u16, length: usize) -> Result<Vec<u8>, ServoError> {
        self.ask(|bus| on_either!(bus, servos => servos.read_registers(id, address, length)))
            .map(|data| data.to_vec())
    }

    /// Writes registers as they are given.
    ///
    /// # Errors
    /// When the servo does not answer or refuses, or the line fails.
    pub fn write(&mut self, id: u8, address: u16, data: &[u8]) -> Result<(), ServoError> {
        self.ask(|bus| on_either!(bus, servos => servos.write_registers(id, address, data)))
    }

    /// Has a register hold a value, also without power, and reads it back.
    ///
    /// # Errors
    /// As [`write`](Self::write), and when torque is on, or the register does not keep the value.
    pub fn ensure(&mut self, id: u8, setting: Setting) -> Result<(), ServoError> {
        self.ask(|bus| on_either!(bus, servos => servos.ensure(id, setting)))
    }

    fn number(&mut self, id: u8, (address, bytes): (u16, usize)) -> Result<u32, ServoError> {
        let data = self.read(id, address, bytes)?;
        let mut number = [0; 4];
        number[..data.len()].copy_from_slice(&data);
        Ok(u32::from_le_bytes(number))
    }

    /// All that a servo says of itself.
    ///
    /// # Errors
    /// When it does not answer, or the line fails.
    pub fn look(&mut self, id: u8) -> Result<ServoReading, ServoError> {
        let places = self.places;
        let [highest, lowest] = places.supply_limits;
        let offset = self.number(id, places.offset)?;
        let complaints = self.number(id, (places.complaints, 1))? as u8;
        let counts_turns = match places.phase {
            Some((address, bit)) => self.number(id, (address, 1))? & u32::from(bit) != 0,
            None => false,
        };
        Ok(ServoReading {
            id,
            model: self.number(id, places.model)? as u16,
            position: self.position(id)?,
            offset: match self.servos {
                Servos::Feetech(_) => feetech::Feetech::offset(offset),
                // A Dynamixel adds it.
                Servos::Dynamixel(_) => dynamixel::Dynamixel::offset(offset).wrapping_neg(),
            },
            counts_turns,
            torque: self.number(id, places.torque)? != 0,
            voltage_v: self.number(id, places.voltage)? as f32 / 10.0,
            supply_limits_v: [
                self.number(id, (lowest, 1))? as f32 / 10.0,
                self.number(id, (highest, 1))? as f32 / 10.0,
            ],
            temperature_c: self.number(id, places.temperature)? as f32,
            alerts: match self.servos {
                Servos::Feetech(_) => feetech::Feetech::complaints(complaints),
                Servos::Dynamixel(_) => dynamixel::Dynamixel::complaints(complaints),
            },
        })
    }

    /// Where a servo says it is, ticks.
    ///
    /// # Errors
    /// When it does not answer, or the line fails.
    pub fn position(&mut self, id: u8) -> Result<i32, ServoError> {
        let raw = self.number(id, self.places.position)?;
        Ok(match self.servos {
            // Sign and magnitude, the sign in bit 15.
            Servos::Feetech(_) if raw & 1 << 15 != 0 => -((raw & 0x7fff) as i32),
            _ => raw.cast_signed(),
        })
    }

    /// Switches a servo's torque off, whatever else is the matter with it.
    ///
    /// # Errors
    /// When it does not answer, or the line fails.
    pub fn release(&mut self, id: u8) -> Result<(), ServoError> {
        self.write(id, self.places.torque.0, &[0])
    }

    /// Has a servo tell its position within one turn again.
    ///
    /// # Errors
    /// As [`ensure`](Self::ensure).
    pub fn count_no_turns(&mut self, id: u8) -> Result<(), ServoError> {
        let Some((address, bit)) = self.places.phase else {
            return Ok(());
        };
        let phase = self.number(id, (address, 1))?;
        self.ensure(
            id,
            Setting {
                address,
                bytes: 1,
                value: phase & !u32::from(bit),
            },
        )
    }

    /// Stores a homing offset of so many ticks, which the servo takes off what its encoder says.
    ///
    /// # Errors
    /// As [`ensure`](Self::ensure).
    pub fn store_offset(&mut self, id: u8, ticks: i16) -> Result<(), ServoError> {
        let (address, bytes) = self.places.offset;
        let value = match self.servos {
            Servos::Feetech(_) => feetech::homing_offset(ticks).into(),
            Servos::Dynamixel(_) => i32::from(ticks).wrapping_neg().cast_unsigned(),
        };
        self.ensure(
            id,
            Setting {
                address,
                bytes: bytes as u8,
                value,
            },
        )
    }

    /// Lets a servo go through its whole turn by itself: the limits that it holds are those of an earlier calibration.
    ///
    /// # Errors
    /// As [`ensure`](Self::ensure).
    pub fn store_range(&mut self, id: u8, [lowest, highest]: [u16; 2]) -> Result<(), ServoError> {
        let (places, bytes) = match self.servos {
            Servos::Feetech(_) => ([feetech::MIN_POSITION, feetech::MIN_POSITION + 2], 2),
            Servos::Dynamixel(_) => ([dynamixel::MAX_POSITION + 4, dynamixel::MAX_POSITION], 4),
        };
        for (address, tick) in places.into_iter().zip([lowest, highest]) {
            self.ensure(
                id,
                Setting {
                    address,
                    bytes,
                    value: tick.min(TICKS_PER_TURN - 1).into(),
                },
            )?;
        }
        Ok(())
    }

    /// Gives a servo another id and the bus' speed of 1 Mbaud, both for good, and checks that it answers by it.
    ///
    /// # Errors
    /// When it does not answer by its new id, or the line fails.
    pub fn change_id(&mut self, from: u8, to: u8) -> Result<(), ServoError> {
        let places = self.places;
        self.release(from)?;
        if let Some(lock) = places.lock {
            self.write(from, lock, &[0])?;
        }
        match self.write(from, places.id, &[to]) {
            // The answer comes from the new id.
            Ok(()) | Err(ServoError::Silent { .. } | ServoError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
        let (address, value) = places.baud;
        if self.number(to, (address, 1))? != u32::from(value) {
            match self.write(to, address, &[value]) {
                // It answers at its new speed, which this line does not run at yet.
                Ok(()) | Err(ServoError::Silent { .. } | ServoError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
            self.set_baud(BUS_BAUD)?;
        }
        if let Some(lock) = places.lock {
            self.write(to, lock, &[1])?;
        }
        let kept = self.number(to, (places.id, 1))?;
        if kept == u32::from(to) {
            return Ok(());
        }
        Err(ServoError::Refused(format!(
            "servo {from} did not take the id {to}, it has {kept}"
        )))
    }
}

/// The same, asked once: [`RegisterBus`] asks again by itself.
const fn once(options: BusOptions) -> BusOptions {
    BusOptions {
        retries: 0,
        ..options
    }
}

/// The speed at which the servos of an arm talk, bits a second.
pub const BUS_BAUD: u32 = 1_000_000;

/// All ids that a servo may have.
pub const IDS: std::ops::Range<u8> = 0..BROADCAST - 1;
