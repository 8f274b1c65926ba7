//! What can be wrong with an arm description.

use std::path::PathBuf;

use super::FileError;

/// Why an arm's file is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ArmFileError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It describes no arm.
    #[error("{}: {error}", path.display())]
    Arm {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: ArmError,
    },
}

/// Why an arm description is refused. `line` counts from 1 in the TOML text.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ArmError {
    /// Not TOML, or a field is missing, unknown or of another type.
    #[error("line {line}: {message}")]
    Syntax {
        /// Where.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// Written for another version of this format.
    #[error("line {line}: format {found} is not known, this version reads format {expected}")]
    Format {
        /// Where.
        line: usize,
        /// What the file says.
        found: u32,
        /// What is read here.
        expected: u32,
    },
    /// More joints than a board drives, or none.
    #[error("the arm has {found} joints [{}], this version drives arms of 1 to {most} (the gripper apart)", names.join(", "))]
    TooManyJoints {
        /// How many the file has.
        found: usize,
        /// How many it may have.
        most: usize,
        /// Those that are there.
        names: Vec<String>,
    },
    /// A stall is described in part.
    #[error(
        "line {line}: [protection] needs all of stall_load, stall_error_rad and stall_time_ms, or none"
    )]
    StallInPart {
        /// Where the table is.
        line: usize,
    },
    /// A name is empty.
    #[error("line {line}: {part} has an empty name")]
    EmptyName {
        /// Where.
        line: usize,
        /// `arm` or `joint`.
        part: &'static str,
    },
    /// A name that cannot be shown, or means something else.
    #[error("line {line}: {part} has the name \"{}\": {why}", name.escape_debug())]
    BadName {
        /// Where.
        line: usize,
        /// `the arm` or `a joint`.
        part: &'static str,
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two joints have one name.
    #[error("line {line}: there already is a joint \"{joint}\"")]
    DuplicateJoint {
        /// Where the second is.
        line: usize,
        /// The name.
        joint: String,
    },
    /// No servo id, or more than two.
    #[error(
        "line {line}: \"{part}\": servo_ids holds {count} ids, it takes one, or two where a second servo mirrors the first"
    )]
    ServoCount {
        /// Where.
        line: usize,
        /// The joint, or `gripper`.
        part: String,
        /// How many ids there are.
        count: usize,
    },
    /// Two servos have one id.
    #[error("line {line}: \"{part}\": servo id {id} is already taken by \"{other}\"")]
    DuplicateServo {
        /// Where the second is.
        line: usize,
        /// The joint (or `gripper`) that has the id a second time.
        part: String,
        /// The id.
        id: u8,
        /// Who has it already.
        other: String,
    },
    /// A number is NaN or infinite.
    #[error("line {line}: \"{part}\": {field} is not a finite number")]
    NotFinite {
        /// Where.
        line: usize,
        /// The joint, `tool` or `gripper`.
        part: String,
        /// The field.
        field: &'static str,
    },
    /// The axis has another length than 1.
    #[error("line {line}: joint \"{joint}\": axis has length {length}, it must be a unit vector")]
    AxisNotUnit {
        /// Where.
        line: usize,
        /// The joint.
        joint: String,
        /// Its axis' length.
        length: f64,
    },
    /// The lower limit is not below the upper one.
    #[error("line {line}: \"{part}\": {min_field} {min} is not below {max_field} {max}")]
    ReversedLimits {
        /// Where the lower limit is.
        line: usize,
        /// The joint, or `gripper`.
        part: String,
        /// Name of the lower limit.
        min_field: &'static str,
        /// Its value.
        min: f64,
        /// Name of the upper limit.
        max_field: &'static str,
        /// Its value.
        max: f64,
    },
    /// A value outside of what makes sense.
    #[error("line {line}: \"{part}\": {field} is {value}, outside of {min} .. {max}{hint}")]
    OutOfRange {
        /// Where.
        line: usize,
        /// The joint, `tool` or `gripper`.
        part: String,
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
        /// The least that is allowed.
        min: f64,
        /// The most that is allowed.
        max: f64,
        /// What may have gone wrong, with a leading separator, or nothing.
        hint: &'static str,
    },
    /// A number that must be whole.
    #[error("line {line}: \"{part}\": {field} is {value}, which is not a whole number")]
    NotWhole {
        /// Where.
        line: usize,
        /// The joint, `servos` or `gripper`.
        part: String,
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// A servo model that no driver here knows.
    #[error("line {line}: servo model \"{found}\" is not known; these are: {}", known.join(", "))]
    UnknownServo {
        /// Where.
        line: usize,
        /// What the file says.
        found: String,
        /// What it could say.
        known: &'static [&'static str],
    },
    /// Something about a servo does not fit.
    #[error("line {line}: \"{part}\": {message}")]
    Servo {
        /// Where.
        line: usize,
        /// The joint, or `gripper`.
        part: String,
        /// What is wrong.
        message: String,
    },
}
