//! The table with its arm, without a board: servos to drive, time to let pass, pictures to take.
//!
//! [`SimBoard`](crate::SimBoard) runs the firmware core on it. An emulated board drives it from outside, through
//! [`ServoBus`](crate::bus::ServoBus).

use crate::board::SimOptions;
use crate::outcome::{Outcome, Truth};
use crate::plant::Plant;
use crate::render::{RenderError, Renderer, Window};
use crate::servos::Servos;
use crate::table::Table;
use wink_runtime::camera::Frame;

/// A table with what lies on it, the arm and the camera. Time passes only in [`Workcell::substep`].
pub struct Workcell {
    /// As it was laid.
    table: Table,
    options: SimOptions,
    plant: Plant,
    now_us: u64,
    /// One for each camera that has been looked through, since the cards moved last.
    renderers: Vec<Option<Renderer>>,
    digest: u64,
}

impl Workcell {
    /// With the arm at home, its servos without torque, at time 0.
    #[must_use]
    pub fn new(table: Table, options: SimOptions) -> Self {
        Self {
            plant: Plant::new(table.clone(), options.card_speed),
            table,
            options,
            now_us: 0,
            renderers: vec![],
            digest: DIGEST_START,
        }
    }

    /// Time since the table was laid.
    #[must_use]
    pub const fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Time that passes in a [`substep`](Self::substep), microseconds.
    #[must_use]
    pub const fn substep_us(&self) -> u64 {
        self.table.setup.substep_us
    }

    /// The table as it was laid.
    #[must_use]
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// The arm's servos, to look at.
    #[must_use]
    pub const fn servos(&self) -> &Servos {
        &self.plant.servos
    }

    /// The arm's servos.
    pub const fn servos_mut(&mut self) -> &mut Servos {
        &mut self.plant.servos
    }

    /// The true state of the table.
    #[must_use]
    pub fn truth(&self) -> Truth {
        self.plant.truth()
    }

    /// How things stand, and what has happened so far.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.plant.outcome()
    }

    /// How deep each finger sinks into the cube, metres: how far the contact is from a hard one.
    #[must_use]
    pub fn finger_penetration_m(&self) -> [f64; 2] {
        self.plant.world().finger_penetration_m()
    }

    /// A digest over every state that the table has gone through, bit for bit.
    #[must_use]
    pub const fn state_hash(&self) -> u64 {
        self.digest
    }

    /// Draws the table as it is now.
    ///
    /// # Errors
    /// When the frame size cannot be drawn.
    pub fn render(&mut self, frame: &mut Frame) -> Result<(), RenderError> {
        self.render_camera(0, frame)
    }

    /// Width and height of a camera's frames.
    fn frame_px(&self, place: usize) -> Result<(u32, u32), RenderError> {
        let cameras = self.table.setup.cameras;
        match (self.options.frame_px, cameras.get(place)) {
            (Some(size), Some(_)) => Ok(size),
            (None, Some(camera)) => Ok(camera.frame_px),
            (_, None) => Err(RenderError::NoCamera {
                place,
                count: cameras.len(),
            }),
        }
    }

    /// Draws what one of the cell's cameras sees now, by its place among them.
    ///
    /// # Errors
    /// When the frame size cannot be drawn, or there is no such camera.
    pub fn render_camera(&mut self, place: usize, frame: &mut Frame) -> Result<(), RenderError> {
        let (width, height) = self.frame_px(place)?;
        if self.renderers.len() <= place {
            self.renderers.resize_with(place + 1, || None);
        }
        let renderer = match &mut self.renderers[place] {
            Some(renderer) => renderer,
            none => none.insert(Renderer::of_camera(
                self.plant.table(),
                &self.options.appearance,
                place,
                (width, height),
                self.options.window.unwrap_or(Window::whole(width, height)),
            )?),
        };
        frame.resize(width, height);
        frame.time_us = self.now_us;
        let finger_m = self.plant.servos.finger_m();
        renderer.render(
            &self.plant.pose().links,
            [finger_m; 2],
            &self.plant.world().objects().collect::<Vec<_>>(),
            &mut frame.rgb,
        )
    }

    /// Lets a substep pass: the servos move, and everything they touch.
    pub fn substep(&mut self) {
        self.plant.substep();
        if self.plant.moves_cards() {
            // A renderer has drawn where the cards were.
            self.renderers.clear();
        }
        self.now_us += self.substep_us();
        let mut digest = self.digest;
        self.plant.visit_state(|bits| {
            digest = (digest ^ bits).wrapping_mul(DIGEST_FACTOR).rotate_left(29)
        });
        self.digest = digest;
    }
}

const DIGEST_START: u64 = 0xcbf2_9ce4_8422_2325;
/// Odd, so that multiplying loses nothing.
const DIGEST_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
