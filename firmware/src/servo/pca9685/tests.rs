//! Against a chip in memory that behaves as its data sheet says.

use std::vec::Vec;

use embedded_hal::i2c::{ErrorKind, ErrorType, Operation};

use super::*;
use crate::servo::pwm::PulsePoint;

/// A chip as the data sheet has it after power-on, which notes what is written.
struct Chip {
    registers: [u8; 256],
    written: Vec<Vec<u8>>,
    deaf: bool,
    /// Keeps what was in MODE1's all-call bit.
    all_call_stuck: bool,
    /// Takes no prescaler, as a chip of another kind.
    other_kind: bool,
}

impl Chip {
    fn new() -> Self {
        let mut registers = [0; 256];
        registers[usize::from(MODE1)] = 0x11;
        registers[usize::from(MODE2)] = TOTEM_POLE;
        registers[usize::from(PRE_SCALE)] = 0x1e;
        Self {
            registers,
            written: Vec::new(),
            deaf: false,
            all_call_stuck: false,
            other_kind: false,
        }
    }

    fn store(&mut self, register: u8, value: u8) {
        match register {
            PRE_SCALE if self.registers[0] & SLEEP == 0 || self.other_kind => {}
            // The external clock, once chosen, stays.
            MODE1 => {
                let kept = self.registers[0] & EXTERNAL_CLOCK
                    | if self.all_call_stuck { ALL_CALL } else { 0 };
                self.registers[0] = value | kept;
            }
            ALL_OFF_HIGH => {
                for channel in 0..16 {
                    self.registers[9 + 4 * channel] = value;
                }
            }
            _ => self.registers[usize::from(register)] = value,
        }
    }

    /// Steps of a channel's pulse, 0 where it is off.
    fn pulse(&self, channel: usize) -> u16 {
        let [low, high] = [8, 9].map(|at| self.registers[at + 4 * channel]);
        let running = self.registers[0] & SLEEP == 0 && high & FULL_OFF == 0;
        if running {
            u16::from_le_bytes([low, high])
        } else {
            0
        }
    }
}

impl ErrorType for Chip {
    type Error = ErrorKind;
}

