//! The arm that this image was built for. `build.rs` reads its TOML; a message can change nothing of it.

use wink_firmware::Config;
use wink_firmware::config::{ConfigError, JointLimits};

include!(concat!(env!("OUT_DIR"), "/arm.rs"));

/// The firmware's configuration for this arm.
///
/// # Errors
/// When the core refuses the arm's limits; the build has checked them before.
pub fn config() -> Result<Config, ConfigError> {
    Ok(Config {
        description_hash: DESCRIPTION_HASH,
        telemetry_period_us: TELEMETRY_PERIOD_US,
        ..Config::new(&JOINTS)?
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
        assert_eq!(NAME, "wx250s");
    }
}
