//! An episode as a trace that Perfetto (ui.perfetto.dev) and chrome://tracing open: tick, stage, op, one inside the other.
//!
//! The format is Chrome's: "complete" events with a start and a length in microseconds
//! (<https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>).

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};
use wink_runtime::policy::{OpInfo, OpTime};

use super::measure::{Course, Tick};
use super::report::Profile;
use super::subject::Subject;

const SIMULATOR: &str = "simulator";
const RUNTIME: &str = "runtime";

/// The file's content.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    trace_events: Vec<Event>,
    display_time_unit: &'static str,
    other_data: Value,
}

#[derive(Debug, Serialize)]
struct Event {
    name: String,
    cat: String,
    ph: &'static str,
    /// Microseconds.
    ts: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    pid: usize,
    tid: usize,
    args: Value,
}

impl Trace {
    /// One process for each subject.
    pub fn of(subjects: &[Subject], courses: &[Course], profiles: &[Profile]) -> Self {
        let starts = courses.iter().filter_map(first_instant);
        let start = starts.min().unwrap_or_else(Instant::now);
        let mut events = Vec::new();
        for (index, (subject, course)) in subjects.iter().zip(courses).enumerate() {
            let pid = index + 1;
            let title = profiles.get(index).map_or_else(String::new, Profile::title);
            events.push(name(pid, "process_name", &title));
            events.push(name(pid, "thread_name", "control loop"));
            let mut writer = Writer {
                start,
                pid,
                events: &mut events,
            };
            writer.course(subject, course);
        }
        let about = profiles.iter().map(|profile| {
            json!({"policy": profile.policy, "precision": profile.precision, "engine": profile.engine,
                   "kernels": profile.kernels, "machine": profile.machine, "wink": profile.wink})
        });
        Self {
            trace_events: events,
            display_time_unit: "ms",
            other_data: json!({"profiles": about.collect::<Vec<_>>()}),
        }
    }
}

fn first_instant(course: &Course) -> Option<Instant> {
    let text = course.text.as_ref().map(|(span, _)| span.start);
    text.or_else(|| course.ticks.first().map(start_of))
}

fn name(pid: usize, what: &str, name: &str) -> Event {
    Event {
        name: what.to_owned(),
        cat: "__metadata".to_owned(),
        ph: "M",
        ts: 0.0,
        dur: None,
        pid,
        tid: 1,
        args: json!({"name": name}),
    }
}

/// Where the tick began: counted back from the one time in it that is known.
fn start_of(tick: &Tick) -> Instant {
    let times = &tick.report.times;
    let (known, before) = match &tick.act {
        Some((span, ..)) => (span.start, times.capture + times.proprio + times.measure),
        None => (tick.end, times.work + times.wait),
    };
    known.checked_sub(before).unwrap_or(known)
}

struct Writer<'a> {
    start: Instant,
    pid: usize,
    events: &'a mut Vec<Event>,
}

impl Writer<'_> {
    fn course(&mut self, subject: &Subject, course: &Course) {
        let ops_of = |text: bool| -> Vec<OpInfo> {
            let graphs = subject.graphs.iter();
            let graphs = graphs.filter(|graph| graph.is_text() == text);
            graphs.flat_map(|graph| graph.ops.clone()).collect()
        };
        if let Some((span, ops)) = course.text.as_ref().filter(|_| subject.takes_text()) {
            self.push("text", RUNTIME, span.start, span.time, json!({}));
            self.ops(&ops_of(true), ops);
        }
        let ops = ops_of(false);
        for tick in &course.ticks {
            self.tick(tick, &ops);
        }
    }

    /// The parts of a tick lie one behind the other.
    fn tick(&mut self, tick: &Tick, ops: &[OpInfo]) {
        let report = &tick.report;
        let times = &report.times;
        let begun = start_of(tick);
        let args = json!({"index": report.index, "asks the policy": report.inferred});
        let at = self.events.len();
        self.push("tick", RUNTIME, begun, times.work, args);
        let mut now = begun;
        let mut part = |writer: &mut Self, name: &str, of: &str, time: Duration| {
            writer.push(name, of, now, time, json!({}));
            now += time;
            now
        };
        part(self, "link: read telemetry", RUNTIME, times.measure);
        part(self, "control: proprioception", RUNTIME, times.proprio);
        if report.captured {
            part(self, "rendering", SIMULATOR, times.capture);
        }
        if let Some((span, ..)) = &tick.act {
            // Not the tick's own figure for it, which begins a little before the span: what follows would end after the tick did,
            // by as long as the thread had to wait for a processor in between.
            part(self, "policy", RUNTIME, span.time);
            self.policy(tick, ops);
        }
        part(self, "control", RUNTIME, times.control - times.proprio);
        let end = part(
            self,
            "link: send setpoint",
            RUNTIME,
            times.link - times.measure,
        );
        self.events[at].dur = Some(microseconds(end - begun));
        self.push(
            "physics and firmware",
            SIMULATOR,
            end,
            times.wait,
            json!({}),
        );
    }

    fn policy(&mut self, tick: &Tick, infos: &[OpInfo]) {
        let Some((span, times, ops)) = &tick.act else {
            return;
        };
        let preprocess = Duration::from_micros(times.preprocess_us);
        self.push("preprocess", RUNTIME, span.start, preprocess, json!({}));
        // These two are told in whole microseconds.
        let start = span.start + preprocess;
        let mut end = start + Duration::from_micros(times.inference_us);
        if let Some(last) = ops.last() {
            end = end.max(last.start + last.time);
        }
        self.push("inference", RUNTIME, start, end - start, json!({}));
        self.ops(infos, ops);
    }

    fn ops(&mut self, infos: &[OpInfo], times: &[OpTime]) {
        let ran = |(info, op): &(&OpInfo, &OpTime)| !info.once || !op.time.is_zero();
        for (info, op) in infos.iter().zip(times).filter(ran) {
            let gops = 2.0 * info.macs as f64 / op.time.as_nanos().max(1) as f64;
            let args = json!({
                "op": info.op, "fused": info.fused, "kernel": info.kernel, "sizes": info.sizes, "output": info.output,
                "MFLOP": 2.0 * info.macs as f64 / 1e6, "GOP/s": gops,
                "bytes": info.input_bytes + info.weight_bytes + info.output_bytes,
            });
            self.push(&info.node, &info.op, op.start, op.time, args);
        }
    }

    fn push(&mut self, name: &str, cat: &str, start: Instant, time: Duration, args: Value) {
        self.events.push(Event {
            name: name.to_owned(),
            cat: cat.to_owned(),
            ph: "X",
            ts: microseconds(start.saturating_duration_since(self.start)),
            dur: Some(microseconds(time)),
            pid: self.pid,
            tid: 1,
            args,
        });
    }
}

fn microseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}
