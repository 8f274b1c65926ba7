//! `wink eval`: what a policy executes, and what it recognises.

pub mod board;
mod comparison;
mod confusion;
pub mod episode;
mod html;
mod instruction;
mod json;
pub mod latency;
mod motion;
mod open_loop;
mod picture;
pub mod plan;
pub mod policy;
pub mod report;
mod rows;
pub mod run;
pub mod shard;
pub mod sweep;
mod table;
pub mod timing;
mod timing_args;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::value_parser;
use wink_sim::CardSpeed;

use crate::bad_input::{as_bad_input, bad_input};
use crate::cell::CellArm;
use crate::ordered::default_jobs;
use crate::out_dir::OutDir;
use crate::threads::ThreadArgs;

use board::BoardChoice;
use episode::Episode;
use plan::{Controls, SplitChoice};
use policy::Choice;
use report::Report;
use shard::Shard;
use timing::Plan;
use timing_args::TimingArgs;

/// Evaluate a policy on the emoji table: execution, recognition, grounding, latency
///
/// Prints the success rate, execution, recognition and normalised grounding per split, each with n and an exact 95%
/// interval, controls on the val split (or the one chosen), failures by kind, and latencies. Episode i of a split
/// is seeded S + i: the same seeds give the same rows, bit for bit, whatever --jobs is.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct Args {
    /// A policy package's folder, `expert` (the script that records demonstrations) or `random`
    #[arg(long, value_name = "DIR|expert|random", default_value = policy::SHIPPED)]
    policy: String,

    /// For `expert` and `random`: whose table the episodes are on [default: wx250s]; a package's table is that of its joints
    #[arg(long, value_enum)]
    arm: Option<CellArm>,

    /// Where the cards are drawn from
    #[arg(long, value_enum, default_value = "all")]
    split: SplitChoice,

    /// What the episodes run on. Emulated boards need what `boards/build.sh` builds
    #[arg(long, value_enum, default_value = "sim")]
    board: BoardChoice,

    /// Which controls to run: `all`, `none`, or some of `other_label` (the instruction names another card, and the cube
    /// must follow it), `nonsense` (made-up words: recognition must fall to chance), `paraphrase` (the same card in
    /// another sentence), with commas between them; `all` unless given, `none` on an emulated board
    #[arg(long, value_name = "LIST")]
    controls: Option<Controls>,

    /// Episodes in each split and each control
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = value_parser!(u32).range(1..))]
    episodes: u32,

    /// Compare predicted with recorded actions of a LeRobotDataset, instead of running episodes: needs no robot and no
    /// simulator. --episodes then are the data set's first N
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["arm", "split", "board", "controls", "seed", "jobs", "pictures"]
    )]
    data: Option<PathBuf>,

    /// With --data: predict at one frame in K; K is the number of executed steps unless given
    #[arg(long, value_name = "K", requires = "data", value_parser = value_parser!(u32).range(1..))]
    stride: Option<u32>,

    /// Base seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,

    /// Episodes to run side by side; one per core unless given
    #[arg(long, value_name = "J", value_parser = value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,

    /// Slide the cards to and fro at this speed, such as 50mm/s: a variant of the task in which late actions miss
    #[arg(
        long,
        value_name = "SPEED",
        default_value = "0m/s",
        conflicts_with = "data"
    )]
    moving_cards: CardSpeed,

    #[command(flatten)]
    threads: ThreadArgs,

    #[command(flatten)]
    timing: TimingArgs,

    /// Which of the package's graphs to run; the package's own default unless given. Several, with commas between them,
    /// are evaluated on the same episodes and compared with the first, each with a folder of its own in --out
    #[arg(long, value_name = "f32|int8|...", value_delimiter = ',')]
    precision: Vec<String>,

    /// Folder for report.html, report.json and episodes.parquet; it appears when everything is in it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Episodes of each split and control to picture in report.html: the first N, and beyond them up to ten that ended
    /// right, ten on a wrong card and ten on none
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        requires = "out",
        conflicts_with = "no_html"
    )]
    pictures: u32,

    /// Write report.json and episodes.parquet only: small enough to keep
    #[arg(long, requires = "out")]
    no_html: bool,

    /// Run every N-th episode only, the K-th and so on, for `wink merge` to put together; K from 1. --out then holds the
    /// shard instead of a report
    #[arg(long, value_name = "K/N", requires = "out", conflicts_with = "data")]
    shard: Option<Shard>,

    /// Replace an earlier report
    #[arg(long, requires = "out")]
    force: bool,

    /// Print report.json instead of tables
    #[arg(long)]
    json: bool,
}

/// The figures of an evaluation.
pub const REPORT: &str = "report.json";

