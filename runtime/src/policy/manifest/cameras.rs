//! Cameras: how a frame becomes an image tensor.

use serde::{Deserialize, Serialize};

use super::fault::{FieldFault, check_range, fault};
use super::normalisation::Normalisation;
use super::states::check_history;

/// Longest side of a frame or an image.
pub(super) const MAX_SIDE: u32 = 4096;
const MAX_TRANSFORMS: usize = 8;
/// A crop this close to whole pixels means them: fractions such as 1/7 are not exact.
const WHOLE_PIXEL: f64 = 1e-6;

/// A camera by name.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CameraSpec {
    /// Name of the camera and of the value that stages read.
    pub name: String,
    /// Size of the frames that the policy takes; absent where it takes any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<Size>,
    /// Applied to the frame in this order.
    pub transform: Vec<Transform>,
    /// Order of the colour channels.
    pub channels: Channels,
    /// Order of the tensor's axes.
    pub layout: Layout,
    /// Observations in the tensor, the oldest first, one control step apart.
    pub history: usize,
    /// Of each channel, in the order of `channels`, x on the scale of 0 to 1.
    pub normalisation: Normalisation,
}

/// A size in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} x {}", self.width, self.height)
    }
}

/// One step from a frame to an image.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// Keeps a part whose edges lie on whole pixels.
    Crop(Part),
    /// Keeps the middle; an odd rest is split as torchvision does (half a pixel goes to the even offset).
    CentreCrop(Size),
    /// Brings the image to another size.
    Resize(Resize),
}

/// A part of an image, as fractions of its width and height.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Left edge, 0 to 1.
    pub left: f64,
    /// Top edge, 0 to 1.
    pub top: f64,
    /// Width, above 0 to 1.
    pub width: f64,
    /// Height, above 0 to 1.
    pub height: f64,
}

impl Part {
    fn check(&self, field: &str) -> Result<(), FieldFault> {
        let inside =
            |start: f64, length: f64| start >= 0.0 && length > 0.0 && start + length <= 1.0 + 1e-9;
        if inside(self.left, self.width) && inside(self.top, self.height) {
            Ok(())
        } else {
            let message = "does not lie inside the frame (fractions of 0 to 1)";
            Err(fault(field, message))
        }
    }

    /// Left, top, width and height in pixels of an image of this size, where its edges lie on whole pixels.
    #[must_use]
    pub fn pixels(&self, size: Size) -> Option<[u32; 4]> {
        let whole = |fraction: f64, side: u32| {
            let edge = fraction * f64::from(side);
            ((edge - edge.round()).abs() < WHOLE_PIXEL).then_some(edge.round() as u32)
        };
        let left = whole(self.left, size.width)?;
        let top = whole(self.top, size.height)?;
        let width = whole(self.width, size.width).filter(|width| *width > 0)?;
        let height = whole(self.height, size.height).filter(|height| *height > 0)?;
        Some([left, top, width, height])
    }
}

/// How an image is brought to another size.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Width of the result.
    pub width: u32,
    /// Height of the result.
    pub height: u32,
    /// What happens where the ratio of the sides is another.
    pub fit: Fit,
    /// How pixels are interpolated.
    pub filter: Filter,
    /// Whether the filter widens when it shrinks.
    pub antialias: bool,
    /// What the filter's result is.
    pub on: Scale,
    /// The part of the image that is resized, all of it where absent. The filter reads over its edges, as PIL's `resize(box=...)`.
    #[serde(rename = "box", default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// Where and with what the rest is filled; with `fit` `pad` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad: Option<Pad>,
}

/// What happens where the ratio of the sides is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Each axis has its own factor.
    Stretch,
    /// One factor, so that the image fits inside; the rest is filled.
    Pad,
    /// One factor, so that the image covers the result; the middle is kept.
    Cover,
}

/// How pixels are interpolated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// The pixel at floor(i * factor), as torch's `nearest`.
    Nearest,
    /// The pixel at floor((i + 0.5) * factor), as torch's `nearest-exact`.
    NearestExact,
    /// Linear in both axes.
    Bilinear,
    /// Cubic in both axes.
    Bicubic,
}

/// The numbers that a resize works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Bytes: rounded to 0 to 255 after each axis, as PIL does.
    Bytes,
    /// Floats, and the result is rounded to bytes, as torchvision does with tensors of uint8.
    Rounded,
    /// Floats, not rounded.
    Floats,
}

/// The sides that are filled.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// The filled side where the image is too narrow.
    pub horizontal: Horizontal,
    /// The filled side where the image is too low.
    pub vertical: Vertical,
    /// The value on the scale of 0 to 1; may lie outside of it.
    #[serde(deserialize_with = "super::floats::one")]
    pub value: f32,
}

/// Sides filled along the width; of `both`, the left one gets the smaller half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Horizontal {
    /// The image lies at the right.
    Left,
    /// The image lies at the left.
    Right,
    /// The image lies in the middle.
    Both,
}

/// Sides filled along the height; of `both`, the upper one gets the smaller half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Vertical {
    /// The image lies at the bottom.
    Top,
    /// The image lies at the top.
    Bottom,
    /// The image lies in the middle.
    Both,
}