impl I2c for Chip {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), ErrorKind> {
        if self.deaf || address != 0x40 {
            return Err(ErrorKind::Other);
        }
        let mut register = 0;
        for operation in operations {
            match operation {
                Operation::Write(bytes) => {
                    if bytes.len() > 1 {
                        self.written.push(bytes.to_vec());
                    }
                    register = bytes[0];
                    for value in &bytes[1..] {
                        self.store(register, *value);
                        if self.registers[0] & AUTO_INCREMENT != 0 {
                            register += 1;
                        }
                    }
                }
                Operation::Read(bytes) => {
                    for slot in bytes.iter_mut() {
                        *slot = self.registers[usize::from(register)];
                    }
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Delay(u32);

impl DelayNs for Delay {
    fn delay_ns(&mut self, ns: u32) {
        self.0 += ns;
    }
}

const CALIBRATION: PwmCalibration = PwmCalibration {
    period_us: 20_000.0,
    shortest: PulsePoint {
        pulse_us: 500.0,
        position: -1.5,
    },
    longest: PulsePoint {
        pulse_us: 2500.0,
        position: 1.5,
    },
};

fn servo(channel: u8) -> ChannelServo {
    ChannelServo {
        channel,
        calibration: CALIBRATION,
        rest_position: 0.0,
    }
}

fn arm() -> Pca9685Servos<Chip, Delay, 2> {
    let servos = [servo(0), servo(15)];
    Pca9685Servos::new(
        Chip::new(),
        Delay::default(),
        ChipOptions::default(),
        servos,
    )
    .unwrap()
}

#[test]
fn the_prescaler_is_the_data_sheets() {
    // Section 7.3.5: 200 Hz at 25 MHz make 0x1e.
    for (rate_hz, prescale) in [
        (200.0, Some(0x1e)),
        (50.0, Some(121)),
        (1526.0, Some(3)),
        (24.0, Some(253)),
        (10.0, None),
        (3000.0, None),
        (f32::NAN, None),
    ] {
        let options = ChipOptions {
            rate_hz,
            ..ChipOptions::default()
        };
        assert_eq!(options.prescale(), prescale, "{rate_hz} Hz");
    }
}

#[test]
fn the_chip_is_set_up_asleep_and_pulses_follow() {
    let mut arm = arm();
    arm.write(&[0.75, -1.5]).unwrap();
    assert!(arm.i2c.written.is_empty(), "no pulse without torque");
    arm.set_torque(true).unwrap();
    // A step is 122 / 25 MHz = 4.88 us: 2000 us are 410 steps, 500 us are 102.
    let expected: [&[u8]; 7] = [
        &[0xfd, 0x10],
        &[0x00, 0x30],
        &[0xfe, 121],
        &[0x01, 0x04],
        &[0x00, 0x20],
        &[0x06, 0, 0, 0x9a, 0x01],
        &[0x42, 0, 0, 0x66, 0x00],
    ];
    assert_eq!(arm.i2c.written, expected);
    assert_eq!(arm.delay.0, 500_000);
    assert_eq!((arm.i2c.pulse(0), arm.i2c.pulse(15)), (410, 102));
    // What does not change is not sent again; what is out of reach ends at the last pulse.
    arm.write(&[9.0, -1.5]).unwrap();
    assert_eq!(arm.i2c.written[7..], [[0x06, 0, 0, 0x00, 0x02]]);
    arm.set_torque(false).unwrap();
    assert_eq!((arm.i2c.pulse(0), arm.i2c.pulse(15)), (0, 0));
    // The chip runs on, so it is not set up again.
    arm.set_torque(true).unwrap();
    assert_eq!((arm.i2c.pulse(0), arm.i2c.pulse(15)), (512, 102));
    assert_eq!(arm.delay.0, 500_000);
}

#[test]
fn a_chip_that_restarted_is_noticed_and_set_up_again() {
    let mut arm = arm();
    let mut states = [ServoState::default(); 2];
    arm.set_torque(true).unwrap();
    arm.write(&[0.1, 0.2]).unwrap();
    arm.read(&mut states).unwrap();
    assert_eq!(states.map(|state| state.position), [0.1, 0.2]);
    arm.i2c = Chip::new();
    assert_eq!(arm.read(&mut states), Err(ChipError::Restarted));
    arm.set_torque(true).unwrap();
    arm.read(&mut states).unwrap();
    assert_eq!(arm.i2c.pulse(0), 321);
}

#[test]
fn a_chip_that_does_not_answer_is_an_error_and_told_again() {
    let mut arm = arm();
    arm.set_torque(true).unwrap();
    arm.i2c.deaf = true;
    let failed = Err(ChipError::I2c(ErrorKind::Other));
    assert_eq!(arm.write(&[0.5, 0.5]), failed);
    assert_eq!(arm.read(&mut [ServoState::default(); 2]), failed);
    arm.i2c.deaf = false;
    arm.write(&[0.5, 0.5]).unwrap();
    assert_eq!(arm.i2c.pulse(0), arm.i2c.pulse(15));
    assert_eq!(arm.write(&[0.5, f32::NAN]), Err(ChipError::NotFinite));
    assert_eq!(arm.write(&[0.5]), Err(ChipError::JointCount));
    assert_eq!(arm.read(&mut []), Err(ChipError::JointCount));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let with = |options, servos| {
        Pca9685Servos::new(Chip::new(), Delay::default(), options, servos).map(|_| ())
    };
    let options = ChipOptions::default();
    let slow = ChipOptions {
        rate_hz: 10.0,
        ..options
    };
    let fast = ChipOptions {
        rate_hz: 500.0,
        ..options
    };
    let [a, b] = [servo(3), servo(4)];
    let unknown_rest = ChannelServo {
        rest_position: f32::NAN,
        ..b
    };
    assert_eq!(with(options, [a, b]), Ok(()));
    assert_eq!(with(slow, [a, b]), Err(BadChip::Rate));
    assert_eq!(with(fast, [a, b]), Err(BadChip::Calibration { joint: 0 }));
    assert_eq!(with(options, [a, a]), Err(BadChip::Channel { joint: 1 }));
    assert_eq!(
        with(options, [servo(16), b]),
        Err(BadChip::Channel { joint: 0 })
    );
    assert_eq!(
        with(options, [a, unknown_rest]),
        Err(BadChip::Calibration { joint: 1 })
    );
}

#[test]
fn a_chip_is_prepared_without_a_pulse_or_refused_for_what_is_the_matter() {
    // As after power-on: asleep, on the all-call address.
    let mut fresh = arm();
    fresh.prepare().unwrap();
    assert_eq!(fresh.i2c.registers[0], SLEEP);
    assert_eq!(fresh.i2c.registers[usize::from(PRE_SCALE)], 121);
    // One that gives pulses goes on.
    let mut running = arm();
    running.set_torque(true).unwrap();
    running.write(&[0.5, 0.5]).unwrap();
    running.i2c.registers[0] |= ALL_CALL;
    let pulse = running.i2c.pulse(0);
    running.prepare().unwrap();
    assert_eq!(
        (running.i2c.pulse(0), running.i2c.registers[0] & ALL_CALL),
        (pulse, 0)
    );

    let refused = |change: fn(&mut Chip)| {
        let mut arm = arm();
        change(&mut arm.i2c);
        arm.prepare()
    };
    assert_eq!(
        refused(|chip| chip.deaf = true),
        Err(ChipError::I2c(ErrorKind::Other))
    );
    assert_eq!(
        refused(|chip| chip.registers[0] |= EXTERNAL_CLOCK),
        Err(ChipError::ExternalClock)
    );
    assert_eq!(
        refused(|chip| chip.all_call_stuck = true),
        Err(ChipError::AllCall)
    );
    assert_eq!(
        refused(|chip| chip.other_kind = true),
        Err(ChipError::OtherChip)
    );
    let all_call = ChipOptions {
        address: 0x70,
        ..ChipOptions::default()
    };
    let servos = Pca9685Servos::new(Chip::new(), Delay::default(), all_call, [servo(0)]);
    assert_eq!(servos.map(|_| ()), Err(BadChip::AllCall));
}
