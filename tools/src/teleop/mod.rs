//! A person drives an arm: with a leader arm or with keys, from where the arm is and no faster than its limits.

mod guide;
mod keys;
mod leader;
mod person;

pub use guide::Guide;
pub use keys::Keys;
pub use leader::LeaderArm;
pub use person::Person;
