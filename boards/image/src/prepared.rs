//! Servos that are checked and set up before the core sees them.

use wink_firmware::servo::serial::{BusError, BusPort, Protocol, SerialServos, Setting};
use wink_firmware::servo::{ServoBus, ServoState};

/// Servos that can be set up.
pub trait Prepare: ServoBus {
    /// Checks that they are the right ones and sets them up as the arm needs them.
    ///
    /// # Errors
    /// When they are not, or cannot be set.
    fn prepare(&mut self, settings: &[(u8, Setting)]) -> Result<(), Self::Error>;
}

impl<P: BusPort, L: Protocol> Prepare for SerialServos<P, L> {
    fn prepare(&mut self, settings: &[(u8, Setting)]) -> Result<(), BusError<P::Error>> {
        self.prepare(settings)
    }
}

/// An arm whose servos must be the right ones, set up as it needs them: until they are, they cannot be read, and so the arm
/// cannot be armed. It is tried anew at every read.
pub struct PreparedServos<S> {
    servos: S,
    settings: &'static [(u8, Setting)],
    ready: bool,
}

impl<S: Prepare> PreparedServos<S> {
    /// Nothing is sent yet.
    pub const fn new(servos: S, settings: &'static [(u8, Setting)]) -> Self {
        Self {
            servos,
            settings,
            ready: false,
        }
    }
}

impl<S: Prepare> ServoBus for PreparedServos<S> {
    type Error = S::Error;

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Servos that are found the third time they are looked for.
    #[derive(Default)]
    struct Shy {
        looked: u32,
        read: u32,
    }

    impl ServoBus for Shy {
        type Error = ();

        fn read(&mut self, _states: &mut [ServoState]) -> Result<(), ()> {
            self.read += 1;
            Ok(())
        }

        fn write(&mut self, _goals: &[f32]) -> Result<(), ()> {
            Ok(())
        }

        fn set_torque(&mut self, _on: bool) -> Result<(), ()> {
            Ok(())
        }
    }

    impl Prepare for Shy {
        fn prepare(&mut self, _settings: &[(u8, Setting)]) -> Result<(), ()> {
            self.looked += 1;
            if self.looked < 3 { Err(()) } else { Ok(()) }
        }
    }

    #[test]
    fn are_not_read_before_they_are_found_and_set_up() {
        let mut servos = PreparedServos::new(Shy::default(), &[]);
        let outcomes = [(); 5].map(|()| servos.read(&mut []));
        assert_eq!(outcomes, [Err(()), Err(()), Ok(()), Ok(()), Ok(())]);
        assert_eq!((servos.servos.looked, servos.servos.read), (3, 3));
    }
}
