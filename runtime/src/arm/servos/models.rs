//! The models of servos that an arm's file may name.

use toml::Spanned;
use wink_firmware::servo::serial::ServoModel;

use crate::arm::ArmError;
use crate::arm::parse::Checker;

/// What an arm's file calls the servos that are driven here.
const MODELS: [(&str, Kind); 6] = [
    ("feetech_sts3215", Kind::Bus(ServoModel::Sts3215)),
    ("dynamixel_xm430_w350", Kind::Bus(ServoModel::Xm430W350)),
    ("dynamixel_xl430_w250", Kind::Bus(ServoModel::Xl430W250)),
    ("pwm", Kind::Pwm),
    ("dynamixel_xl330_m288", Kind::Bus(ServoModel::Xl330M288)),
    ("dynamixel_xl330_m077", Kind::Bus(ServoModel::Xl330M077)),
];
const NAMES: [&str; MODELS.len()] = {
    let mut names = [""; MODELS.len()];
    let mut index = 0;
    while index < MODELS.len() {
        names[index] = MODELS[index].0;
        index += 1;
    }
    names
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bus(ServoModel),
    Pwm,
}

impl Kind {
    /// Speed that no servo of this kind exceeds without load at the highest voltage it is made for, rad/s.
    pub(super) const fn fastest_rad_s(self) -> f64 {
        let rpm = match self {
            // Feetech's fastest gear of this model (C046, 1:147) at 7.4 V; the SO-101's (1:345) turns at 45 to 55.
            Self::Bus(ServoModel::Sts3215) => 125.0,
            // ROBOTIS' e-manual: 57 rev/min at 14.8 V.
            Self::Bus(ServoModel::Xm430W350) => 57.0,
            // 61 rev/min at 12 V.
            Self::Bus(ServoModel::Xl430W250) => 61.0,
            // 123 and 458 rev/min at 6 V.
            Self::Bus(ServoModel::Xl330M288) => 123.0,
            Self::Bus(ServoModel::Xl330M077) => 458.0,
            // 0.05 s for 60 degrees: the fastest hobby servos on sale.
            Self::Pwm => 200.0,
        };
        rpm * std::f64::consts::TAU / 60.0
    }
}

/// Whether servos of both kinds can share one bus.
pub(super) fn goes_with(one: Kind, other: Kind) -> bool {
    match (one, other) {
        (Kind::Bus(one), Kind::Bus(other)) => one.is_dynamixel() == other.is_dynamixel(),
        (Kind::Pwm, Kind::Pwm) => true,
        _ => false,
    }
}

impl Checker<'_> {
    pub(super) fn kind(&self, model: &Spanned<String>) -> Result<Kind, ArmError> {
        let found = model.get_ref();
        MODELS
            .iter()
            .find(|(name, _)| name == found)
            .map(|(_, kind)| *kind)
            .ok_or_else(|| ArmError::UnknownServo {
                line: self.line(model),
                found: found.clone(),
                known: &NAMES,
            })
    }
}
