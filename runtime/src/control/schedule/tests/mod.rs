//! The schedulers on chunks whose actions tell which chunk and which step they are.

use super::*;

const PERIOD_US: u64 = 50_000;

/// H = 8, s = 3, one number.
const SHAPE: ChunkShape = ChunkShape {
    steps: 8,
    execute: 3,
    dim: 1,
};

/// A scheduler with a policy whose inference takes some ticks.
struct Run {
    scheduler: Box<dyn Scheduler>,
    condition: Condition,
    /// Ticks so far.
    tick: usize,
    /// The chunk under way: when it was asked for, and its delay.
    under_way: Option<(usize, usize)>,
    /// Ticks at which chunks were asked for.
    asked: Vec<usize>,
    too_late: usize,
}

impl Run {
    fn of(kind: SchedulerKind, motion: Motion) -> Self {
        let mut scheduler = kind.scheduler();
        scheduler.begin(&Horizon {
            shape: SHAPE,
            motions: &[motion],
            period_us: PERIOD_US,
        });
        let mut condition = Condition::default();
        condition.rest.reset(0, 1);
        Self {
            scheduler,
            condition,
            tick: 0,
            under_way: None,
            asked: Vec::new(),
            too_late: 0,
        }
    }

    /// A tick: `chunk` gives the actions of a chunk by its number and the tick at which it was asked for.
    fn tick(&mut self, delay: usize, chunk: impl Fn(usize, usize) -> Vec<f32>) -> Option<f32> {
        self.arrive(&chunk);
        if self.scheduler.wants_chunk() {
            assert_eq!(self.under_way, None, "one inference at a time");
            self.scheduler.ask(&mut self.condition);
            self.asked.push(self.tick);
            self.under_way = Some((self.tick, delay));
        }
        self.arrive(&chunk);
        self.tick += 1;
        let mut action = [f32::NAN];
        self.scheduler.next(&mut action).then_some(action[0])
    }

    fn arrive(&mut self, chunk: impl Fn(usize, usize) -> Vec<f32>) {
        let here = self
            .under_way
            .filter(|(asked, delay)| asked + delay <= self.tick);
        if let Some((asked, _)) = here {
            self.under_way = None;
            let chunk = ActionChunk {
                steps: SHAPE.steps,
                dim: 1,
                data: chunk(self.asked.len() - 1, asked),
            };
            if self.scheduler.accept(&chunk) == Accepted::TooLate {
                self.too_late += 1;
            }
        }
    }

    fn ticks(
        &mut self,
        count: usize,
        delay: usize,
        chunk: impl Fn(usize, usize) -> Vec<f32>,
    ) -> Vec<Option<f32>> {
        (0..count).map(|_| self.tick(delay, &chunk)).collect()
    }
}

/// Action i of chunk n is 100 n + i.
fn numbered(number: usize, _: usize) -> Vec<f32> {
    (0..SHAPE.steps)
        .map(|step| (100 * number + step) as f32)
        .collect()
}

fn some(actions: &[f32]) -> Vec<Option<f32>> {
    actions.iter().copied().map(Some).collect()
}

#[test]
fn synchronous_holds_while_inference_runs() {
    let mut run = Run::of(SchedulerKind::Synchronous, Motion::Absolute);
    let found = run.ticks(10, 2, numbered);
    let expected = [None, None]
        .into_iter()
        .chain(some(&[0.0, 1.0, 2.0]))
        .chain([None, None])
        .chain(some(&[100.0, 101.0, 102.0]));
    assert_eq!(found, expected.collect::<Vec<_>>());
    // Without delay it never holds.
    let mut run = Run::of(SchedulerKind::Synchronous, Motion::Absolute);
    let found = run.ticks(7, 0, numbered);
    assert_eq!(found, some(&[0.0, 1.0, 2.0, 100.0, 101.0, 102.0, 200.0]));
}

#[test]
fn replacement_drops_the_actions_that_the_old_chunk_has_done() {
    let mut run = Run::of(SchedulerKind::Naive, Motion::Absolute);
    let found = run.ticks(11, 2, numbered);
    // The first chunk is asked for at 0, its first action is taken at 2; the next ones at 5 and 8, from their third action on.
    let expected = [None, None]
        .into_iter()
        .chain(some(&[0.0, 1.0, 2.0, 3.0, 4.0, 102.0, 103.0, 104.0, 202.0]));
    assert_eq!(found, expected.collect::<Vec<_>>());
    assert_eq!(run.asked, [0, 5, 8]);
}

