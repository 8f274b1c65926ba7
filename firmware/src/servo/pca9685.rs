//! Hobby servos on a PCA9685, NXP's 16-channel PWM chip on I2C (the "servo driver boards" and hats).
//!
//! As with [`super::pwm`], the servos say nothing back: their state is the last goal. The chip does,
//! and is asked at every read whether it still runs as it was told to: after a dip of its supply it
//! sleeps, and the read fails. Switching torque on sets it up anew.
//!
//! How long a transfer may take is the I2C driver's to limit: `embedded-hal` has no timeouts.
//!
//! Facts: NXP, "PCA9685, 16-channel, 12-bit PWM Fm+ I2C-bus LED controller", rev. 4, section 7.3.

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;

use super::pwm::PwmCalibration;
use super::{ServoBus, ServoState};

/// Channels of a chip.
const CHANNELS: u8 = 16;
/// Steps of a period.
const STEPS: f32 = 4096.0;

const MODE1: u8 = 0x00;
const MODE2: u8 = 0x01;
/// First of four registers per channel: on low, on high, off low, off high.
const CHANNEL_0: u8 = 0x06;
const ALL_OFF_HIGH: u8 = 0xfd;
const PRE_SCALE: u8 = 0xfe;

/// MODE1: the oscillator is off. Only then can the prescaler be set.
const SLEEP: u8 = 1 << 4;
/// MODE1: the chip also answers to [`ALL_CALL_ADDRESS`].
const ALL_CALL: u8 = 1;
/// MODE1: pulses are timed by a clock from outside. Only a loss of power takes it back.
const EXTERNAL_CLOCK: u8 = 1 << 6;
/// MODE1: pulses go on as before a sleep when written as 1.
const RESTART: u8 = 1 << 7;
/// To this address all chips answer that were not told otherwise.
const ALL_CALL_ADDRESS: u8 = 0x70;
/// MODE1: the register address counts up by itself.
const AUTO_INCREMENT: u8 = 1 << 5;
/// MODE2: outputs drive both ways.
const TOTEM_POLE: u8 = 1 << 2;
/// In a channel's highest register: no pulse at all.
const FULL_OFF: u8 = 1 << 4;
/// How long the oscillator takes to start.
const START_US: u32 = 500;

/// The chip.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChipOptions {
    /// Its I2C address, 7 bits: 0x40 plus the soldered address pins.
    pub address: u8,
    /// Its oscillator. The chip's own is within a few per cent of 25 MHz; measure a pulse for a
    /// better number.
    pub oscillator_hz: f32,
    /// Pulses a second, 24 to 1526.
    pub rate_hz: f32,
}

impl Default for ChipOptions {
    /// Address 0x40, 25 MHz, 50 Hz.
    fn default() -> Self {
        Self {
            address: 0x40,
            oscillator_hz: 25e6,
            rate_hz: 50.0,
        }
    }
}

impl ChipOptions {
    /// The prescaler for this rate; `None` where it does not fit.
    fn prescale(&self) -> Option<u8> {
        let prescale = libm::roundf(self.oscillator_hz / (STEPS * self.rate_hz)) - 1.0;
        (3.0..=255.0).contains(&prescale).then_some(prescale as u8)
    }
}

/// A servo on one of the chip's channels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelServo {
    /// 0 to 15.
    pub channel: u8,
    /// Which pulse takes it where. Its period is not used: the chip's rate is.
    pub calibration: PwmCalibration,
    /// Where it rests until its first goal, rad or m.
    pub rest_position: f32,
}

/// Why an arm on this chip cannot be driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadChip {
    /// The address is the one that all chips answer to.
    AllCall,
    /// The rate is not within 24 to 1526 Hz, or a number is not finite.
    Rate,
    /// A servo's channel is above 15, or taken by another.
    Channel {
        /// Index in arm order.
        joint: usize,
    },
    /// A servo's calibration makes no sense, or its longest pulse is longer than the period.
    Calibration {
        /// Index in arm order.
        joint: usize,
    },
}

impl core::fmt::Display for BadChip {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::AllCall => f.write_str(
                "address 0x70 is the one that every PCA9685 answers to (all-call): give this chip's own, 0x40 to 0x7f",
            ),
            Self::Rate => f.write_str("a PCA9685 gives 24 to 1526 pulses a second"),
            Self::Channel { joint } => {
                write!(
                    f,
                    "joint {joint}: a PCA9685 has channels 0 to 15, each for one servo"
                )
            }
            Self::Calibration { joint } => {
                write!(f, "joint {joint}: {}", super::pwm::BadCalibration)
            }
        }
    }
}

