//! From an arm's file and a board's file to a running core.

use linux_embedded_hal::{Delay, I2cdev};
use wink_firmware::servo::dynamixel::DynamixelServos;
use wink_firmware::servo::feetech::FeetechServos;
use wink_firmware::servo::pca9685::{ChannelServo, ChipOptions, Pca9685Servos};
use wink_firmware::servo::serial::{
    BusError, BusOptions, BusPort, BusServo, Protocol, SerialServos, Setting,
};
use wink_firmware::{Config, Core};
use wink_runtime::arm::{ArmDescription, ArmServos, Link, LinkError};
use wink_runtime::clock::{Clock, MonotonicClock};

use crate::registers::RegisterBus;
use crate::survey::{expected, survey};
use crate::{BoardError, BoardFile, FirmwareThread, I2cBus, SerialBus, SerialLine};

/// An arm whose servos are connected to this machine. To the runtime it is a board: a wire and a clock.
pub struct LinuxBoard {
    firmware: FirmwareThread,
}

impl LinuxBoard {
    /// Opens the bus of the arm's servos, checks that they are the ones its file names and sets them up, and starts the
    /// firmware core. The arm stays as it is, with or without torque, until it is armed over the wire.
    ///
    /// # Errors
    /// When the files do not fit, a device cannot be opened, or a servo is not there or not as it should be.
    pub fn start(arm: &ArmDescription, board: &BoardFile) -> Result<Self, BoardError> {
        let no_bus = |needs, section| BoardError::NoBus {
            arm: arm.name().to_owned(),
            needs,
            board: board.name.clone(),
            section,
        };
        match arm.servos() {
            None => Err(BoardError::Arm {
                arm: arm.name().to_owned(),
                message: "its file has no [servos] that says what they are".to_owned(),
            }),
            Some(ArmServos::Bus { servos, settings }) => {
                let bus = board
                    .serial
                    .as_ref()
                    .ok_or_else(|| no_bus("a serial bus", "serial"))?;
                let line = SerialLine::open(&bus.port, bus.baud)?;
                Self::on_line(arm, line, bus, board.rate_hz, servos, settings)
            }
            Some(ArmServos::Pwm(channels)) => {
                let bus = board
                    .i2c
                    .as_ref()
                    .ok_or_else(|| no_bus("a PCA9685", "i2c"))?;
                Self::on_i2c(arm, bus, board.rate_hz, channels)
            }
        }
    }

