//! The arm that this image was built for. `build.rs` reads its file; no message can change anything of it.

use wink_firmware::config::{ConfigError, ProofOfLife};
use wink_firmware::servo::serial::{BadServos, BusOptions, BusPort};
use wink_firmware::{Config, Core};

use crate::prepared::PreparedServos;

#[allow(
    clippy::approx_constant,
    reason = "limits are what the arm's file says, near pi or not"
)]
mod built {
    include!(concat!(env!("OUT_DIR"), "/arm.rs"));
}

pub use built::{NAME, PERIOD_US, SERVOS, SETTINGS, Servos};

/// The firmware's configuration for this arm on a bus that takes [`PERIOD_US`] a step, in the image of that name.
///
/// # Errors
/// When the core refuses the arm's limits, which the build has checked.
pub fn config(image: &str) -> Result<Config, ConfigError> {
    let config = Config {
        period_us: PERIOD_US,
        proof: Some(ProofOfLife::BOARDS),
        ..built::config()?
    };
    Ok(config.named(NAME, image))
}

/// The firmware core for this arm, in the image of that name.
///
/// # Errors
/// As [`config`].
pub fn core(image: &str) -> Result<Core, ConfigError> {
    Core::new(config(image)?)
}

/// This arm's servos on a bus, to be set up when they are read first. `echo` says whether the board hears itself on the bus.
///
/// # Errors
/// When the list of servos makes no sense, which the build has checked.
pub fn servos<P: BusPort>(port: P, echo: bool) -> Result<ArmServos<P>, BadServos> {
    let options = BusOptions {
        echo,
        ..BusOptions::default()
    };
    Ok(PreparedServos::new(
        Servos::new(port, &SERVOS, options)?,
        &SETTINGS,
    ))
}

/// This arm's servos, set up.
pub type ArmServos<P> = PreparedServos<Servos<P>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_takes_the_arm_that_was_built_in() {
        let config = config("a board").unwrap();
        assert_eq!(config.check(), Ok(()));
        assert_ne!(config.description_hash, 0);
        assert_eq!((NAME, config.joints.len(), SERVOS.len()), ("wx250s", 7, 9));
        assert_eq!(
            (config.arm.as_str(), config.image.as_str()),
            ("wx250s", "a board")
        );
        assert!(
            (1_000..=10_000).contains(&config.period_us),
            "{}",
            config.period_us
        );
        assert!(
            SERVOS
                .iter()
                .all(|servo| usize::from(servo.joint) < config.joints.len())
        );
    }
}