impl core::error::Error for BadChip {}

/// Why an arm on this chip did not do as told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChipError<E> {
    /// There are not as many goals or states as servos.
    JointCount,
    /// A goal is NaN or infinite; none was sent.
    NotFinite,
    /// The chip sleeps or pulses at another rate than it was set to: its supply dipped.
    Restarted,
    /// The chip waits for a clock from outside.
    ExternalClock,
    /// The chip cannot be kept from answering to the all-call address.
    AllCall,
    /// What answers is no PCA9685.
    OtherChip,
    /// A transfer failed.
    I2c(E),
}

impl<E: core::fmt::Debug> core::fmt::Display for ChipError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::JointCount => f.write_str("not as many values as there are servos"),
            Self::NotFinite => f.write_str("a goal is not a finite number"),
            Self::Restarted => f.write_str("the PCA9685 has restarted: did its supply dip?"),
            Self::ExternalClock => f.write_str(
                "the PCA9685 waits for a clock on its EXTCLK pin, and gives no pulses without: take its supply away and back",
            ),
            Self::AllCall => f.write_str(
                "the PCA9685 goes on answering to the all-call address 0x70: take its supply away and back",
            ),
            Self::OtherChip => f.write_str(
                "what answers on I2C is no PCA9685: is this its address?",
            ),
            Self::I2c(error) => write!(
                f,
                "no answer from the PCA9685 on I2C ({error:?}): is it wired up, and is this its address?"
            ),
        }
    }
}

impl<E: core::fmt::Debug> core::error::Error for ChipError<E> {}

/// An arm of servos on one PCA9685.
#[derive(Debug)]
pub struct Pca9685Servos<I, D, const N: usize> {
    i2c: I,
    delay: D,
    address: u8,
    prescale: u8,
    /// Length of a step, microseconds.
    step_us: f32,
    servos: [ChannelServo; N],
    goals: [f32; N],
    /// What each channel was last told; `None` where that is not known.
    sent: [Option<u16>; N],
    torque: bool,
}

impl<I: I2c, D: DelayNs, const N: usize> Pca9685Servos<I, D, N> {
    /// An arm of these servos in arm order. Nothing is sent until torque is switched on.
    ///
    /// # Errors
    /// When rate, channels or calibrations make no sense.
    pub fn new(
        i2c: I,
        delay: D,
        options: ChipOptions,
        servos: [ChannelServo; N],
    ) -> Result<Self, BadChip> {
        let prescale = options.prescale().ok_or(BadChip::Rate)?;
        if options.address == ALL_CALL_ADDRESS {
            return Err(BadChip::AllCall);
        }
        let step_us = (f32::from(prescale) + 1.0) * 1e6 / options.oscillator_hz;
        let mut taken = 0_u16;
        for (joint, servo) in servos.iter().enumerate() {
            let bit = 1_u16.checked_shl(servo.channel.into()).unwrap_or(0);
            if servo.channel >= CHANNELS || taken & bit != 0 {
                return Err(BadChip::Channel { joint });
            }
            taken |= bit;
            let fits = servo.calibration.makes_sense()
                && servo.calibration.longest.pulse_us < step_us * STEPS;
            if !(fits && servo.rest_position.is_finite()) {
                return Err(BadChip::Calibration { joint });
            }
        }
        Ok(Self {
            i2c,
            delay,
            address: options.address,
            prescale,
            step_us,
            goals: servos.map(|servo| servo.rest_position),
            servos,
            sent: [None; N],
            torque: false,
        })
    }

    /// Gives the bus back.
    pub fn into_i2c(self) -> I {
        self.i2c
    }

    fn set(&mut self, register: u8, value: u8) -> Result<(), ChipError<I::Error>> {
        self.i2c
            .write(self.address, &[register, value])
            .map_err(ChipError::I2c)
    }

    fn get(&mut self, register: u8) -> Result<u8, ChipError<I::Error>> {
        let mut value = [0];
        self.i2c
            .write_read(self.address, &[register], &mut value)
            .map_err(ChipError::I2c)?;
        let [value] = value;
        Ok(value)
    }