    /// As [`start`](Self::start), for an arm of bus servos on a line that is open already.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn on_line(
        arm: &ArmDescription,
        line: SerialLine,
        bus: &SerialBus,
        rate_hz: u32,
        servos: &[BusServo],
        settings: &[(u8, Setting)],
    ) -> Result<Self, BoardError> {
        let options = BusOptions {
            echo: bus.echo,
            answer_timeout_us: bus.answer_timeout_us,
            ..BusOptions::default()
        };
        let refused = |error: &dyn std::error::Error| BoardError::Arm {
            arm: arm.name().to_owned(),
            message: error.to_string(),
        };
        let line = looked_at(arm, line, &bus.port, servos, options)?;
        if servos.iter().any(|servo| servo.model.is_dynamixel()) {
            let servos = DynamixelServos::new(line, servos, options).map_err(|e| refused(&e))?;
            Self::run_bus(arm, servos, bus, rate_hz, settings)
        } else {
            let servos = FeetechServos::new(line, servos, options).map_err(|e| refused(&e))?;
            Self::run_bus(arm, servos, bus, rate_hz, settings)
        }
    }

    fn run_bus<P, L>(
        arm: &ArmDescription,
        mut servos: SerialServos<P, L>,
        bus: &SerialBus,
        rate_hz: u32,
        settings: &[(u8, Setting)],
    ) -> Result<Self, BoardError>
    where
        P: BusPort<Error = std::io::Error> + Send + 'static,
        L: Protocol + 'static,
    {
        servos
            .prepare(settings)
            .map_err(|error| BoardError::Servos {
                path: bus.port.clone(),
                message: with_advice(&error),
            })?;
        let firmware = FirmwareThread::spawn(core(arm, rate_hz)?, servos, rate_hz)?;
        Ok(Self { firmware })
    }

    fn on_i2c(
        arm: &ArmDescription,
        bus: &I2cBus,
        rate_hz: u32,
        channels: &[ChannelServo],
    ) -> Result<Self, BoardError> {
        let i2c = I2cdev::new(&bus.bus).map_err(|error| BoardError::Open {
            path: bus.bus.clone(),
            message: format!(
                "{error}: is I2C switched on, and may your user open it (`sudo usermod -aG i2c $USER`)?"
            ),
        })?;
        let options = ChipOptions {
            address: bus.address,
            oscillator_hz: bus.oscillator_hz as f32,
            ..ChipOptions::default()
        };
        // The driver's list has a length that is known when it is built.
        macro_rules! of_length {
            ($($count:literal)*) => {
                match channels.len() {
                    $($count => {
                        let list: [ChannelServo; $count] = std::array::from_fn(|joint| channels[joint]);
                        let servos = Pca9685Servos::new(i2c, Delay, options, list);
                        let mut servos = servos.map_err(|error| BoardError::Arm {
                            arm: arm.name().to_owned(),
                            message: error.to_string(),
                        })?;
                        servos.prepare().map_err(|error| BoardError::Servos {
                            path: bus.bus.clone(),
                            message: error.to_string(),
                        })?;
                        FirmwareThread::spawn(core(arm, rate_hz)?, servos, rate_hz)?
                    })*
                    count => return Err(BoardError::Arm {
                        arm: arm.name().to_owned(),
                        message: format!("it has {count} servos, a board drives 2 to 8"),
                    }),
                }
            };
        }
        let firmware = of_length!(2 3 4 5 6 7 8);
        Ok(Self { firmware })
    }

    /// As [`FirmwareThread::trouble`].
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.firmware.trouble()
    }

    /// The same, for a part of the program that does not have the board.
    pub fn trouble_watch(&self) -> impl Fn() -> Option<String> + Send + 'static {
        self.firmware.trouble_watch()
    }

    /// As [`FirmwareThread::late_steps`].
    #[must_use]
    pub fn late_steps(&self) -> u64 {
        self.firmware.late_steps()
    }

    /// The time of its setpoints and telemetry: that of a camera's frames, where it is opened with this clock.
    #[must_use]
    pub fn clock(&self) -> &MonotonicClock {
        self.firmware.clock()
    }
}

/// The same line, where all servos of an arm are there and as its file says.
fn looked_at(
    arm: &ArmDescription,
    line: SerialLine,
    path: &str,
    servos: &[BusServo],
    options: BusOptions,
) -> Result<SerialLine, BoardError> {
    let wrong = |message: String| BoardError::Servos {
        path: path.to_owned(),
        message,
    };
    let Some(first) = servos.first() else {
        return Ok(line);
    };
    let mut bus =
        RegisterBus::new(line, first.model, options).map_err(|error| wrong(error.to_string()))?;
    let survey =
        survey(&mut bus, expected(arm), |_| ()).map_err(|error| wrong(error.to_string()))?;
    if survey.faults.is_empty() {
        Ok(bus.into_line())
    } else {
        Err(wrong(survey.told()))
    }
}

/// What went wrong with the servos' settings, and what to do where that is not plain.
fn with_advice(error: &BusError<std::io::Error>) -> String {
    match error {
        BusError::Setting { .. } => format!(
            "{error}: it was left on by an earlier run; hold the arm and let go of it with `wink arm release`, then start again"
        ),
        other => other.to_string(),
    }
}

fn core(arm: &ArmDescription, rate_hz: u32) -> Result<Core, BoardError> {
    let config = Config {
        period_us: 1_000_000 / rate_hz.max(1),
        ..arm.hardware_config()
    };
    Core::new(config).map_err(|error| BoardError::Arm {
        arm: arm.name().to_owned(),
        message: error.to_string(),
    })
}

impl Link for LinuxBoard {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.firmware.write(bytes)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
        self.firmware.read(buffer)
    }
}

impl Clock for LinuxBoard {
    fn now_us(&self) -> u64 {
        self.firmware.now_us()
    }

    fn sleep_until(&mut self, time_us: u64) {
        self.firmware.sleep_until(time_us);
    }
}
