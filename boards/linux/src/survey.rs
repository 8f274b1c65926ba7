//! A look at every servo of an arm at once: which are there, which are not, and what is the matter with each.

use std::fmt;
use std::time::Duration;

use wink_firmware::servo::Alerts;
use wink_firmware::servo::serial::{BusOptions, BusServo, Protocol, Setting};
use wink_firmware::servo::{dynamixel::Dynamixel, feetech::Feetech};
use wink_runtime::arm::{ArmDescription, ArmServos};

use crate::registers::{IDS, RegisterBus, ServoError, ServoReading};

/// Looks at a servo whose answers come damaged before it is believed that two servos answer.
const LOOKS: u32 = 4;
/// Longest wait for an answer while servos are looked for that should not be there.
const SCAN_US: u32 = 5_000;
/// A bus whose fast answers take so long is too slow for a control step.
const LATE: Duration = Duration::from_millis(12);
/// Longest wait for an answer where no servo has answered in the usual time.
const SLOW_US: u32 = 100_000;

/// What came of asking one servo.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Nothing came.
    Silent,
    /// Something came, damaged every time.
    Damaged,
    /// It is there.
    Here(ServoReading),
}

/// A servo that the arm's file names.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// Its id.
    pub id: u8,
    /// Its joint.
    pub joint: String,
    /// Its model's number.
    pub model: u16,
    /// The homing offset that the arm was calibrated with; `None` where it was not.
    pub offset: Option<i32>,
}

/// What is the matter with a bus.
#[derive(Debug, Clone, PartialEq)]
pub enum ServoFault {
    /// No servo at all answers.
    NoneAnswers,
    /// All answers come late: the adapter's driver keeps them back.
    Late,
    /// Servos do not answer.
    Missing(Vec<(u8, String)>),
    /// Several servos have one id.
    Doubled(u8),
    /// Servos answer that the arm does not have.
    Strangers(Vec<u8>),
    /// A servo is of another model.
    Model {
        /// Which.
        id: u8,
        /// Its joint.
        joint: String,
        /// Its model's number.
        found: u16,
        /// What the arm's file says.
        expected: u16,
    },
    /// A servo counts whole turns.
    CountsTurns {
        /// Which.
        id: u8,
        /// Its joint.
        joint: String,
    },
    /// A servo was calibrated elsewhere since.
    Offset {
        /// Which.
        id: u8,
        /// Its joint.
        joint: String,
        /// What it holds.
        found: i32,
        /// What the calibration says.
        expected: i32,
    },
    /// The supply is not the one that servos are made for.
    Supply {
        /// Which.
        ids: Vec<u8>,
        /// What the first of them measures, V.
        voltage_v: f32,
        /// What it is made for, V.
        limits_v: [f32; 2],
    },
}

impl ServoFault {
    /// Its name for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoneAnswers => "none_answers",
            Self::Late => "answers_late",
            Self::Missing(_) => "missing",
            Self::Doubled(_) => "doubled",
            Self::Strangers(_) => "strangers",
            Self::Model { .. } => "wrong_model",
            Self::CountsTurns { .. } => "counts_turns",
            Self::Offset { .. } => "offset",
            Self::Supply {
                voltage_v,
                limits_v: [lowest, _],
                ..
            } if voltage_v < lowest => "supply_too_low",
            Self::Supply { .. } => "supply_too_high",
        }
    }
}

