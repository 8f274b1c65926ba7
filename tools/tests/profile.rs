//! `wink profile` on the command line: its figures fit together, its trace is nested, and bad input is told in one line.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use serde_json::Value;

use common::{names, text, wink, wink_ok};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/wink-s");
const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tiny");

#[test]
fn figures_fit_together_and_the_trace_is_nested() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "profile",
        "--policy",
        SHIPPED,
        "--runs",
        "2",
        "--warmup",
        "1",
        "--trace",
        "trace.json",
        "--real-time",
        "1",
        "--json",
    ];
    let profile: Value = serde_json::from_str(&wink_ok(dir.path(), &args)).unwrap();
    assert_eq!(profile["precision"], "int8");
    assert_eq!(profile["engine"], "wink");
    for graph in ["text", "act"] {
        for part in ["read", "parse", "rewrite", "optimise"] {
            assert!(number(&profile["load_ms"]["graphs"][graph][part]) > 0.0);
        }
    }
    assert!(number(&profile["load_ms"]["first_inference"]) > 0.0);
    #[cfg(target_os = "linux")]
    {
        let memory = &profile["memory"];
        let [policy, peak_load, peak] = ["policy_bytes", "peak_load_bytes", "peak_bytes"]
            .map(|name| memory[name].as_u64().unwrap());
        assert!(0 < policy && policy <= peak_load && peak_load <= peak);
    }
    let stages = profile["stages"].as_array().unwrap();
    let asked = stages
        .iter()
        .find(|stage| stage["stage"] == "inference")
        .unwrap();
    assert_eq!(asked["us"]["n"], 2);
    for stage in stages {
        assert_ordered(&stage["us"]);
    }
    let real_time = &profile["real_time"];
    assert_eq!(
        (&real_time["hz"], &real_time["ticks"]),
        (&20.0.into(), &20.into())
    );
    for what in ["jitter_us", "work_us"] {
        assert_ordered(&real_time[what]);
        assert_eq!(real_time[what]["n"], 20);
    }
    // The first chunk is there at the second tick at the earliest.
    assert!(real_time["late"]["policy"].as_u64().unwrap() >= 1);
    let graphs = profile["graphs"].as_array().unwrap();
    assert_eq!(graphs.len(), 2);
    for graph in graphs {
        check_graph(graph);
    }

    let trace: Value =
        serde_json::from_slice(&fs::read(dir.path().join("trace.json")).unwrap()).unwrap();
    let ops = graphs[1]["ops"].as_array().unwrap();
    let once = ops.iter().filter(|op| op["once"] == true).count();
    assert!(once > 0 && once < ops.len());
    // Of the episode's two inferences, the second takes the nodes that depend only on the text from the cache.
    check_trace(&trace, 2 * ops.len() - once);
}

