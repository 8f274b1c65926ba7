//! The hand's shape, shared by physics and picture. Boxes in the tool frame: x points out between the fingertips, y from
//! the right finger to the left; the tool point lies between the pads.

/// A box: centre and half extents in metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HandBox {
    /// Centre in the tool frame.
    pub centre_m: [f64; 3],
    /// Half the edges.
    pub half_m: [f64; 3],
}

/// How far the fingertips reach past the tool point.
pub const FINGERTIP_REACH_M: f64 = 0.02;

/// The left finger when its travel is 0: its pad lies in the plane y = 0. It moves along +y with its travel; the right
/// finger is its mirror image.
pub const LEFT_FINGER: HandBox = HandBox {
    centre_m: [-0.005, 0.005, 0.0],
    half_m: [0.025, 0.005, 0.008],
};

/// The bar that carries the fingers.
pub const PALM: HandBox = HandBox {
    centre_m: [-0.05, 0.0, 0.0],
    half_m: [0.02, 0.055, 0.02],
};

/// Radius around the joints of elbow, forearm and wrist that is kept off the table.
pub const LINK_RADIUS_M: f64 = 0.035;

/// The right finger when its travel is 0.
#[must_use]
pub const fn right_finger() -> HandBox {
    let HandBox {
        centre_m: [x, y, z],
        half_m,
    } = LEFT_FINGER;
    HandBox {
        centre_m: [x, -y, z],
        half_m,
    }
}
