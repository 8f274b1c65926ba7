//! What can be wrong with a calibration.

use std::path::PathBuf;

use super::super::files::FileError;

/// Why a calibration is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Something in a file is wrong.
    #[error("{}: {error}", path.display())]
    In {
        /// The file.
        path: PathBuf,
        /// What.
        error: Box<CalibrationError>,
    },
    /// Not TOML, or a field is missing, unknown or of another type.
    #[error("line {line}: {message}")]
    Syntax {
        /// Where, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// Written for another version of this format.
    #[error("format {found} is not known, this version reads format {expected}")]
    Format {
        /// What the file says.
        found: u32,
        /// What is read here.
        expected: u32,
    },
    /// The calibration of another arm.
    #[error("this is a calibration of the arm \"{found}\", not of \"{arm}\"")]
    OtherArm {
        /// The arm that it is of.
        found: String,
        /// The arm that it is to be used for.
        arm: String,
    },
    /// An arm whose servos have no ticks.
    #[error(
        "the file of the arm \"{arm}\" names no servos on a serial bus: it has nothing to calibrate"
    )]
    NoTicks {
        /// The arm.
        arm: String,
    },
    /// A joint of the arm is left out.
    #[error("there is no \"{joint}\", which the arm {arm} has")]
    Missing {
        /// The joint.
        joint: String,
        /// The arm.
        arm: String,
    },
    /// A joint that the arm does not have.
    #[error("\"{joint}\" is no joint of {arm} that is calibrated: those are {}", joints.join(", "))]
    Unknown {
        /// The joint.
        joint: String,
        /// The arm.
        arm: String,
        /// Those that it has.
        joints: Vec<String>,
    },
    /// Two entries for one joint.
    #[error("\"{joint}\" is there twice")]
    Twice {
        /// The joint.
        joint: String,
    },
    /// Two entries with one servo.
    #[error("servo id {id} is given to both \"{first}\" and \"{second}\"")]
    IdTwice {
        /// The id.
        id: u8,
        /// The joint that has it first.
        first: String,
        /// The other one.
        second: String,
    },
    /// Another servo than the arm's file has on that joint.
    #[error(
        "\"{joint}\": id is {found}, the arm's file has {expected} (this file: {ids}; {arm}: {arm_ids})"
    )]
    Id {
        /// The joint.
        joint: String,
        /// The id that the calibration says.
        found: u8,
        /// The id that the arm's file says.
        expected: u8,
        /// All joints of the calibration with their ids.
        ids: String,
        /// The arm.
        arm: String,
        /// All joints of the arm with their ids.
        arm_ids: String,
    },
    /// Ticks that no servo reports.
    #[error(
        "\"{joint}\": range {min} .. {max} is not within 0 .. {}: calibrate the arm again",
        super::JointCalibration::LAST_TICK
    )]
    OutsideTurn {
        /// The joint.
        joint: String,
        /// Lowest tick.
        min: i32,
        /// Highest tick.
        max: i32,
    },
    /// The range is empty.
    #[error("\"{joint}\": range_min {min} is not below range_max {max}")]
    EmptyRange {
        /// The joint.
        joint: String,
        /// Lowest tick.
        min: i32,
        /// Highest tick.
        max: i32,
    },
    /// An offset that the servo cannot hold.
    #[error(
        "\"{joint}\": homing_offset {offset} is more than half a turn: the servo holds -{most} .. {most}"
    )]
    Offset {
        /// The joint.
        joint: String,
        /// The offset, ticks.
        offset: i32,
        /// The greatest that the servo's register holds.
        most: i32,
    },
    /// The joint was not moved through its range.
    #[error(
        "\"{joint}\" has a range of {ticks} ticks, {degrees:.0} degrees: it was not moved through its travel (of {model_degrees:.0} degrees); \
         calibrate it again"
    )]
    NotMoved {
        /// The joint.
        joint: String,
        /// Ticks of its range.
        ticks: i32,
        /// The same in degrees of the servo.
        degrees: f64,
        /// Travel that the arm's file gives it, degrees of the servo.
        model_degrees: f64,
    },
    /// The range covers the servo's turn, so the encoder's step from 4095 to 0 lies inside of the travel.
    #[error(
        "\"{joint}\" spans {min} .. {max}, the servo's whole turn: the step from 4095 to 0 lies inside its travel and its middle is unknown; \
         calibrate it again (only joints that the arm's file marks full_turn may span the turn)"
    )]
    Seam {
        /// The joint.
        joint: String,
        /// Lowest tick.
        min: i32,
        /// Highest tick.
        max: i32,
    },
    /// Model and calibration have no position in common.
    #[error(
        "\"{joint}\": the calibration allows {:.3} .. {:.3} {unit}, the arm's file {:.3} .. {:.3}: nothing is left",
        calibrated[0], calibrated[1], model[0], model[1]
    )]
    NothingLeft {
        /// The joint.
        joint: String,
        /// `rad` or `m`.
        unit: &'static str,
        /// Limits of the calibration.
        calibrated: [f64; 2],
        /// Limits of the model.
        model: [f64; 2],
    },
    /// The range of a joint's second servo, which mirrors the first, leaves the turn.
    #[error(
        "\"{joint}\": its second servo, {id}, would go from tick {min:.0} to {max:.0}, which is not within its turn"
    )]
    Mirror {
        /// The joint.
        joint: String,
        /// The second servo's id.
        id: u8,
        /// Lowest tick.
        min: f64,
        /// Highest tick.
        max: f64,
    },
    /// A name that cannot be a file's.
    #[error("\"{}\" cannot name a calibration: use letters, digits, '-', '_' and '.', not first", name.escape_default())]
    BadName {
        /// The name.
        name: String,
    },
    /// Nowhere to keep calibrations.
    #[error("neither XDG_CONFIG_HOME nor HOME says where calibrations are kept: name the file")]
    NoFolder,
    /// No such calibration.
    #[error("there is no calibration \"{id}\" of the arm {arm}: {} does not exist{}", path.display(), others(known))]
    NoSuch {
        /// Its id.
        id: String,
        /// The arm.
        arm: String,
        /// Where it would be.
        path: PathBuf,
        /// Ids that there are.
        known: Vec<String>,
    },
    /// There are calibrations, and none was chosen.
    #[error("the arm {arm} has the calibrations {}: choose one with --id", known.join(", "))]
    Choose {
        /// The arm.
        arm: String,
        /// Ids that there are.
        known: Vec<String>,
    },
}

impl CalibrationError {
    /// The same, of this file.
    #[must_use]
    pub(super) fn of(self, path: &std::path::Path) -> Self {
        Self::In {
            path: path.to_owned(),
            error: Box::new(self),
        }
    }
}

fn others(known: &[String]) -> String {
    if known.is_empty() {
        String::new()
    } else {
        format!(" (there are: {})", known.join(", "))
    }
}
