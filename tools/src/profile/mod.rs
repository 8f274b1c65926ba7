//! `wink profile`: where the time and the memory of a policy go, stage by stage and op by op.

mod compare;
mod machine;
mod measure;
mod names;
mod report;
mod samples;
mod subject;
mod table;
mod ticks;
mod trace;
mod watched;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use clap::value_parser;
use serde_json::json;
use wink_runtime::policy::{Execution, Threads};

use crate::eval::policy::SHIPPED;
use crate::memory;
use crate::out_file::PendingFile;
use crate::progress;
use crate::threads::ThreadArgs;
use compare::Other;
use measure::Order;
use report::Profile;
use subject::{Source, Subject};
use ticks::RealTime;
use trace::Trace;

/// Time a policy: every stage of a tick, every op of its graphs, loading, memory
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The policy package
    #[arg(long, value_name = "DIR", default_value = SHIPPED)]
    policy: String,

    /// Which of the package's graphs to run; the package's own default unless given
    #[arg(long, value_name = "NAME")]
    precision: Option<String>,

    /// Run the graphs in plain tract, without fused ops
    #[arg(long)]
    plain: bool,

    #[command(flatten)]
    threads: ThreadArgs,

    /// Inferences to time
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..=1_000_000))]
    runs: u32,

    /// Inferences before them; the first is reported separately
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u32).range(1..=1_000_000))]
    warmup: u32,

    /// Seconds of episodes in real time after that: when ticks begin, and which are late; 0 for none
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = value_parser!(u32).range(0..=86_400))]
    real_time: u32,

    /// Seed of the first episode
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,

    /// Another package, precision or engine, or an earlier profile (what --json printed), to show side by side. Packages take
    /// turns, episode by episode. Without DIR it is the package of --policy
    #[arg(long, value_name = "[DIR][:PRECISION][:plain]|FILE.json")]
    compare: Option<String>,

    /// File for a trace of one episode, tick by tick, stage by stage, op by op; Perfetto (ui.perfetto.dev) and chrome://tracing
    /// open it
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// Ops of each graph to show, and blocks in a comparison; the table sums up the others
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,

    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  wink profile
  wink profile --precision f32 --runs 200 --top 40
  wink profile --trace trace.json                   open it in ui.perfetto.dev
  wink profile --compare :plain                     what the fused ops bring: the same package in the engine alone
  wink profile --threads 2 --pin
  wink profile --runs 1 --real-time 60              how punctual the control loop is on this machine
  wink profile --compare :f32                       another precision of the same package
  wink profile --compare models/wink-s-full:int8    another package
  wink profile --json > before.json                 then, from another build:
  wink profile --compare before.json";

/// Prints the profile.
pub fn run(args: &Args) -> Result<()> {
    let threads = args.threads.threads();
    let source = Source {
        flag: "--policy",
        dir: args.policy.clone(),
        precision: args.precision.clone(),
        execution: if args.plain {
            Execution::Plain
        } else {
            Execution::Fused
        },
    };
    let order = Order {
        runs: args.runs as usize,
        warmup: args.warmup as usize,
        seed: args.seed,
    };
    let other = args
        .compare
        .as_deref()
        .map(|text| compare::parse(text, &args.policy))
        .transpose()?;
    let trace = args
        .trace
        .as_deref()
        .map(|file| PendingFile::create("--trace", file))
        .transpose()?;
    let mut sources = vec![source];
    let saved = match other {
        Some(Other::Package(other)) => {
            sources.push(other);
            None
        }
        Some(Other::Saved(profile)) => Some(*profile),
        None => None,
    };
    let mut profiles = measure_all(&sources, &order, threads, args.real_time, trace)?;
    profiles.extend(saved);
    let mut stdout = io::stdout().lock();
    write!(stdout, "{}", text_of(&profiles, args)?)?;
    stdout.flush()?;
    Ok(())
}

/// One profile for each source.
fn measure_all(
    sources: &[Source],
    order: &Order,
    threads: Threads,
    real_time_s: u32,
    trace: Option<PendingFile>,
) -> Result<Vec<Profile>> {
    let mut subjects = Vec::new();
    for source in sources {
        subjects.push(Subject::load(source, threads)?);
    }
    let bar = progress::bar((subjects.len() * order.inferences()) as u64, "inferences");
    measure::run(&mut subjects, order, &bar)?;
    bar.finish_and_clear();
    let real_time = in_real_time(&subjects, order, real_time_s)?;
    let peak = memory::peak();
    let mut profiles = Vec::new();
    for ((subject, source), real_time) in subjects.iter_mut().zip(sources).zip(real_time) {
        subject.memory.peak_bytes = peak;
        let mut profile = Profile::of(subject, order, threads.count.get());
        profile.real_time = real_time;
        if sources.len() > 1 {
            let alone = compare::alone(source, order.seed, threads)?;
            profile.load_ms = alone.load_ms;
            profile.memory = alone.memory;
        }
        profiles.push(profile);
    }
    if let Some(file) = trace {
        let courses = subjects
            .iter_mut()
            .map(|subject| measure::follow(subject, order))
            .collect::<Result<Vec<_>>>()?;
        let trace = Trace::of(&subjects, &courses, &profiles);
        file.write_and_publish(&serde_json::to_vec(&trace)?)?;
    }
    Ok(profiles)
}

/// Of each subject, where `seconds` is not 0.
fn in_real_time(
    subjects: &[Subject],
    order: &Order,
    seconds: u32,
) -> Result<Vec<Option<RealTime>>> {
    let ticks = |subject: &Subject| ticks::count(subject, seconds);
    let bar = progress::bar(subjects.iter().map(ticks).sum(), "ticks in real time");
    let measured = subjects
        .iter()
        .map(|subject| ticks::run(subject, order, ticks(subject), &bar))
        .collect();
    bar.finish_and_clear();
    measured
}

fn text_of(profiles: &[Profile], args: &Args) -> Result<String> {
    let json = match profiles {
        [profile] if args.json => serde_json::to_string_pretty(profile)?,
        [profile] => return Ok(table::render(profile, args.top)),
        [first, second, ..] if args.json => {
            serde_json::to_string_pretty(&json!({"profile": first, "compare": second}))?
        }
        [first, second, ..] => return Ok(compare::render(first, second, args.top)),
        [] => String::new(),
    };
    Ok(json + "\n")
}