const EXAMPLES: &str = "\
Examples:
  wink eval                                             the shipped policy, all splits, all controls
  wink eval --split val --episodes 100 --out out/val    one split; open out/val/report.html
  wink eval --out out/small --no-html                   report.json and episodes.parquet, some 60 kB together
  wink eval --policy expert --split all --episodes 100  the ceiling: what the table and the arm allow
  wink eval --policy random --split val                 the floor
  wink eval --policy expert --arm so101                 the expert on the table of an SO-101, through its simulated servos
  wink eval --split val --controls paraphrase           does it read the label or know the sentence by heart?
  wink eval --policy models/wink-s --precision f32 --json
  wink eval --precision f32,int8 --controls none        what does int8 forget? paired tests on the same episodes
  wink eval --policy my-act --data my-recording --out out/open   predicted against recorded actions, joint by joint
  wink eval --scheduler asynchronous --latency 40ms --jitter 10ms --split val    what latency costs
  wink eval --sweep-latency 0,50,100,200,400ms --precision f32,int8 --out out/sweep   plotted, schedulers side by side
  wink eval --sweep-latency 0,100,200ms --moving-cards 50mm/s --split val --out out/moving    where late actions miss
  wink eval --shard 2/4 --out out/2                     a quarter of the episodes, the second; then `wink merge`
  wink eval --policy expert --board qemu --episodes 20 --split val    the image of a Nucleo-F411, servo packets and all";

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let episodes = args.episodes as usize;
    if args.seed.checked_add(u64::from(args.episodes)).is_none() {
        return Err(bad_input(format!(
            "--seed {}: too large for --episodes {episodes}",
            args.seed
        )));
    }
    if let Some(data) = &args.data {
        return check_recording(args, data);
    }
    let mut choices = choices(args)?;
    for choice in &mut choices {
        choice.use_threads(args.threads.threads())?;
    }
    let axes = args.timing.sweep();
    args.timing
        .check(&choices, args.shard.is_some(), args.out.is_some())?;
    let marker = match (args.shard, &axes, choices.len()) {
        (Some(_), ..) => shard::FILE,
        (None, Some(_), _) => sweep::FILE,
        (None, None, 1) => REPORT,
        (None, None, _) => comparison::FILE,
    };
    let controls = args
        .controls
        .clone()
        .unwrap_or(if args.board.is_sim() && axes.is_none() {
            Controls::all()
        } else {
            Controls::none()
        });
    let groups = plan::groups(args.split, &controls);
    if let Some(shard) = args.shard {
        check_shard(args, shard, groups.len() * episodes)?;
    }
    let out = args
        .out
        .as_deref()
        .map(|path| OutDir::create(path, args.force, marker))
        .transpose()?;

    let order = run::Order {
        groups: &groups,
        episodes,
        seed: args.seed,
        board: args.board,
        setup: choices[0].setup(),
        card_speed: args.moving_cards,
        timing: &Plan::instant(),
        jobs: args.jobs.map_or_else(default_jobs, usize::from),
        pictures: (out.is_some() && !args.no_html)
            .then_some(args.pictures as usize)
            .filter(|_| axes.is_none()),
        shard: args.shard.unwrap_or(Shard::WHOLE),
    };
    if let Some(axes) = axes {
        return sweep::run(&order, &axes, &choices, out, args.json);
    }
    match &choices[..] {
        [choice] if args.shard.is_some() => run_shard(args, &order, choice, out),
        [choice] => evaluate_one(args, &order, choice, out),
        several => compare(args, &order, several, out),
    }
}

/// Compares a package's actions with recorded ones.
fn check_recording(args: &Args, data: &Path) -> Result<()> {
    let precision = match &args.precision[..] {
        [] => None,
        [one] => Some(one.as_str()),
        _ => {
            return Err(bad_input(
                "--precision: --data takes one precision at a time",
            ));
        }
    };
    let mut policy = Choice::open_any(&args.policy, precision)?;
    policy
        .use_threads(args.threads.threads())
        .map_err(as_bad_input)?;
    let out = args
        .out
        .as_deref()
        .map(|path| OutDir::create(path, args.force, REPORT))
        .transpose()?;
    let order = open_loop::Order {
        data,
        episodes: args.episodes as usize,
        stride: args.stride.map(|stride| stride as usize),
        json: args.json,
        html: !args.no_html,
    };
    open_loop::run(&order, &policy, out)
}

/// The policy in each precision that was asked for, the package's own default where none was.
fn choices(args: &Args) -> Result<Vec<Choice>> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = args.precision.iter().find(|name| !seen.insert(*name)) {
        return Err(bad_input(format!(
            "--precision {}: {twice} is named twice",
            args.precision.join(",")
        )));
    }
    if args.precision.is_empty() {
        return Ok(vec![Choice::open(&args.policy, args.arm, None)?]);
    }
    let names = args.precision.iter();
    names
        .map(|name| Choice::open(&args.policy, args.arm, Some(name)))
        .collect()
}

fn evaluate_one(
    args: &Args,
    order: &run::Order<'_>,
    choice: &Choice,
    out: Option<OutDir>,
) -> Result<()> {
    let (plan, measured) = args.timing.plan(order, choice)?;
    let order = &run::Order {
        timing: &plan,
        ..*order
    };
    let (report, done) = evaluate(order, choice)?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(told(&report, args.json)?.as_bytes())?;
    if let Some(out) = out {
        store(out.path(), &report, &done, args.no_html)?;
        store_latency(out.path(), measured.as_ref())?;
        let path = out.publish()?;
        if !args.json {
            writeln!(stdout, "\n{}", stored(&path, args.no_html))?;
        }
    }
    Ok(())
}