impl fmt::Display for ServoFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoneAnswers => f.write_str(
                "no servo answers: is the arm's supply on, and its cable in the adapter?",
            ),
            Self::Late => f.write_str(
                "servos answer too late for a control step: the adapter's driver keeps their answers back (a latency timer of 16 ms, as FTDI's is unless set): `echo 1 | sudo tee /sys/bus/usb-serial/devices/ttyUSB0/latency_timer`, with the adapter's device",
            ),
            Self::Missing(missing) => {
                let ids: Vec<String> = missing.iter().map(|(id, _)| id.to_string()).collect();
                let joints: Vec<&str> =
                    missing.iter().map(|(_, joint)| joint.as_str()).collect();
                let (servos, answer) = match ids.len() {
                    1 => ("servo", "does not answer"),
                    _ => ("servos", "do not answer"),
                };
                write!(
                    f,
                    "{servos} {} {answer} ({}): plugged in, powered, and of this id?",
                    ids.join(", "),
                    joints.join(", ")
                )
            }
            Self::Doubled(id) => write!(
                f,
                "several servos have the id {id}, as all of a new kit have 1: give each its own with `wink setup ids`"
            ),
            Self::Strangers(ids) => {
                let ids: Vec<String> = ids.iter().map(u8::to_string).collect();
                write!(
                    f,
                    "the arm has no servo of the id {} that answers: `wink setup ids` gives servos their ids",
                    ids.join(", ")
                )
            }
            Self::Model {
                id,
                joint,
                found,
                expected,
            } => write!(
                f,
                "servo {id} ({joint}) is of model {found}, the arm's file says {expected}"
            ),
            Self::CountsTurns { id, joint } => write!(
                f,
                "servo {id} ({joint}) counts whole turns (register 18, bit 4): `wink setup calibrate` sets that back"
            ),
            Self::Offset {
                id,
                joint,
                found,
                expected,
            } => write!(
                f,
                "servo {id} ({joint}) has the homing offset {found}, its calibration says {expected}: it was calibrated elsewhere since; calibrate it here, or take over that calibration file"
            ),
            Self::Supply {
                ids,
                voltage_v,
                limits_v: [lowest, highest],
            } => {
                let ids: Vec<String> = ids.iter().map(u8::to_string).collect();
                let what = if voltage_v < lowest {
                    "too weak"
                } else {
                    "too strong"
                };
                write!(
                    f,
                    "the supply of {voltage_v:.1} V is {what} for servo {}, made for {lowest:.1} to {highest:.1} V",
                    ids.join(", ")
                )
            }
        }
    }
}

/// All servos of an arm, as they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// In the order of the arm's file.
    pub servos: Vec<(Expected, Answer)>,
    /// What is the matter; empty where nothing is.
    pub faults: Vec<ServoFault>,
}

impl Survey {
    /// All that is the matter in one line.
    #[must_use]
    pub fn told(&self) -> String {
        let told: Vec<String> = self.faults.iter().map(ServoFault::to_string).collect();
        told.join("; ")
    }
}

/// The servos that an arm's file names; empty for an arm without bus servos.
#[must_use]
pub fn expected(arm: &ArmDescription) -> Vec<Expected> {
    let Some(ArmServos::Bus { servos, settings }) = arm.servos() else {
        return vec![];
    };
    let names: Vec<&str> = arm.wire_names().collect();
    servos
        .iter()
        .map(|servo| Expected {
            id: servo.id,
            joint: names
                .get(usize::from(servo.joint))
                .map_or_else(String::new, |name| (*name).to_owned()),
            model: servo.model.number(),
            offset: calibrated_offset(servo, settings),
        })
        .collect()
}

fn calibrated_offset(servo: &BusServo, settings: &[(u8, Setting)]) -> Option<i32> {
    settings
        .iter()
        .filter(|(id, _)| *id == servo.id)
        .find_map(|(_, setting)| match servo.model.is_dynamixel() {
            false if setting.address == Feetech::HOMING_OFFSET => {
                Some(Feetech::offset(setting.value))
            }
            true if setting.address == Dynamixel::HOMING_OFFSET => {
                Some(Dynamixel::offset(setting.value).wrapping_neg())
            }
            _ => None,
        })
}

/// Looks at every servo of `expected`, and for others where one of those is missing. `asked` is called with the id that is asked
/// for next.
///
/// # Errors
/// When the adapter fails or is gone.
pub fn survey(
    bus: &mut RegisterBus,
    expected: Vec<Expected>,
    mut asked: impl FnMut(u8),
) -> Result<Survey, ServoError> {
    let mut servos = vec![];
    for servo in expected {
        asked(servo.id);
        let answer = look(bus, servo.id)?;
        servos.push((servo, answer));
    }
    let mut faults = vec![];
    let complete = servos
        .iter()
        .all(|(_, answer)| matches!(answer, Answer::Here(_)));
    let others = if complete {
        vec![]
    } else {
        let known: Vec<u8> = servos.iter().map(|(servo, _)| servo.id).collect();
        scan(bus, |id| !known.contains(&id), &mut asked)?
    };
    let silent = |answer: &Answer| *answer == Answer::Silent;
    if others.is_empty() && servos.iter().all(|(_, answer)| silent(answer)) {
        faults.push(if answers_late(bus, &servos)? {
            ServoFault::Late
        } else {
            ServoFault::NoneAnswers
        });
        return Ok(Survey { servos, faults });
    }
    let missing: Vec<(u8, String)> = servos
        .iter()
        .filter(|(_, answer)| silent(answer))
        .map(|(servo, _)| (servo.id, servo.joint.clone()))
        .collect();
    if bus.fast().is_some_and(|fast| fast >= LATE) {
        faults.push(ServoFault::Late);
    }
    if !missing.is_empty() {
        faults.push(ServoFault::Missing(missing));
    }
    for (servo, answer) in &servos {
        match answer {
            Answer::Silent => {}
            Answer::Damaged => faults.push(ServoFault::Doubled(servo.id)),
            Answer::Here(reading) => faults.extend(judge(servo, reading)),
        }
    }
    if !others.is_empty() {
        faults.push(ServoFault::Strangers(others));
    }
    faults.extend(judge_supply(&servos));
    Ok(Survey { servos, faults })
}

