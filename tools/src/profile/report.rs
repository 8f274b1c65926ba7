//! The figures of a profile, as `--json` writes them and `--compare` reads them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wink_runtime::policy::{Execution, OpInfo};

use super::machine::Machine;
use super::measure::Order;
use super::samples::OpSamples;
use super::subject::{Loaded, Subject};
use super::ticks::RealTime;
use crate::stats::Spread;

/// A profile of one policy. Times are in the unit of their name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Profile {
    /// Name and version of the policy.
    pub policy: String,
    pub precision: String,
    /// What ran the graphs: `wink`, or `tract` alone.
    pub engine: String,
    /// Instruction set of the fused ops' kernels; `null` where the engine runs alone.
    pub kernels: Option<String>,
    pub threads: usize,
    /// Inferences timed, once with every op timed and once without.
    pub runs: usize,
    pub warmup: usize,
    /// Seed of the first episode.
    pub seed: u64,
    /// Version of the program.
    pub wink: String,
    pub machine: Machine,
    pub load_ms: Load,
    pub memory: Memory,
    /// In the order of a tick, the runtime's first, then the simulator's.
    pub stages: Vec<Stage>,
    pub graphs: Vec<Graph>,
    /// `null` where no ticks were run in real time.
    #[serde(default)]
    pub real_time: Option<RealTime>,
}

/// How long it takes until the policy answers at its usual pace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Load {
    /// Sizes and hashes of all files.
    pub check: f64,
    /// By graph.
    pub graphs: BTreeMap<String, GraphLoad>,
    /// The tokenizer and all else.
    pub rest: f64,
    /// All of the above.
    pub total: f64,
    /// The first encoding of an instruction; `null` where the policy takes none.
    pub first_text: Option<f64>,
    /// The first inference.
    pub first_inference: f64,
}

/// How long it takes until a graph can run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct GraphLoad {
    /// The file, with its hash.
    pub read: f64,
    /// The ONNX in it.
    pub parse: f64,
    /// Types, shapes, and the fused ops with their packed weights.
    pub rewrite: f64,
    /// The engine's optimiser, with its packing.
    pub optimise: f64,
}

/// Memory of the process; `null` where the system does not tell.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Memory {
    /// What became resident by loading the policy.
    pub policy_bytes: Option<u64>,
    /// The most of the whole process until then: graphs are larger while they load.
    pub peak_load_bytes: Option<u64>,
    /// The most of the whole process, the simulator included.
    pub peak_bytes: Option<u64>,
}

/// A part of a tick.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stage {
    pub stage: String,
    /// `runtime`, or `simulator` for what only the simulated board does.
    pub of: String,
    pub us: Spread,
}

/// One graph.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Graph {
    pub role: String,
    pub file: String,
    /// Multiply-accumulates of one run.
    pub macs: u64,
    /// Operations per second in an inference at its median, two for each multiply-accumulate, in 1e9.
    pub gops: f64,
    /// The stage around the graph: the text encoding with the tokenizer, or the inference.
    pub us: Spread,
    /// The same with every op timed.
    pub timed_us: Spread,
    /// The sum over all ops in a run.
    pub ops_us: Spread,
    /// Most time first.
    pub kinds: Vec<Kind>,
    /// Most time first.
    pub ops: Vec<OpRow>,
}

/// All ops of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kind {
    pub op: String,
    pub fused: bool,
    pub count: usize,
    /// Sum of the ops' medians.
    pub us: f64,
    /// Part of the sum over the whole graph.
    pub share: f64,
    pub macs: u64,
    pub gops: f64,
    /// Read and written, weights included.
    pub bytes: u64,
}

/// One op.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpRow {
    #[serde(flatten)]
    pub info: OpInfo,
    pub us: Spread,
    /// Part of the sum of all ops' medians.
    pub share: f64,
    pub gops: f64,
}

impl OpRow {
    /// Read and written, weights included.
    pub fn bytes(&self) -> u64 {
        self.info.input_bytes + self.info.weight_bytes + self.info.output_bytes
    }
}

impl Profile {
    /// What was measured of a subject.
    pub fn of(subject: &Subject, order: &Order, threads: usize) -> Self {
        let kernels = subject
            .graphs
            .iter()
            .find_map(|graph| graph.report.fusion.as_ref())
            .map(|fusion| fusion.kernels.to_owned());
        let graphs = subject.graphs.iter();
        Self {
            policy: subject.name.clone(),
            precision: subject.precision.clone(),
            engine: engine_name(subject.execution).to_owned(),
            kernels,
            threads,
            runs: order.runs,
            warmup: order.warmup,
            seed: order.seed,
            wink: env!("CARGO_PKG_VERSION").to_owned(),
            machine: Machine::this(),
            load_ms: load(subject),
            memory: subject.memory,
            stages: stages(subject),
            graphs: graphs
                .filter_map(|graph| graph_of(subject, graph))
                .collect(),
            real_time: None,
        }
    }

