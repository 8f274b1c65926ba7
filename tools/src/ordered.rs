//! Work spread over threads, its results in order: the same output whatever the number of threads.

use std::ops::ControlFlow;
use std::sync::mpsc::sync_channel;
use std::thread;

use anyhow::{Result, bail};

/// Results a worker may be ahead of the consumer: bounds the memory, and evens out short and long pieces of work.
const AHEAD: usize = 4;

/// Calls `work(worker, i)` for i = 0, 1, 2 ..., each of the `workers` on a thread of its own, and hands the results to
/// `consume` in that order, until `count` are done, `consume` breaks, or one of the two fails.
///
/// At most a few results per thread wait in memory.
pub fn for_each_ordered<S: Send, T: Send>(
    workers: Vec<S>,
    count: usize,
    work: impl Fn(&mut S, usize) -> Result<T> + Sync,
    mut consume: impl FnMut(usize, T) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let jobs = workers.len();
    thread::scope(|scope| {
        let mut results = Vec::with_capacity(jobs);
        for (job, mut worker) in workers.into_iter().enumerate() {
            let (sender, receiver) = sync_channel(AHEAD);
            results.push(receiver);
            let work = &work;
            scope.spawn(move || {
                for index in (job..count).step_by(jobs) {
                    // A closed channel means that the consumer has stopped.
                    if sender.send(work(&mut worker, index)).is_err() {
                        return;
                    }
                }
            });
        }
        for index in 0..count {
            let Ok(result) = results[index % jobs].recv() else {
                bail!("the thread of piece {index} stopped without a result");
            };
            if consume(index, result?)?.is_break() {
                break;
            }
        }
        // Closing the channels here, before the scope waits for the threads, is what stops them early.
        drop(results);
        Ok(())
    })
}

/// Threads to use when the user names none: one per core.
pub fn default_jobs() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn in_order_whatever_the_number_of_threads() {
        for jobs in [1, 2, 3, 7, 100] {
            let mut seen = Vec::new();
            for_each_ordered(
                vec![(); jobs],
                20,
                |(), index| {
                    thread::sleep(Duration::from_micros(((index * 7) % 5) as u64 * 100));
                    Ok(index * index)
                },
                |index, square| {
                    assert_eq!(square, index * index);
                    seen.push(index);
                    Ok(ControlFlow::Continue(()))
                },
            )
            .unwrap();
            assert_eq!(seen, (0..20).collect::<Vec<_>>(), "{jobs} threads");
        }
    }

    #[test]
    fn stops_early_and_passes_errors_on() {
        let mut seen = 0;
        let consume = |index, ()| {
            seen = index;
            Ok(if index == 5 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        };
        for_each_ordered(vec![(); 3], usize::MAX, |(), _| Ok(()), consume).unwrap();
        assert_eq!(seen, 5);

        let fails = |(): &mut (), index| {
            if index == 4 {
                bail!("piece {index}")
            } else {
                Ok(())
            }
        };
        let error = for_each_ordered(vec![(); 2], 10, fails, |_, ()| {
            Ok(ControlFlow::Continue(()))
        });
        assert_eq!(error.unwrap_err().to_string(), "piece 4");
    }
}