#[test]
fn a_chunk_that_ends_before_the_next_is_there_is_followed_by_a_hold() {
    for kind in [SchedulerKind::Naive, SchedulerKind::Guided] {
        let mut run = Run::of(kind, Motion::Absolute);
        run.ticks(3, 0, numbered);
        let found = run.ticks(9, 7, numbered);
        // Asked for at 3, after three actions; five were left.
        let mut expected = some(&[3.0, 4.0, 5.0, 6.0, 7.0]);
        expected.extend([None, None]);
        assert_eq!(found[..7], expected, "{kind}");
        match kind {
            // Five actions were taken.
            SchedulerKind::Naive => assert_eq!(found[7..], some(&[105.0, 106.0])),
            // It was conditioned on none being taken.
            _ => assert_eq!((found[7], run.too_late), (None, 1)),
        }
    }
}

/// Chunks of two constants: the command goes from the one to the other in 200 ms, four steps.
#[test]
fn positions_are_aligned_with_the_old_chunk() {
    let constant = |number: usize, _: usize| vec![number as f32; SHAPE.steps];
    let mut run = Run::of(SchedulerKind::Asynchronous, Motion::Absolute);
    // Nothing to align the first one with.
    assert_eq!(run.ticks(6, 1, |_, _| vec![5.0; 8])[1..], some(&[5.0; 5]));
    let mut run = Run::of(SchedulerKind::Asynchronous, Motion::Absolute);
    let found = run.ticks(8, 1, constant);
    // Chunk 1 is there at tick 5: at its beginning the command is the old one, 0, and it goes up by a quarter of 1 a step, until
    // chunk 2, asked for at 7 ...
    assert_eq!(run.asked, [0, 4, 7]);
    assert_eq!(found[1..], some(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.25, 0.5]));
    // ... is there at 8, where the old chunk commands 0.75: from there to 2.
    let found = run.ticks(3, 1, constant);
    let up = |step: f32| 2.0 - 1.25 * (1.0 - step / 4.0);
    assert_eq!(found, some(&[0.75, up(1.0), up(2.0)]));
}

/// The new chunk's grip is commanded as soon as the chunk is there.
#[test]
fn grips_are_not_aligned() {
    let constant = |number: usize, _: usize| vec![number as f32; SHAPE.steps];
    let mut run = Run::of(SchedulerKind::Asynchronous, Motion::Grip);
    let found = run.ticks(8, 1, constant);
    assert_eq!(run.asked, [0, 4, 7]);
    assert_eq!(found[1..], some(&[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]));
}

/// Where the changes of a chunk lead is kept: after the fade the arm is where the new chunk, executed whole from its
/// observation, would have taken it.
#[test]
fn changes_are_aligned_with_where_they_lead() {
    let changes = |number: usize, _: usize| vec![if number == 0 { 1.0 } else { 3.0 }; SHAPE.steps];
    let execute_all = ChunkShape {
        steps: 16,
        execute: 8,
        dim: 1,
    };
    let long = |number: usize, asked: usize| changes(number, asked).repeat(2);
    let sums = |kind: SchedulerKind| {
        let mut run = Run::of(kind, Motion::Relative);
        run.scheduler.begin(&Horizon {
            shape: execute_all,
            motions: &[Motion::Relative],
            period_us: PERIOD_US,
        });
        let mut chunk = ActionChunk {
            steps: 16,
            dim: 1,
            data: long(0, 0),
        };
        let mut sum = 0.0;
        let mut action = [0.0];
        run.scheduler.ask(&mut run.condition);
        run.scheduler.accept(&chunk);
        for _ in 0..8 {
            assert!(run.scheduler.next(&mut action));
            sum += action[0];
        }
        run.scheduler.ask(&mut run.condition);
        for _ in 0..2 {
            assert!(run.scheduler.next(&mut action));
            sum += action[0];
        }
        chunk.data = long(1, 0);
        run.scheduler.accept(&chunk);
        let mut steps = Vec::new();
        for _ in 0..5 {
            assert!(run.scheduler.next(&mut action));
            steps.push(action[0]);
            sum += action[0];
        }
        (steps, sum)
    };
    // Two steps of 1 instead of 3 were taken since the observation: 4 are missing.
    assert_eq!(sums(SchedulerKind::Naive), (vec![3.0; 5], 10.0 + 15.0));
    let aligned = vec![4.0, 4.0, 4.0, 4.0, 3.0];
    assert_eq!(
        sums(SchedulerKind::Asynchronous),
        (aligned, 8.0 + 7.0 * 3.0)
    );
}

