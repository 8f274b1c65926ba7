//! Controls of a camera: exposure, white balance, focus and the like.

use std::io;

use v4l::v4l_sys as sys;
use wink_runtime::toml_file::nearest_of;

use super::name::control_name;
use super::raw::{Call, Device, zeroed};

/// A control that holds a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// As `v4l2-ctl` writes it.
    pub name: String,
    /// The kernel's number for it.
    pub id: u32,
    /// Least value.
    pub minimum: i64,
    /// Largest value.
    pub maximum: i64,
    /// From value to value.
    pub step: u64,
    /// Value after power-on.
    pub default: i64,
    /// Whether it cannot be set.
    pub read_only: bool,
    /// Whether it acts when it is set, whatever the value.
    pub button: bool,
}

/// Why a control has not the value that it should have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlFault {
    /// There is none of this name.
    #[error("the camera has none of this name{}; it has {known}", .nearest.as_ref().map(|name| format!(", did you mean {name}?")).unwrap_or_default())]
    Unknown {
        /// The name that is most like it.
        nearest: Option<String>,
        /// All names.
        known: String,
    },
    /// The value is out of range.
    #[error("{value} is outside of {minimum} .. {maximum}")]
    OutOfRange {
        /// The value.
        value: i64,
        /// Least value.
        minimum: i64,
        /// Largest value.
        maximum: i64,
    },
    /// The camera took another value.
    #[error("was set to {value} and reads {found} (its step is {step}); is an automatic mode on?")]
    NotTaken {
        /// The value.
        value: i64,
        /// What it reads.
        found: i64,
        /// From value to value.
        step: u64,
    },
    /// The camera refuses.
    #[error("{message}")]
    Refused {
        /// The operating system's words.
        message: String,
    },
}

impl Device {
    /// All controls that hold one number.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn controls(&self) -> io::Result<Vec<Control>> {
        let mut controls = Vec::new();
        let mut query: sys::v4l2_query_ext_ctrl = zeroed();
        loop {
            query.id |= sys::V4L2_CTRL_FLAG_NEXT_CTRL;
            match self.call(Call::QueryControl, &mut query) {
                Ok(()) => {}
                // No further one, or none at all.
                Err(error) if matches!(error.raw_os_error(), Some(EINVAL | ENOTTY)) => break,
                Err(error) => return Err(error),
            }
            let name = query.name.map(|letter| letter as u8);
            let disabled = query.flags & sys::V4L2_CTRL_FLAG_DISABLED != 0;
            if !disabled && NUMBERS.contains(&query.type_) {
                controls.push(Control {
                    name: control_name(&super::raw::text(&name)),
                    id: query.id,
                    minimum: query.minimum,
                    maximum: query.maximum,
                    step: query.step,
                    default: query.default_value,
                    read_only: query.flags & sys::V4L2_CTRL_FLAG_READ_ONLY != 0,
                    button: query.type_ == BUTTON,
                });
            }
        }
        Ok(controls)
    }

    /// Sets controls by name, automatic modes first, and reads all of them back.
    ///
    /// # Errors
    /// With the name of the first that is not as it should be.
    pub fn pin(
        &self,
        wanted: &[(String, i64)],
    ) -> Result<Vec<(String, i64)>, (String, ControlFault)> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let refused = |error: io::Error| ControlFault::Refused {
            message: error.to_string(),
        };
        let of = |name: &str| name.to_owned();
        let known = self
            .controls()
            .map_err(|error| (of(&wanted[0].0), refused(error)))?;
        let mut ordered: Vec<&(String, i64)> = wanted.iter().collect();
        ordered.sort_by_key(|(name, _)| !name.contains("auto"));
        for (name, value) in &ordered {
            self.set(
                find(&known, name).map_err(|fault| (of(name), fault))?,
                *value,
            )
            .map_err(|fault| (of(name), fault))?;
        }
        let mut pinned = Vec::with_capacity(ordered.len());
        for (name, value) in ordered {
            let control = find(&known, name).map_err(|fault| (of(name), fault))?;
            let found = self
                .value(control)
                .map_err(|error| (of(name), refused(error)))?;
            if found != *value && !control.button {
                let fault = ControlFault::NotTaken {
                    value: *value,
                    found,
                    step: control.step,
                };
                return Err((of(name), fault));
            }
            pinned.push((of(name), found));
        }
        Ok(pinned)
    }

    /// The value of a control.
    ///
    /// # Errors
    /// When there is none of this name, or the device is gone.
    pub fn read_control(&self, name: &str) -> Result<i64, ControlFault> {
        let refused = |error: io::Error| ControlFault::Refused {
            message: error.to_string(),
        };
        let known = self.controls().map_err(refused)?;
        self.value(find(&known, name)?).map_err(refused)
    }

    fn set(&self, control: &Control, value: i64) -> Result<(), ControlFault> {
        let (minimum, maximum) = (control.minimum, control.maximum);
        if !control.button && !(minimum..=maximum).contains(&value) {
            return Err(ControlFault::OutOfRange {
                value,
                minimum,
                maximum,
            });
        }
        let mut argument: sys::v4l2_control = zeroed();
        argument.id = control.id;
        argument.value = i32::try_from(value).map_err(|_| ControlFault::OutOfRange {
            value,
            minimum,
            maximum,
        })?;
        self.call(Call::SetControl, &mut argument)
            .map_err(|error| ControlFault::Refused {
                message: if control.read_only {
                    "cannot be set, the camera only shows it".to_owned()
                } else {
                    format!("{error}: is an automatic mode on that sets it?")
                },
            })
    }

    fn value(&self, control: &Control) -> io::Result<i64> {
        if control.button {
            return Ok(0);
        }
        let mut argument: sys::v4l2_control = zeroed();
        argument.id = control.id;
        self.call(Call::GetControl, &mut argument)?;
        Ok(argument.value.into())
    }
}

fn find<'a>(known: &'a [Control], name: &str) -> Result<&'a Control, ControlFault> {
    let names = || known.iter().map(|control| &*control.name);
    known
        .iter()
        .find(|control| control.name == name)
        .ok_or_else(|| ControlFault::Unknown {
            nearest: nearest_of(name, names()).map(str::to_owned),
            known: names().collect::<Vec<_>>().join(", "),
        })
}

const EINVAL: i32 = nix::libc::EINVAL;
const ENOTTY: i32 = nix::libc::ENOTTY;
const BUTTON: u32 = sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BUTTON;
/// Types whose value `VIDIOC_G_CTRL` gives. Others, known to the bindings or not, are left alone.
const NUMBERS: [u32; 6] = [
    sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER,
    sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BOOLEAN,
    sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_MENU,
    sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_BITMASK,
    sys::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU,
    BUTTON,
];
