//! The arm that this image was built for. `build.rs` reads its file; no message can change anything of it.

use wink_firmware::Config;
use wink_firmware::config::ConfigError;
use wink_firmware::servo::serial::Setting;

mod built {
    include!(concat!(env!("OUT_DIR"), "/arm.rs"));
}

pub use built::{NAME, PERIOD_US, SERVOS};

/// The protocol of the servos on the bus.
#[cfg(feature = "dynamixel")]
pub type Protocol = wink_firmware::servo::dynamixel::Dynamixel;
/// The protocol of the servos on the bus.
#[cfg(not(feature = "dynamixel"))]
pub type Protocol = wink_firmware::servo::feetech::Feetech;

/// Registers that this arm's servos need beyond what the protocol's driver sets by itself.
pub const SETTINGS: &[(u8, Setting)] = &[];

/// The firmware's configuration for this arm on a bus of [`PERIOD_US`] a step.
///
/// # Errors
/// When the core refuses the arm's limits, which the build has checked.
pub fn config() -> Result<Config, ConfigError> {
    Ok(Config {
        period_us: PERIOD_US,
        ..built::config()?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_takes_the_arm_that_was_built_in() {
        let config = config().unwrap();
        assert_eq!(config.check(), Ok(()));
        assert_ne!(config.description_hash, 0);
        assert_eq!((NAME, config.joints.len(), SERVOS.len()), ("wx250s", 7, 9));
        assert!(
            (1_000..=10_000).contains(&config.period_us),
            "{}",
            config.period_us
        );
        for servo in SERVOS {
            assert!(usize::from(servo.joint) < config.joints.len());
        }
    }
}
