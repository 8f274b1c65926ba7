//! The same episode is the same episode: alone, beside others, and on another machine.

use crate::runner::run;
use wink_sim::expert::{Expert, RandomPolicy};
use wink_sim::{Scene, Split};

/// Digests of whole episodes, as computed on x86-64. aarch64 must compute the same.
const DIGESTS: [(Split, u64, u64); 3] = [(Split::Id, 0, 0), (Split::Train, 1, 0), (Split::Val, 2, 0)];

fn digest(split: Split, seed: u64) -> u64 {
    let scene = Scene::new(split, seed);
    run(&scene, &scene.instruction(), &mut Expert::new(&scene)).hash
}

#[test]
fn episodes_do_not_depend_on_what_runs_beside_them() {
    let seeds: Vec<u64> = (0..8).collect();
    let alone: Vec<u64> = seeds.iter().map(|&seed| digest(Split::Val, seed)).collect();
    let together: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = seeds.iter().map(|&seed| scope.spawn(move || digest(Split::Val, seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(alone, together);
    assert!(alone.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn episodes_are_the_same_on_every_machine() {
    let found = DIGESTS.map(|(split, seed, _)| (split, seed, digest(split, seed)));
    assert_eq!(found, DIGESTS, "{found:#018x?}");
}

#[test]
fn even_noise_is_the_same_on_every_machine() {
    let scene = Scene::new(Split::Train, 7);
    let found = run(&scene, "", &mut RandomPolicy::new(7)).hash;
    assert_eq!(found, 0, "{found:#018x}");
}
