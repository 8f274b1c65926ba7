//! Hobby servos that take their goal as the length of a pulse, on PWM channels of the
//! microcontroller or of a chip whose driver offers [`SetDutyCycle`].
//!
//! Such a servo says nothing back: its state is the last goal it was sent. What it does on its
//! first pulse nobody can limit, so give its true rest position to [`PwmServo::new`].
//!
//! Sixteen such servos on one I2C chip: [`super::pca9685`].

use core::fmt;

use embedded_hal::pwm::SetDutyCycle;

use super::{ServoBus, ServoState};

/// A pulse length and where the servo goes for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PulsePoint {
    /// Length of the pulse, microseconds.
    pub pulse_us: f32,
    /// Position in the arm's frame, rad or m.
    pub position: f32,
}

/// Which pulse takes a servo where: a line through two measured points, not left at either end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PwmCalibration {
    /// Time from pulse to pulse, microseconds; 20,000 for most servos. It must be the period that
    /// the PWM channel was set up with.
    pub period_us: f32,
    /// The point with the shortest pulse the servo shall get.
    pub shortest: PulsePoint,
    /// The point with the longest pulse the servo shall get.
    pub longest: PulsePoint,
}

impl PwmCalibration {
    pub(super) fn makes_sense(&self) -> bool {
        let (a, b) = (self.shortest, self.longest);
        let pulses = 0.0 < a.pulse_us && a.pulse_us < b.pulse_us && b.pulse_us <= self.period_us;
        let positions = a.position.is_finite() && b.position.is_finite();
        pulses && self.period_us.is_finite() && positions && a.position != b.position
    }

    /// Length of the pulse for a position, microseconds: never outside of the two points.
    pub(super) fn pulse_us(&self, position: f32) -> f32 {
        let (a, b) = (self.shortest, self.longest);
        let fraction = (position - a.position) / (b.position - a.position);
        a.pulse_us + (b.pulse_us - a.pulse_us) * fraction.clamp(0.0, 1.0)
    }

    /// Pulse as a part of the period, 0 to 1.
    fn duty(&self, position: f32) -> f32 {
        self.pulse_us(position) / self.period_us
    }
}

/// A calibration's pulses are not `0 < shortest < longest <= period`, or its positions are equal,
/// or a number is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadCalibration;

impl fmt::Display for BadCalibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a PWM calibration needs finite numbers, 0 < shortest < longest <= period, \
             and two different positions",
        )
    }
}

impl core::error::Error for BadCalibration {}

/// One servo on one PWM channel.
#[derive(Debug)]
pub struct PwmServo<P> {
    channel: P,
    calibration: PwmCalibration,
    goal: f32,
}

impl<P: SetDutyCycle> PwmServo<P> {
    /// A servo that rests at `rest_position` (rad or m) until it gets its first goal.
    ///
    /// # Errors
    /// When the calibration makes no sense.
    pub fn new(
        channel: P,
        calibration: PwmCalibration,
        rest_position: f32,
    ) -> Result<Self, BadCalibration> {
        if !(calibration.makes_sense() && rest_position.is_finite()) {
            return Err(BadCalibration);
        }
        Ok(Self {
            channel,
            calibration,
            goal: rest_position,
        })
    }

    fn send_goal(&mut self) -> Result<(), P::Error> {
        let full = self.channel.max_duty_cycle();
        // A float cast saturates, so the duty cycle is at most `full`.
        let duty = (self.calibration.duty(self.goal) * f32::from(full) + 0.5) as u16;
        self.channel.set_duty_cycle(duty.min(full))
    }
}

/// An arm of PWM servos.
#[derive(Debug)]
pub struct PwmServos<P, const N: usize> {
    servos: [PwmServo<P>; N],
    torque: bool,
}

impl<P: SetDutyCycle, const N: usize> PwmServos<P, N> {
    /// An arm of these servos in arm order, without pulses until torque is switched on.
    pub const fn new(servos: [PwmServo<P>; N]) -> Self {
        Self {
            servos,
            torque: false,
        }
    }

    /// Does `action` to every servo, whatever becomes of the others; returns the first error.
    fn each(
        &mut self,
        mut action: impl FnMut(&mut PwmServo<P>) -> Result<(), P::Error>,
    ) -> Result<(), PwmError<P::Error>> {
        let mut outcome = Ok(());
        for servo in &mut self.servos {
            outcome = outcome.and(action(servo).map_err(PwmError::Channel));
        }
        outcome
    }
}

/// Why an arm of PWM servos did not do as told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PwmError<E> {
    /// There are not as many goals or states as servos.
    JointCount,
    /// A goal is NaN or infinite; none was sent.
    NotFinite,
    /// A PWM channel failed.
    Channel(E),
}

impl<P: SetDutyCycle, const N: usize> ServoBus for PwmServos<P, N> {
    type Error = PwmError<P::Error>;

    fn read(&mut self, states: &mut [ServoState]) -> Result<(), Self::Error> {
        if states.len() != N {
            return Err(PwmError::JointCount);
        }
        for (state, servo) in states.iter_mut().zip(&self.servos) {
            *state = ServoState {
                position: servo.goal,
                ..ServoState::default()
            };
        }
        Ok(())
    }

