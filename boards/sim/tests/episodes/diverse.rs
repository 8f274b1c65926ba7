//! The script of the other robot data does its tasks, and the world stays whole while it does.

use std::collections::BTreeMap;

use crate::drive::drive;
use wink_sim::diverse::{DiverseScene, Task, TaskExpert};
use wink_sim::{MAX_STEPS, SimBoard, SimOptions, Truth};

struct Episode {
    done: bool,
    steps: usize,
    hash: u64,
    /// Fastest and highest that the first object ever was.
    fastest_m_s: f64,
    highest_m: f64,
    end: Truth,
}

fn run(scene: &DiverseScene) -> Episode {
    let board = SimBoard::with_table(scene.table.clone(), SimOptions::default()).unwrap();
    let (mut steps, mut fastest_m_s, mut highest_m) = (0, 0.0_f64, 0.0_f64);
    let over = |board: &SimBoard| {
        let truth = board.truth();
        if steps == MAX_STEPS || scene.is_done(&truth) {
            return true;
        }
        fastest_m_s = fastest_m_s.max(truth.cube_speed);
        highest_m = highest_m.max(truth.cube_position().z);
        steps += 1;
        false
    };
    let expert = TaskExpert::new(scene);
    let shown = expert.shown();
    let pilot = (expert, Some(shown));
    let board = drive(board, &scene.instruction, pilot, over, |_, _| {});
    let board = board.borrow();
    Episode {
        done: scene.is_done(&board.truth()),
        steps,
        hash: board.state_hash(),
        fastest_m_s,
        highest_m,
        end: board.truth(),
    }
}

#[test]
fn the_script_does_nearly_every_task() {
    const SCENES: u64 = 150;
    let mut kinds: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for number in 0..SCENES {
        let scene = DiverseScene::new(number);
        let episode = run(&scene);
        let [done, tried, steps] = kinds.entry(scene.task.kind()).or_default();
        *tried += 1;
        *done += usize::from(episode.done);
        *steps += episode.steps;
        if !episode.done {
            println!(
                "{number}: {:?} not done after {} steps: {:?} to {}, held {}",
                scene.task,
                episode.steps,
                episode.end.cube_position(),
                scene.goal,
                episode.end.grasped
            );
        }
        assert!(
            episode.fastest_m_s < 3.0 && episode.highest_m < 0.3,
            "{number}: {} m/s, {} m high",
            episode.fastest_m_s,
            episode.highest_m
        );
    }
    println!("kind: done, tried, steps in all: {kinds:?}");
    let (mut all, mut total) = (0, 0);
    for kind in Task::KINDS {
        let [done, tried, _] = kinds[kind];
        assert!(10 * done >= 7 * tried, "{kind}: {done} of {tried}");
        (all, total) = (all + done, total + tried);
    }
    assert!(10 * all >= 9 * total, "{all} of {total}");
}

#[test]
fn the_same_scene_goes_the_same_way() {
    for number in [3, 17] {
        let scene = DiverseScene::new(number);
        assert_eq!(run(&scene).hash, run(&scene).hash);
    }
    assert_ne!(
        run(&DiverseScene::new(3)).hash,
        run(&DiverseScene::new(17)).hash
    );
}