    /// What is profiled, in a few words.
    pub fn title(&self) -> String {
        let kernels = match &self.kernels {
            Some(kernels) => format!(", kernels {kernels}"),
            None => String::new(),
        };
        format!(
            "{}, {}, engine {}{kernels}",
            self.policy, self.precision, self.engine
        )
    }
}

/// As `wink bench` calls them.
fn engine_name(execution: Execution) -> &'static str {
    match execution {
        Execution::Fused | Execution::AsWritten => "wink",
        Execution::Plain => "tract",
    }
}

fn load(subject: &Subject) -> Load {
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let mut rest = ms(subject.load);
    let mut graphs = BTreeMap::new();
    for graph in &subject.graphs {
        let times = &graph.report.load;
        let split = GraphLoad {
            read: ms(times.read),
            parse: ms(times.parse),
            rewrite: ms(times.rewrite),
            optimise: ms(times.optimise),
        };
        rest -= split.read + split.parse + split.rewrite + split.optimise;
        graphs.insert(graph.report.stage.clone(), split);
    }
    let takes_text = subject.takes_text();
    Load {
        check: ms(subject.check),
        graphs,
        rest: rest.max(0.0),
        total: ms(subject.check + subject.load),
        first_text: takes_text.then(|| ms(subject.samples.first_text)),
        first_inference: ms(subject.samples.first_inference),
    }
}

fn stages(subject: &Subject) -> Vec<Stage> {
    let samples = &subject.samples;
    let text = if subject.takes_text() {
        &samples.text[..]
    } else {
        &[]
    };
    let named = [
        ("text, once per episode", "runtime", text),
        ("preprocess", "runtime", &samples.preprocess),
        ("inference", "runtime", &samples.inference),
        ("control", "runtime", &samples.control),
        ("link", "runtime", &samples.link),
        (
            "tick that asks the policy",
            "runtime",
            &samples.inferring_tick,
        ),
        ("tick within a chunk", "runtime", &samples.chunk_tick),
        ("rendering", "simulator", &samples.render),
        ("physics and firmware", "simulator", &samples.physics),
    ];
    let measured = named.into_iter().filter_map(|(stage, of, times)| {
        Some(Stage {
            stage: stage.to_owned(),
            of: of.to_owned(),
            us: Spread::of(times)?,
        })
    });
    measured.collect()
}

/// `None` where the graph never ran.
fn graph_of(subject: &Subject, graph: &Loaded) -> Option<Graph> {
    let samples = &subject.samples;
    let timed = samples.ops.get(&graph.report.stage)?;
    let whole = match graph.is_text() {
        true => &samples.text,
        false => &samples.inference,
    };
    // The whole is that of one stage where no other one runs as often.
    let alike = |other: &&Loaded| other.is_text() == graph.is_text();
    let us = match subject.graphs.iter().filter(alike).count() {
        1 => Spread::of(whole)?,
        _ => Spread::of(&timed.sums())?,
    };
    let mut ops = op_rows(&graph.ops, timed);
    ops.sort_by(|a, b| b.us.p50.total_cmp(&a.us.p50));
    Some(Graph {
        role: graph.report.stage.clone(),
        file: graph.report.file.clone(),
        macs: graph.report.macs,
        gops: gops(graph.report.macs, us.p50),
        us,
        timed_us: Spread::of(&timed.whole)?,
        ops_us: Spread::of(&timed.sums())?,
        kinds: kinds(&ops),
        ops,
    })
}

fn op_rows(infos: &[OpInfo], timed: &OpSamples) -> Vec<OpRow> {
    let spreads: Vec<_> = infos
        .iter()
        .zip(&timed.ops)
        .filter_map(|(info, times)| Some((info, Spread::of(times)?)))
        .collect();
    let total: f64 = spreads.iter().map(|(_, us)| us.p50).sum();
    let row = |(info, us): (&OpInfo, Spread)| OpRow {
        info: info.clone(),
        us,
        share: if total > 0.0 { us.p50 / total } else { 0.0 },
        gops: gops(info.macs, us.p50),
    };
    spreads.into_iter().map(row).collect()
}

fn kinds(ops: &[OpRow]) -> Vec<Kind> {
    let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
    for row in ops {
        let kind = kinds.entry(&row.info.op).or_insert_with(|| Kind {
            op: row.info.op.clone(),
            fused: row.info.fused,
            count: 0,
            us: 0.0,
            share: 0.0,
            macs: 0,
            gops: 0.0,
            bytes: 0,
        });
        kind.count += 1;
        kind.us += row.us.p50;
        kind.share += row.share;
        kind.macs += row.info.macs;
        kind.bytes += row.bytes();
    }
    let mut kinds: Vec<Kind> = kinds.into_values().collect();
    for kind in &mut kinds {
        kind.gops = gops(kind.macs, kind.us);
    }
    kinds.sort_by(|a, b| b.us.total_cmp(&a.us));
    kinds
}

fn gops(macs: u64, us: f64) -> f64 {
    if us > 0.0 {
        2.0 * macs as f64 / us / 1e3
    } else {
        0.0
    }
}