    fn write(&mut self, goals: &[f32]) -> Result<(), Self::Error> {
        if goals.len() != N {
            return Err(PwmError::JointCount);
        }
        if !goals.iter().all(|goal| goal.is_finite()) {
            return Err(PwmError::NotFinite);
        }
        for (servo, goal) in self.servos.iter_mut().zip(goals) {
            servo.goal = *goal;
        }
        if self.torque {
            self.each(PwmServo::send_goal)
        } else {
            Ok(())
        }
    }

    fn set_torque(&mut self, on: bool) -> Result<(), Self::Error> {
        self.torque = on;
        if on {
            self.each(PwmServo::send_goal)
        } else {
            self.each(|servo| servo.channel.set_duty_cycle_fully_off())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use embedded_hal::pwm::{ErrorKind, ErrorType};

    use super::*;

    /// A channel with 1 us resolution that notes what it was told.
    #[derive(Default)]
    struct Channel {
        duties: Vec<u16>,
        broken: bool,
    }

    impl ErrorType for Channel {
        type Error = ErrorKind;
    }

    impl SetDutyCycle for Channel {
        fn max_duty_cycle(&self) -> u16 {
            20_000
        }

        fn set_duty_cycle(&mut self, duty: u16) -> Result<(), ErrorKind> {
            if self.broken {
                return Err(ErrorKind::Other);
            }
            self.duties.push(duty);
            Ok(())
        }
    }

    const CALIBRATION: PwmCalibration = PwmCalibration {
        period_us: 20_000.0,
        shortest: PulsePoint {
            pulse_us: 500.0,
            position: 1.5,
        },
        longest: PulsePoint {
            pulse_us: 2500.0,
            position: -1.5,
        },
    };

    fn arm() -> PwmServos<Channel, 2> {
        PwmServos::new(
            [0.0, 0.75].map(|rest| PwmServo::new(Channel::default(), CALIBRATION, rest).unwrap()),
        )
    }

    #[test]
    fn pulses_follow_the_calibration_and_stay_within_it() {
        let mut arm = arm();
        arm.set_torque(true).unwrap();
        for goal in [1.5, -1.5, 0.3, 9.0, -9.0] {
            arm.write(&[goal, 0.0]).unwrap();
        }
        let expected = [1500, 500, 2500, 1300, 500, 2500];
        assert_eq!(arm.servos[0].channel.duties, expected);
        assert_eq!(
            arm.servos[1].channel.duties,
            [1000, 1500, 1500, 1500, 1500, 1500]
        );
    }

    #[test]
    fn no_pulse_without_torque_and_the_goal_is_kept() {
        let mut arm = arm();
        arm.write(&[0.3, -1.5]).unwrap();
        assert!(arm.servos[0].channel.duties.is_empty());
        arm.set_torque(true).unwrap();
        arm.set_torque(false).unwrap();
        assert_eq!(arm.servos[0].channel.duties, [1300, 0]);
        assert_eq!(arm.servos[1].channel.duties, [2500, 0]);
    }

    #[test]
    fn reports_the_last_goal() {
        let mut arm = arm();
        let mut states = [ServoState::default(); 2];
        arm.read(&mut states).unwrap();
        assert_eq!(states.map(|state| state.position), [0.0, 0.75]);
        arm.write(&[0.1, 0.2]).unwrap();
        assert_eq!(arm.write(&[f32::NAN, 0.5]), Err(PwmError::NotFinite));
        arm.read(&mut states).unwrap();
        assert_eq!(states.map(|state| state.position), [0.1, 0.2]);
    }

    #[test]
    fn one_broken_channel_is_reported_and_the_others_still_move() {
        let mut arm = arm();
        arm.set_torque(true).unwrap();
        arm.servos[0].channel.broken = true;
        let outcome = arm.write(&[0.3, 0.3]);
        assert_eq!(outcome, Err(PwmError::Channel(ErrorKind::Other)));
        assert_eq!(arm.servos[1].channel.duties.last(), Some(&1300));
        assert_eq!(arm.write(&[0.0]), Err(PwmError::JointCount));
        assert_eq!(arm.read(&mut []), Err(PwmError::JointCount));
    }

    #[test]
    fn a_calibration_that_makes_no_sense_is_refused() {
        let [a, b] = [CALIBRATION.shortest, CALIBRATION.longest];
        let cases = [
            PwmCalibration {
                shortest: b,
                longest: a,
                ..CALIBRATION
            },
            PwmCalibration {
                shortest: PulsePoint {
                    position: b.position,
                    ..a
                },
                ..CALIBRATION
            },
            PwmCalibration {
                shortest: PulsePoint { pulse_us: 0.0, ..a },
                ..CALIBRATION
            },
            PwmCalibration {
                shortest: PulsePoint {
                    position: f32::NAN,
                    ..a
                },
                ..CALIBRATION
            },
            PwmCalibration {
                period_us: 2000.0,
                ..CALIBRATION
            },
            PwmCalibration {
                period_us: f32::INFINITY,
                ..CALIBRATION
            },
        ];
        for calibration in cases {
            assert!(
                PwmServo::new(Channel::default(), calibration, 0.0).is_err(),
                "{calibration:?}"
            );
        }
        assert!(PwmServo::new(Channel::default(), CALIBRATION, f32::NAN).is_err());
    }
}