fn check_graph(graph: &Value) {
    let ops = graph["ops"].as_array().unwrap();
    let sum = |rows: &[Value], field: &str| rows.iter().map(|row| number(&row[field])).sum::<f64>();
    assert!((sum(ops, "share") - 1.0).abs() < 1e-9);
    let kinds = graph["kinds"].as_array().unwrap();
    assert!((sum(kinds, "share") - 1.0).abs() < 1e-9);
    assert_eq!(sum(kinds, "count"), ops.len() as f64);
    assert_eq!(sum(kinds, "macs"), sum(ops, "macs"));
    // The same products in both: the package's graph and what runs of it.
    let macs = number(&graph["macs"]);
    assert!((sum(ops, "macs") - macs).abs() < 0.01 * macs);
    for op in ops {
        assert_ordered(&op["us"]);
        assert_eq!(op["us"]["n"], 2);
        let fused = op["op"].as_str().unwrap().starts_with("Fused");
        assert_eq!(op["fused"], fused);
        assert!(!fused || !op["kernel"].as_str().unwrap().is_empty());
        assert!(number(&op["output_bytes"]) > 0.0);
    }
    let linear = ops.iter().find(|op| op["op"] == "FusedLinear").unwrap();
    assert!(number(&linear["weight_bytes"]) > 0.0 && number(&linear["gops"]) > 0.0);
    assert!(number(&graph["ops_us"]["p50"]) <= number(&graph["timed_us"]["p50"]) + 1.0);
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn assert_ordered(us: &Value) {
    let figures = ["min", "p50", "p90", "p99", "max"].map(|name| number(&us[name]));
    assert!(figures.is_sorted() && figures[0] >= 0.0, "{us}");
}

/// Chrome's trace format: complete events, of which one either lies in another or has nothing in common with it.
fn check_trace(trace: &Value, ops_run: usize) {
    let events = trace["traceEvents"].as_array().unwrap();
    let complete: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
    assert!(
        events
            .iter()
            .all(|event| event["ph"] == "X" || event["ph"] == "M")
    );
    let mut spans: Vec<(f64, f64, &str)> = complete
        .iter()
        .map(|event| {
            assert_eq!((&event["pid"], &event["tid"]), (&1.into(), &1.into()));
            assert!(event["args"].is_object() && event["cat"].is_string());
            let (start, time) = (number(&event["ts"]), number(&event["dur"]));
            assert!(start >= 0.0 && time >= 0.0);
            (start, start + time, event["name"].as_str().unwrap())
        })
        .collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut open: Vec<(f64, &str)> = Vec::new();
    let mut deepest = Vec::new();
    for &(start, end, name) in &spans {
        // Spans are whole nanoseconds of one clock; sums of such in microseconds miss them by far less than half of one.
        open.retain(|&(until, _)| until > start + 0.0005);
        if let Some(&(until, outer)) = open.last() {
            let late = end - until;
            assert!(late <= 0.0005, "{name} ends {late} us after {outer}");
        }
        open.push((end, name));
        if open.len() > deepest.len() {
            deepest = open.iter().map(|&(_, name)| name).collect();
        }
    }
    assert_eq!(deepest[..3], ["tick", "policy", "inference"]);
    assert_eq!(deepest.len(), 4);
    let within = |outer: &str| {
        let outer: Vec<_> = spans.iter().filter(|span| span.2 == outer).collect();
        let inner = spans.iter().filter(|span| {
            let around = outer
                .iter()
                .find(|o| o.0 <= span.0 && span.1 <= o.1 + 0.0005);
            around.is_some_and(|o| o.2 != span.2)
        });
        (outer.len(), inner.count())
    };
    assert_eq!(within("inference"), (2, ops_run));
    assert_eq!(within("tick").0, 16);
}

#[test]
fn packages_and_earlier_profiles_stand_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let profile = "profile --runs 1 --warmup 1 --real-time 0 --threads 2 --pin --policy";
    let profile: Vec<&str> = profile.split(' ').chain([TINY]).collect();
    let saved = wink_ok(dir.path(), &[&profile[..], &["--json"]].concat());
    fs::write(dir.path().join("before.json"), &saved).unwrap();
    for other in ["before.json", ":plain"] {
        let args = [&profile[..], &["--compare", other]].concat();
        let table = wink_ok(dir.path(), &args);
        for word in ["A: ", "B: ", "B/A", "inference", "first inference, ms"] {
            assert!(table.contains(word), "{other}: {word} is not in\n{table}");
        }
        let both: Value =
            serde_json::from_str(&wink_ok(dir.path(), &[&args[..], &["--json"]].concat())).unwrap();
        assert_eq!(both["profile"]["engine"], "wink");
        assert_eq!(both["profile"]["threads"], 2);
        let engine = if other == ":plain" { "tract" } else { "wink" };
        assert_eq!(both["compare"]["engine"], engine);
    }
}

#[test]
fn bad_input_is_told_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("broken.json"), "{}").unwrap();
    let table: &[(&[&str], &str)] = &[
        (&["--threads", "0"], "--threads"),
        (&["--runs", "0"], "--runs"),
        (&["--real-time", "86401"], "--real-time"),
        (&["--warmup", "0"], "--warmup"),
        (&["--precision", "int3"], "int3"),
        (&["--compare", "nowhere.json"], "--compare nowhere.json"),
        (&["--compare", "broken.json"], "--compare broken.json"),
        (&["--compare", "nowhere:int8"], "--compare nowhere"),
        (&["--compare", ":int3"], "int3"),
        (&["--trace", "."], "--trace ."),
        (&["--trace", "no/such/folder"], "--trace no/such/folder"),
        (&["--policy", "nowhere"], "--policy nowhere"),
    ];
    for (args, told) in table {
        let mut all = vec!["profile", "--real-time", "0", "--runs", "1"];
        if !args.contains(&"--policy") {
            all.extend(["--policy", TINY]);
        }
        all.retain(|arg| !(args.contains(&"--runs") && ["--runs", "1"].contains(arg)));
        all.retain(|arg| !(args.contains(&"--real-time") && ["--real-time", "0"].contains(arg)));
        all.extend(*args);
        let output = wink(dir.path(), &all);
        let words = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {words}");
        assert_eq!(words.trim_end().lines().count(), 1, "{args:?}: {words}");
        assert!(words.contains(told), "{args:?}: {words}");
        assert!(output.stdout.is_empty());
    }
    assert_eq!(names(dir.path()), ["broken.json"]);
}
