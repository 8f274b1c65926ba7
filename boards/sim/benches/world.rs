//! How fast the world is: a control step with its physics, wire and firmware, with and without a frame; whole episodes.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use wink_runtime::camera::{Camera, Frame};
use wink_runtime::clock::Clock;
use wink_runtime::rig::Shared;
use wink_runtime::session::{Session, Timing};
use wink_sim::expert::Expert;
use wink_sim::{MAX_STEPS, Scene, Shown, SimBoard, SimOptions, Split};

/// Steps after which the expert has the cube in hand: contact is at its dearest.
const STEPS_TO_GRASP: usize = 60;

struct Episode {
    board: Shared<SimBoard>,
    session: Session,
    shown: Shown,
}

impl Episode {
    fn begin(seed: u64) -> Self {
        let scene = Scene::new(Split::Train, seed);
        let board = SimBoard::new(&scene, SimOptions::default())
            .expect("the benchmark's frame size is fine");
        let board = Shared::new(board);
        let expert = Expert::new(&scene);
        let shown = expert.shown();
        let mut session = Session::new(
            wink_sim::arm(),
            wink_sim::control_config(),
            board.rig(),
            Box::new(expert),
            Timing::instant(),
        )
        .expect("the expert fits its own arm");
        session.connect().expect("the simulated firmware answers");
        session
            .begin(&scene.instruction())
            .expect("the expert takes its own instruction");
        Self {
            board,
            session,
            shown,
        }
    }

    fn step(&mut self) {
        self.shown.show(self.board.borrow().truth());
        self.session.tick().expect("the expert's actions are valid");
    }

    fn run(mut self) -> usize {
        let mut steps = 0;
        while steps < MAX_STEPS && self.board.borrow().outcome().executed().is_none() {
            self.step();
            steps += 1;
        }
        steps
    }
}

fn steps(criterion: &mut Criterion) {
    let holding = || {
        let mut episode = Episode::begin(0);
        (0..STEPS_TO_GRASP).for_each(|_| episode.step());
        episode
    };
    let mut group = criterion.benchmark_group("control step");
    // Few steps per batch: the expert moves on, and an episode has 200.
    group.bench_function("state", |bencher| {
        bencher.iter_batched_ref(holding, Episode::step, BatchSize::PerIteration);
    });
    group.bench_function("five substeps of firmware and physics alone", |bencher| {
        let board = holding().board;
        let mut board = board.borrow_mut();
        bencher.iter(|| {
            let until_us = board.now_us() + 50_000;
            board.sleep_until(until_us);
        });
    });
    group.bench_function("state and a 224 x 224 frame", |bencher| {
        let mut frame = Frame::default();
        let holding = || {
            let episode = holding();
            // The first frame also draws what does not move.
            episode
                .board
                .borrow_mut()
                .capture(&mut Frame::default())
                .expect("the benchmark's frame size is fine");
            episode
        };
        bencher.iter_batched_ref(
            holding,
            |episode| {
                episode.step();
                episode
                    .board
                    .borrow_mut()
                    .capture(&mut frame)
                    .expect("the benchmark's frame size is fine");
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn episodes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("episode");
    group.throughput(Throughput::Elements(1));
    group.sample_size(50);
    let mut seed = 0;
    group.bench_function("expert, state only", |bencher| {
        bencher.iter(|| {
            seed += 1;
            black_box(Episode::begin(seed).run())
        });
    });
    group.finish();
}

criterion_group!(benches, steps, episodes);
criterion_main!(benches);
