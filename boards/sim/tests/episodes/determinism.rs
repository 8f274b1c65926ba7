//! The same episode is the same episode, alone and beside others. (On other machines: see the golden tests.)

use crate::runner::run;
use wink_sim::expert::Expert;
use wink_sim::{Scene, Split};

fn digest(split: Split, seed: u64) -> u64 {
    let scene = Scene::new(split, seed);
    run(&scene, &scene.instruction(), Expert::new(&scene)).hash
}

#[test]
fn episodes_do_not_depend_on_what_runs_beside_them() {
    let seeds: Vec<u64> = (0..8).collect();
    let alone: Vec<u64> = seeds.iter().map(|&seed| digest(Split::Val, seed)).collect();
    let together: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = seeds
            .iter()
            .map(|&seed| scope.spawn(move || digest(Split::Val, seed)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(alone, together);
    assert!(alone.windows(2).all(|pair| pair[0] != pair[1]));
}