    /// Checks that the chip is there and can give pulses, and takes it off the all-call address. Pulses that it gives go on.
    ///
    /// # Errors
    /// When it does not answer, is another chip, waits for a clock from outside, or keeps the all-call address.
    pub fn prepare(&mut self) -> Result<(), ChipError<I::Error>> {
        let mode = self.get(MODE1)?;
        if mode & EXTERNAL_CLOCK != 0 {
            return Err(ChipError::ExternalClock);
        }
        if mode & ALL_CALL != 0 {
            self.set(MODE1, mode & !(ALL_CALL | RESTART))?;
            if self.get(MODE1)? & ALL_CALL != 0 {
                return Err(ChipError::AllCall);
            }
        }
        if mode & SLEEP != 0 {
            // Asleep it gives no pulses, and takes a prescaler: another chip would hardly keep two of them.
            for prescale in [(self.prescale ^ 0x40) | 4, self.prescale] {
                self.set(PRE_SCALE, prescale)?;
                if self.get(PRE_SCALE)? != prescale {
                    return Err(ChipError::OtherChip);
                }
            }
        }
        Ok(())
    }

    /// Whether the chip runs as it was told to.
    fn runs(&mut self) -> Result<bool, ChipError<I::Error>> {
        let awake = self.get(MODE1)? & (SLEEP | AUTO_INCREMENT) == AUTO_INCREMENT;
        Ok(awake && self.get(PRE_SCALE)? == self.prescale)
    }

    /// Sets the chip up, without pulses.
    fn start(&mut self) -> Result<(), ChipError<I::Error>> {
        self.sent = [None; N];
        self.set(ALL_OFF_HIGH, FULL_OFF)?;
        self.set(MODE1, AUTO_INCREMENT | SLEEP)?;
        self.set(PRE_SCALE, self.prescale)?;
        self.set(MODE2, TOTEM_POLE)?;
        self.set(MODE1, AUTO_INCREMENT)?;
        self.delay.delay_us(START_US);
        Ok(())
    }

    /// Sends every pulse that has changed, whatever becomes of the others; returns the first error.
    fn send_goals(&mut self) -> Result<(), ChipError<I::Error>> {
        let mut outcome = Ok(());
        for ((servo, goal), sent) in self.servos.iter().zip(&self.goals).zip(&mut self.sent) {
            let pulse_us = servo.calibration.pulse_us(*goal);
            // A float cast saturates; pulses were checked to be shorter than the period.
            let steps = (libm::roundf(pulse_us / self.step_us) as u16).min(4095);
            if *sent == Some(steps) {
                continue;
            }
            let register = CHANNEL_0.wrapping_add(servo.channel.wrapping_mul(4));
            let [low, high] = steps.to_le_bytes();
            let bytes = [register, 0, 0, low, high];
            let written = self.i2c.write(self.address, &bytes);
            *sent = written.is_ok().then_some(steps);
            outcome = outcome.and(written.map_err(ChipError::I2c));
        }
        outcome
    }
}

impl<I: I2c, D: DelayNs, const N: usize> ServoBus for Pca9685Servos<I, D, N> {
    type Error = ChipError<I::Error>;

    fn read(&mut self, states: &mut [ServoState]) -> Result<(), Self::Error> {
        if states.len() != N {
            return Err(ChipError::JointCount);
        }
        if self.torque && !self.runs()? {
            self.sent = [None; N];
            return Err(ChipError::Restarted);
        }
        for (state, goal) in states.iter_mut().zip(self.goals) {
            *state = ServoState {
                position: goal,
                ..ServoState::default()
            };
        }
        Ok(())
    }

    fn write(&mut self, goals: &[f32]) -> Result<(), Self::Error> {
        if goals.len() != N {
            return Err(ChipError::JointCount);
        }
        if !goals.iter().all(|goal| goal.is_finite()) {
            return Err(ChipError::NotFinite);
        }
        for (slot, goal) in self.goals.iter_mut().zip(goals) {
            *slot = *goal;
        }
        if self.torque {
            self.send_goals()
        } else {
            Ok(())
        }
    }

    /// On: sets the chip up unless it runs, and sends the goals. Off: ends all pulses at once.
    fn set_torque(&mut self, on: bool) -> Result<(), Self::Error> {
        if !on {
            self.torque = false;
            self.sent = [None; N];
            return self.set(ALL_OFF_HIGH, FULL_OFF);
        }
        if !self.runs()? {
            self.start()?;
        }
        self.torque = true;
        self.send_goals()
    }
}

#[cfg(test)]
mod tests;