/// Runs a part of the episodes and stores them for `wink merge`.
fn run_shard(
    args: &Args,
    order: &run::Order<'_>,
    choice: &Choice,
    out: Option<OutDir>,
) -> Result<()> {
    let (timing, _) = args.timing.plan(order, choice)?;
    let order = &run::Order {
        timing: &timing,
        ..*order
    };
    let plan = shard::plan::Plan {
        shard: order.shard,
        jobs: order.jobs,
        run: shard::plan::Run::of(order, choice, choice.policy_sha256(&args.policy)?),
    };
    let done = run::run(order, choice)?;
    let json = json::text(&plan)?;
    let mut stdout = io::stdout().lock();
    if args.json {
        stdout.write_all(json.as_bytes())?;
    }
    let Some(out) = out else {
        return Ok(());
    };
    shard::episodes::write(&out.path().join(shard::EPISODES), order.shard, &done)?;
    write(out.path(), shard::FILE, &json)?;
    let path = out.publish()?;
    if !args.json {
        writeln!(
            stdout,
            "{}: shard {}, {} of {} episodes; put all shards together with `wink merge`",
            path.display(),
            order.shard,
            done.len(),
            order.total()
        )?;
    }
    Ok(())
}

/// Whether there is anything in the shard, and one policy to run it with.
fn check_shard(args: &Args, shard: Shard, total: usize) -> Result<()> {
    if args.precision.len() > 1 {
        return Err(bad_input(format!(
            "--shard {shard}: takes one precision at a time, not {}",
            args.precision.join(",")
        )));
    }
    if shard.count() > total {
        return Err(bad_input(format!(
            "--shard {shard}: there are {total} episodes, so at most {total} shards"
        )));
    }
    Ok(())
}

/// Evaluates each precision on the same episodes and compares them with the first.
fn compare(
    args: &Args,
    order: &run::Order<'_>,
    choices: &[Choice],
    out: Option<OutDir>,
) -> Result<()> {
    let package = policy::find(&args.policy);
    let records = comparison::records(choices, CellArm::of(order.setup), order.episodes, &package)?;
    let mut sides = Vec::new();
    for (choice, record) in choices.iter().zip(records) {
        let (plan, measured) = args.timing.plan(order, choice)?;
        let order = &run::Order {
            timing: &plan,
            ..*order
        };
        let (report, done) = evaluate(order, choice)?;
        if let Some(out) = &out {
            let dir = out
                .path()
                .join(report.precision.as_deref().unwrap_or("none"));
            fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
            store(&dir, &report, &done, args.no_html)?;
            store_latency(&dir, measured.as_ref())?;
            if let Some(record) = &record {
                write(&dir, comparison::RECORD, &json::text(record)?)?;
            }
        }
        sides.push(comparison::Side::of(choice, report, &done, record));
    }
    let compared = comparison::Comparison::of(sides);
    let json = json::text(&compared)?;
    let mut stdout = io::stdout().lock();
    let told = match args.json {
        true => json.clone(),
        false => comparison::render(&compared),
    };
    stdout.write_all(told.as_bytes())?;
    if let Some(out) = out {
        write(out.path(), comparison::FILE, &json)?;
        let path = out.publish()?;
        if !args.json {
            writeln!(
                stdout,
                "\n{}: {}, and a folder for each precision",
                path.display(),
                comparison::FILE
            )?;
        }
    }
    Ok(())
}

/// Runs the episodes with one policy.
fn evaluate(order: &run::Order<'_>, choice: &Choice) -> Result<(Report, Vec<Episode>)> {
    let done = run::run(order, choice)?;
    let report = Report::of(order, choice.name(), choice.precision(), &done);
    Ok((report, done))
}

/// A report for the terminal.
pub fn told(report: &Report, json: bool) -> Result<String> {
    match json {
        true => json::text(report),
        false => Ok(table::render(report)),
    }
}

/// Which files a report's folder holds.
pub fn stored(dir: &Path, no_html: bool) -> String {
    let html = if no_html { "" } else { "report.html, " };
    format!("{}: {html}report.json, episodes.parquet", dir.display())
}

/// Puts the files of a report into a folder.
pub fn store(dir: &Path, report: &Report, done: &[Episode], no_html: bool) -> Result<()> {
    write(dir, REPORT, &json::text(report)?)?;
    if !no_html {
        write(dir, "report.html", &html::render(report, done))?;
    }
    rows::write(&dir.join("episodes.parquet"), done)
}

/// Puts measured latencies beside a report.
fn store_latency(dir: &Path, measured: Option<&latency::LatencyFile>) -> Result<()> {
    measured.map_or(Ok(()), |file| write(dir, latency::FILE, &json::text(file)?))
}

fn write(dir: &Path, name: &str, text: &str) -> Result<()> {
    fs::write(dir.join(name), text).with_context(|| format!("writing {name}"))
}
