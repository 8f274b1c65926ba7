//! The one trait that servo drivers implement.

pub mod pwm;

/// What one servo says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ServoState {
    /// Rad or m, in the arm's frame (offset and direction already applied).
    pub position: f32,
    /// Rad/s or m/s; 0 where the servo does not say.
    pub velocity: f32,
    /// 1 at the servo's rated load; 0 where the servo does not say.
    pub load: f32,
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