/// Order of the colour channels in the image tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// Order of the axes of the image tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Batch, channel, row, column.
    Nchw,
    /// Batch, row, column, channel.
    Nhwc,
}

impl CameraSpec {
    /// Size of the image that the transforms leave; `None` where they leave it open.
    #[must_use]
    pub fn image(&self) -> Option<Size> {
        self.walk().ok()
    }

    /// Shape of the image tensor.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        let Size { width, height } = self.image().unwrap_or(Size {
            width: 0,
            height: 0,
        });
        let (width, height) = (width as usize, height as usize);
        let mut shape = vec![1];
        if self.history > 1 {
            shape.push(self.history);
        }
        shape.extend(match self.layout {
            Layout::Nchw => [3, height, width],
            Layout::Nhwc => [height, width, 3],
        });
        shape
    }

    pub(crate) fn check(&self) -> Result<(), FieldFault> {
        if let Some(size) = self.frame {
            check_size("frame", size)?;
        }
        check_history(self.history)?;
        if self.transform.len() > MAX_TRANSFORMS {
            let message = format!(
                "has {} entries, at most {MAX_TRANSFORMS} are taken",
                self.transform.len()
            );
            return Err(fault("transform", message));
        }
        self.walk()?;
        self.normalisation
            .check(3)
            .map_err(|fault| fault.under("normalisation"))
    }

    /// The size after all transforms, each of which is checked.
    fn walk(&self) -> Result<Size, FieldFault> {
        let mut size = self.frame;
        let mut bytes = true;
        for (index, transform) in self.transform.iter().enumerate() {
            let at = |name: &str| format!("transform[{index}].{name}");
            size = match transform {
                Transform::Crop(part) => {
                    let field = at("crop");
                    part.check(&field)?;
                    size.map(|size| cropped(part, size).map_err(|fault| fault.under(&field)))
                        .transpose()?
                }
                Transform::CentreCrop(part) => {
                    check_size(&at("centre_crop"), *part)?;
                    if let Some(size) = size
                        && (part.width > size.width || part.height > size.height)
                    {
                        let message = format!("is {part}, larger than the image of {size}");
                        return Err(fault(at("centre_crop"), message));
                    }
                    Some(*part)
                }
                Transform::Resize(resize) => {
                    let size = resize
                        .check(bytes)
                        .map_err(|fault| fault.under(&at("resize")))?;
                    bytes = resize.on != Scale::Floats;
                    Some(size)
                }
            };
        }
        size.ok_or_else(|| {
            let message = "leaves the size of the image open: give `frame`, or a resize";
            fault("transform", message)
        })
    }
}

fn cropped(part: &Part, size: Size) -> Result<Size, FieldFault> {
    let Some([_, _, width, height]) = part.pixels(size) else {
        let message = format!(
            "does not lie on whole pixels of the image of {size}; to cut between pixels give a resize its `box`"
        );
        return Err(fault("", message));
    };
    Ok(Size { width, height })
}

fn check_size(field: &str, size: Size) -> Result<(), FieldFault> {
    check_range(&format!("{field}.width"), size.width, 1, MAX_SIDE)?;
    check_range(&format!("{field}.height"), size.height, 1, MAX_SIDE)
}

impl Resize {
    /// The size of the result; `bytes` says whether the image before it is of bytes.
    fn check(&self, bytes: bool) -> Result<Size, FieldFault> {
        let size = Size {
            width: self.width,
            height: self.height,
        };
        check_range("width", self.width, 1, MAX_SIDE)?;
        check_range("height", self.height, 1, MAX_SIDE)?;
        if self.on != Scale::Floats && !bytes {
            let message = "is not floats after a resize on floats, whose result is not bytes";
            return Err(fault("on", message));
        }
        if self.on == Scale::Bytes
            && !self.antialias
            && matches!(self.filter, Filter::Bilinear | Filter::Bicubic)
        {
            let message = "is false, and PIL, whose arithmetic `on` bytes is, always does";
            return Err(fault("antialias", message));
        }
        if self.antialias && matches!(self.filter, Filter::Nearest | Filter::NearestExact) {
            return Err(fault(
                "antialias",
                "is true, which `nearest` filters do not do",
            ));
        }
        if let Some(part) = &self.part {
            part.check("box")?;
        }
        match (self.fit, &self.pad) {
            (Fit::Pad, None) => Err(fault("pad", "is missing, and `fit` is pad")),
            (Fit::Stretch | Fit::Cover, Some(_)) => {
                Err(fault("pad", "is given, and `fit` is not pad"))
            }
            (Fit::Pad, Some(pad)) if !pad.value.is_finite() => {
                Err(fault("pad.value", "is not finite"))
            }
            (Fit::Pad, Some(pad))
                if self.on != Scale::Floats && !(0.0..=1.0).contains(&pad.value) =>
            {
                let message = format!(
                    "is {:?}, must lie between 0 and 1 where `on` is not floats",
                    pad.value
                );
                Err(fault("pad.value", message))
            }
            _ => Ok(size),
        }
    }
}