/// The ids for which something answers, of those that are `wanted`.
///
/// # Errors
/// When the adapter fails or is gone.
pub fn scan(
    bus: &mut RegisterBus,
    wanted: impl Fn(u8) -> bool,
    mut asked: impl FnMut(u8),
) -> Result<Vec<u8>, ServoError> {
    let options = bus.options();
    bus.set_options(BusOptions {
        answer_timeout_us: options.answer_timeout_us.min(SCAN_US),
        retries: 0,
        ..options
    });
    let mut found = vec![];
    let mut outcome = Ok(());
    for id in IDS.filter(|id| wanted(*id)) {
        asked(id);
        match bus.ping(id) {
            Ok(()) | Err(ServoError::Damaged { .. }) => found.push(id),
            Err(error @ ServoError::Line(_)) => {
                outcome = Err(error);
                break;
            }
            Err(_) => {}
        }
    }
    bus.set_options(options);
    outcome.map(|()| found)
}

/// Asks one servo for all that it says of itself. One whose answers are damaged is asked several times: two servos of one id
/// answer at the same time, and what they say differs.
///
/// # Errors
/// When the adapter fails or is gone, or the servo refuses to tell.
pub fn look(bus: &mut RegisterBus, id: u8) -> Result<Answer, ServoError> {
    let mut answer = Answer::Silent;
    for _ in 0..LOOKS {
        match bus.look(id) {
            Ok(reading) => return Ok(Answer::Here(reading)),
            Err(ServoError::Silent { .. }) if answer == Answer::Silent => {
                if bus.ping(id).is_err() {
                    return Ok(Answer::Silent);
                }
            }
            Err(ServoError::Silent { .. }) => {}
            Err(ServoError::Damaged { .. }) => answer = Answer::Damaged,
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

fn answers_late(bus: &mut RegisterBus, servos: &[(Expected, Answer)]) -> Result<bool, ServoError> {
    let options = bus.options();
    if options.answer_timeout_us >= SLOW_US {
        return Ok(false);
    }
    bus.set_options(BusOptions {
        answer_timeout_us: SLOW_US,
        retries: 0,
        ..options
    });
    let mut late = Ok(false);
    for (servo, _) in servos {
        match bus.ping(servo.id) {
            Err(ServoError::Silent { .. }) => {}
            Err(error @ ServoError::Line(_)) => late = Err(error),
            _ => late = Ok(true),
        }
        if !matches!(late, Ok(false)) {
            break;
        }
    }
    bus.set_options(options);
    late
}

fn judge(servo: &Expected, reading: &ServoReading) -> Vec<ServoFault> {
    let (id, joint) = (servo.id, || servo.joint.clone());
    let mut faults = vec![];
    if reading.model != servo.model {
        faults.push(ServoFault::Model {
            id,
            joint: joint(),
            found: reading.model,
            expected: servo.model,
        });
    }
    if reading.counts_turns {
        faults.push(ServoFault::CountsTurns { id, joint: joint() });
    }
    if let Some(expected) = servo.offset.filter(|offset| *offset != reading.offset) {
        faults.push(ServoFault::Offset {
            id,
            joint: joint(),
            found: reading.offset,
            expected,
        });
    }
    faults
}

/// Servos that complain of the same supply are told of together.
fn judge_supply(servos: &[(Expected, Answer)]) -> Option<ServoFault> {
    let unfit: Vec<&ServoReading> = servos
        .iter()
        .filter_map(|(_, answer)| match answer {
            Answer::Here(reading) => Some(reading),
            _ => None,
        })
        .filter(|reading| {
            let [lowest, highest] = reading.supply_limits_v;
            reading.alerts.contains(Alerts::VOLTAGE)
                || !(lowest..=highest).contains(&reading.voltage_v)
        })
        .collect();
    let first = unfit.first()?;
    Some(ServoFault::Supply {
        ids: unfit.iter().map(|reading| reading.id).collect(),
        voltage_v: first.voltage_v,
        limits_v: first.supply_limits_v,
    })
}
