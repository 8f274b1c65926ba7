//! What every board must do for whoever drives it, through nothing but the runtime's traits.

mod cases;

use cases::CASES;
use wink_runtime::episode::Board;
use wink_sim::board::{SimBoard, SimOptions};
use wink_sim::scene::{Scene, Split};

/// A kind of board, how to have a fresh one, and the cases it cannot pass, each with the reason.
struct Backend {
    name: &'static str,
    make: fn() -> Box<dyn Board>,
    exceptions: &'static [(&'static str, &'static str)],
}

const BACKENDS: &[Backend] = &[Backend {
    name: "sim",
    make: || {
        let board = SimBoard::new(&Scene::new(Split::Train, 7), SimOptions::default());
        Box::new(board.expect("the benchmark's own board"))
    },
    exceptions: &[],
}];

#[test]
fn every_board_passes_every_case() {
    for backend in BACKENDS {
        for (case, run) in CASES {
            match backend.exceptions.iter().find(|(name, _)| name == case) {
                Some((_, why)) => eprintln!("{}: {case}: skipped: {why}", backend.name),
                None => {
                    eprintln!("{}: {case}", backend.name);
                    run((backend.make)().as_mut());
                }
            }
        }
    }
}
