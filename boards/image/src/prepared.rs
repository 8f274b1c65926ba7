//! Servos that are checked and set up before the core sees them.

use wink_firmware::servo::serial::{BusError, BusPort, Protocol, SerialServos, Setting};
use wink_firmware::servo::{ServoBus, ServoState};

/// An arm whose servos must be the right ones, set up as it needs them: until they are, they cannot be read, and so the arm
/// cannot be armed. It is tried anew at every read.
pub struct PreparedServos<P, L> {
    servos: SerialServos<P, L>,
    settings: &'static [(u8, Setting)],
    ready: bool,
}

impl<P: BusPort, L: Protocol> PreparedServos<P, L> {
    /// Nothing is sent yet.
    pub const fn new(servos: SerialServos<P, L>, settings: &'static [(u8, Setting)]) -> Self {
        Self {
            servos,
            settings,
            ready: false,
        }
    }
}

impl<P: BusPort, L: Protocol> ServoBus for PreparedServos<P, L> {
    type Error = BusError<P::Error>;

    fn read(&mut self, states: &mut [ServoState]) -> Result<(), Self::Error> {
        if !self.ready {
            self.servos.prepare(self.settings)?;
            self.ready = true;
        }
        self.servos.read(states)
    }

    fn write(&mut self, goals: &[f32]) -> Result<(), Self::Error> {
        self.servos.write(goals)
    }

    fn set_torque(&mut self, on: bool) -> Result<(), Self::Error> {
        self.servos.set_torque(on)
    }
}
