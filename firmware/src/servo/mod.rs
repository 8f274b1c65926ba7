//! The one trait that servo drivers implement.

mod calibration;
pub mod dynamixel;
pub mod feetech;
pub mod pca9685;
pub mod pwm;
pub mod serial;

pub use calibration::{TICKS_PER_TURN, TickCalibration, Transmission};

/// What one servo says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ServoState {
    /// Rad or m, in the arm's frame (offset and direction already applied).
    pub position: f32,
    /// Rad/s or m/s; 0 where the servo does not say.
    pub velocity: f32,
    /// 1 at the servo's rated load; 0 where the servo does not say.
    pub load: f32,
    /// Motor current, A, signed as `load`; `None` where the servo does not say.
    pub current_a: Option<f32>,
    /// Temperature inside the servo, degrees Celsius; `None` where it does not say.
    pub temperature_c: Option<f32>,
    /// Supply voltage at the servo, V; `None` where it does not say.
    pub voltage_v: Option<f32>,
    /// What the servo itself complains of.
    pub alerts: Alerts,
}

impl ServoState {
    /// A servo that was never read: its motion is NaN.
    pub const NOT_MEASURED: Self = Self {
        position: f32::NAN,
        velocity: f32::NAN,
        load: f32::NAN,
        current_a: None,
        temperature_c: None,
        voltage_v: None,
        alerts: Alerts::empty(),
    };
}

bitflags::bitflags! {
    /// Complaints that servos have in common. Where one switches its own torque off for a
    /// complaint, the arm may sag whatever the board does.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Alerts: u8 {
        /// Supply voltage outside of the servo's limits; below them where [`Self::OVERVOLTAGE`] can be told.
        const VOLTAGE = 1;
        /// The position sensor is broken.
        const ENCODER = 1 << 1;
        /// Hotter than the servo's limit.
        const OVERHEATING = 1 << 2;
        /// More current than the servo's limit.
        const OVERCURRENT = 1 << 3;
        /// More load for longer than the servo's limit.
        const OVERLOAD = 1 << 4;
        /// The motor's driver or supply is broken (Dynamixel: "electrical shock").
        const ELECTRICAL = 1 << 5;
        /// Supply voltage above the servo's limits.
        const OVERVOLTAGE = 1 << 6;
    }
}

/// All servos of an arm, on whatever bus.
///
/// Slices hold one element per joint in arm order. A call may take as long as the bus needs but
/// must end by itself: a driver puts its own timeout on every wait.
pub trait ServoBus {
    /// What went wrong, for the driver's own log; the core only counts.
    type Error;

    /// Reads every servo's state.
    ///
    /// # Errors
    /// When any servo did not answer or its answer was damaged; `states` is then not used.
    fn read(&mut self, states: &mut [ServoState]) -> Result<(), Self::Error>;

    /// Sends every servo its goal position, rad or m.
    ///
    /// # Errors
    /// When any servo may not have got its goal.
    fn write(&mut self, goals: &[f32]) -> Result<(), Self::Error>;

    /// Switches every servo's torque. On arming the core writes goals before it switches torque
    /// on, so a servo must keep a goal that came while its torque was off.
    ///
    /// # Errors
    /// When any servo may not have switched.
    fn set_torque(&mut self, on: bool) -> Result<(), Self::Error>;
}
