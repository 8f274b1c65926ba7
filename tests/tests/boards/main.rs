//! What every board must do for its host, through nothing but the runtime's traits.

mod cases;
mod linux;

use cases::{CASES, Subject};
use linux::LinuxRig;
use wink_emulate::{EmulatedBoard, Emulator, Images};
use wink_runtime::rig::Board;
use wink_sim::board::{SimBoard, SimOptions};
use wink_sim::scene::{Scene, Split};
use wink_sim::setup::{self, Setup};

/// A kind of board, how to make a fresh one that drives a cell's arm, and the cases it cannot pass, each with the reason.
struct Backend {
    name: &'static str,
    make: fn(&'static Setup) -> Box<dyn Board>,
    exceptions: &'static [(&'static str, &'static str)],
}

const BACKENDS: &[Backend] = &[
    Backend {
        name: "sim",
        make: |setup| {
            let board = SimBoard::new(&scene(setup), SimOptions::default());
            Box::new(board.expect("a cell's own board"))
        },
        exceptions: &[],
    },
    Backend {
        name: "linux",
        make: |setup| Box::new(LinuxRig::start(setup)),
        exceptions: &[("frames_are_whole_and_repeatable", "it has no camera")],
    },
];

/// An image that is flashed, in its emulator.
macro_rules! emulated {
    ($($test:ident: $emulator:ident;)*) => {$(
        #[test]
        #[ignore = "needs images and emulators, see .ci/firmware.sh"]
        fn $test() {
            passes_every_case(&Backend {
                name: stringify!($emulator),
                make: |setup| emulated(Emulator::$emulator, setup),
                exceptions: &[],
            });
        }
    )*};
}

emulated! {
    the_emulated_nucleo_f411_passes_every_case: NucleoF411;
    the_emulated_mps2_an386_passes_every_case: Mps2An386;
    the_emulated_pico_passes_every_case: Pico;
}

fn scene(setup: &'static Setup) -> Scene {
    Scene::on(setup, Split::Train, 7)
}

fn emulated(emulator: Emulator, setup: &'static Setup) -> Box<dyn Board> {
    let (images, options) = (Images::find(), SimOptions::default());
    let board = EmulatedBoard::new(emulator, &images, &scene(setup), options);
    Box::new(board.expect("images and emulators, see .ci/firmware.sh"))
}

/// Of every arm that has a cell.
fn passes_every_case(backend: &Backend) {
    for setup in setup::ALL {
        let name = format!("{}, {}", backend.name, setup.name);
        for (case, run) in CASES {
            match backend.exceptions.iter().find(|(name, _)| name == case) {
                Some((_, why)) => eprintln!("{name}: {case}: skipped: {why}"),
                None => {
                    eprintln!("{name}: {case}");
                    run(&mut Subject::new(setup, (backend.make)(setup)));
                }
            }
        }
    }
}

#[test]
fn every_board_passes_every_case() {
    BACKENDS.iter().for_each(passes_every_case);
}
