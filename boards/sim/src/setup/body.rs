//! The shapes of an arm's links, as a camera sees them.

/// What the parts of an arm are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Material {
    /// Black anodised aluminium.
    Tube,
    /// Black plastic of servo cases.
    Servo,
    /// Bare metal: brackets, horns, rail.
    Metal,
    /// Printed finger body.
    Finger,
    /// Rubber of the finger pads.
    Pad,
    /// Yellow printed plastic.
    Print,
}

impl Material {
    /// Every material, in the order of its number.
    pub const ALL: [Self; 6] = [
        Self::Tube,
        Self::Servo,
        Self::Metal,
        Self::Finger,
        Self::Pad,
        Self::Print,
    ];
}

/// Along which axis of its frame a round part lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    /// Ahead.
    X,
    /// To the left.
    Y,
    /// Up.
    Z,
}

/// A solid that is fixed to a frame of the arm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Index of the frame: 0 the base, then each joint's after its rotation; one past them the frame of a moving jaw.
    pub link: usize,
    /// Centre in that frame, metres.
    pub centre_m: [f64; 3],
    /// Shape and size.
    pub shape: PartShape,
    /// Material.
    pub material: Material,
}

/// Shape and size of a part, metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PartShape {
    /// Half the edges.
    Box([f64; 3]),
    /// With flat ends.
    Cylinder {
        /// Its axis.
        along: Along,
        /// Of the round faces.
        radius_m: f64,
        /// Half the way from one to the other.
        half_length_m: f64,
    },
    /// A cylinder that ends in two half spheres.
    Capsule {
        /// Its axis.
        along: Along,
        /// Of the cylinder and the half spheres.
        radius_m: f64,
        /// Half the length of the cylinder.
        half_length_m: f64,
    },
}

/// A box.
pub const fn block(link: usize, material: Material, centre_m: [f64; 3], half_m: [f64; 3]) -> Part {
    Part {
        link,
        centre_m,
        shape: PartShape::Box(half_m),
        material,
    }
}

/// A cylinder.
pub const fn disc(
    link: usize,
    material: Material,
    centre_m: [f64; 3],
    along: Along,
    radius_m: f64,
    half_length_m: f64,
) -> Part {
    Part {
        link,
        centre_m,
        shape: PartShape::Cylinder {
            along,
            radius_m,
            half_length_m,
        },
        material,
    }
}

/// A capsule.
pub const fn rod(
    link: usize,
    material: Material,
    centre_m: [f64; 3],
    along: Along,
    radius_m: f64,
    half_length_m: f64,
) -> Part {
    Part {
        link,
        centre_m,
        shape: PartShape::Capsule {
            along,
            radius_m,
            half_length_m,
        },
        material,
    }
}