#[test]
fn ensembling_weighs_all_chunks_that_cover_a_tick() {
    let mut run = Run::of(SchedulerKind::Ensembling, Motion::Absolute);
    let found = run.ticks(12, 0, |number, _| vec![number as f32; SHAPE.steps]);
    assert_eq!(run.asked, (0..12).collect::<Vec<_>>());
    let m = 0.01_f64;
    for (tick, found) in found.iter().enumerate() {
        // Chunks tick - 7 .. tick cover the tick, the oldest first.
        let chunks: Vec<usize> = (tick.saturating_sub(7)..=tick).collect();
        let weights: Vec<f64> = (0..chunks.len()).map(|i| (-m * i as f64).exp()).collect();
        let sum: f64 = chunks
            .iter()
            .zip(&weights)
            .map(|(c, w)| *c as f64 * w)
            .sum();
        let expected = sum / weights.iter().sum::<f64>();
        let found = f64::from(found.unwrap());
        assert!(
            (found - expected).abs() < 1e-5,
            "tick {tick}: {found} {expected}"
        );
    }
    // With a delay of 2 the step of each chunk that is due is the number of ticks since it was asked for.
    let mut run = Run::of(SchedulerKind::Ensembling, Motion::Absolute);
    let found = run.ticks(8, 2, |_, asked| {
        (0..SHAPE.steps).map(|step| (asked + step) as f32).collect()
    });
    assert_eq!(run.asked, [0, 2, 4, 6]);
    assert_eq!(found[..2], [None, None]);
    // The arm rested during the first inference, so that its chunk is two steps behind.
    let (first, second) = (1.0, (-m).exp());
    let expected = (2.0 * first + 4.0 * second) / (first + second);
    assert!(
        (f64::from(found[4].unwrap()) - expected).abs() < 1e-6,
        "{found:?}"
    );
}

#[test]
fn conditioned_chunks_are_told_what_is_left_of_the_old_one() {
    for (kind, how) in [
        (SchedulerKind::Guided, Conditioning::Guided),
        (SchedulerKind::Trained, Conditioning::Prefix),
    ] {
        let mut run = Run::of(kind, Motion::Absolute);
        // The first is not conditioned; its two steps are the estimate.
        run.tick(2, numbered);
        assert_eq!(run.condition.how, Conditioning::None);
        run.ticks(4, 2, numbered);
        assert_eq!(run.asked, [0]);
        let action = run.tick(2, numbered);
        // Three actions are done; action 3 is due now.
        assert_eq!((run.asked.len(), action), (2, Some(3.0)));
        let Condition {
            how: given,
            rest,
            delay,
            execute,
        } = run.condition.clone();
        assert_eq!((given, delay, execute), (how, 2, 3));
        assert_eq!(rest.data, [3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!((rest.steps, rest.dim), (5, 1));
        // It comes in time and goes on from its third action.
        assert_eq!(run.ticks(2, 2, numbered), some(&[4.0, 102.0]));
        // The next one is later than that: it is not used, and another is asked for at once.
        run.ticks(1, 4, numbered);
        assert_eq!(run.asked, [0, 5, 8]);
        let found = run.ticks(4, 1, numbered);
        assert_eq!(found, some(&[104.0, 105.0, 106.0, 107.0]));
        assert_eq!((run.too_late, run.asked.len()), (1, 4));
        assert_eq!(run.condition.delay, 1, "the rest was one action long");
    }
}

#[test]
fn the_estimate_is_the_longest_of_the_last_hundred_without_the_first() {
    let mut estimate = DelayEstimate::default();
    assert_eq!(estimate.steps(), 0);
    estimate.took(9);
    assert_eq!(estimate.steps(), 9);
    for steps in [2, 5, 3] {
        estimate.took(steps);
    }
    assert_eq!(estimate.steps(), 5);
    for _ in 0..99 {
        estimate.took(3);
    }
    assert_eq!(estimate.steps(), 3);
}

#[test]
fn a_step_that_has_begun_counts() {
    for (latency_us, steps) in [(0, 0), (1, 1), (50_000, 1), (50_001, 2), (400_000, 8)] {
        assert_eq!(delay_steps(latency_us, PERIOD_US), steps, "{latency_us}");
    }
}

#[test]
fn delays_that_a_chunk_does_not_last_are_refused_with_the_numbers() {
    // H = 16, s = 4.
    let shape = ChunkShape {
        steps: 16,
        execute: 4,
        dim: 1,
    };
    // s is raised to d: d = 8 is the most.
    for kind in SchedulerKind::ALL {
        let fits = |delay: usize| kind.check_delay(shape, delay);
        assert_eq!(fits(8), Ok(()), "{kind}");
        match kind {
            SchedulerKind::Synchronous => assert_eq!(fits(1_000), Ok(())),
            _ => {
                let told = fits(9).unwrap_err().to_string();
                assert!(
                    told.contains("d = 9 steps, more than H - s = 16 - 9 = 7"),
                    "{told}"
                );
            }
        }
    }
    let whole = ChunkShape {
        execute: 16,
        ..shape
    };
    assert!(SchedulerKind::Naive.check_delay(whole, 0).is_ok());
    assert!(SchedulerKind::Naive.check_delay(whole, 1).is_err());
}

#[test]
fn schedulers_are_known_by_name() {
    for kind in SchedulerKind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
    }
    let told = "best".parse::<SchedulerKind>().unwrap_err().to_string();
    assert!(
        told.contains("\"best\"") && told.contains("synchronous, naive"),
        "{told}"
    );
}
