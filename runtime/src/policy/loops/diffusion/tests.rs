//! Steps against diffusers (`reference.py`).

use serde::Deserialize;

use super::super::noise::Stream;
use super::Schedule;
use crate::policy::manifest::DiffusionSpec;

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    spec: DiffusionSpec,
    times: Vec<i64>,
    samples: Vec<Vec<f32>>,
}

#[test]
fn steps_are_those_of_diffusers() {
    let reference: Reference = serde_json::from_str(include_str!("reference.json")).unwrap();
    assert!(reference.cases.len() >= 54);
    for case in reference.cases {
        let schedule = Schedule::new(&case.spec);
        let times: Vec<i64> = (0..schedule.len())
            .map(|step| schedule.time(step))
            .collect();
        assert_eq!(times, case.times, "{}", case.name);
        let mut stream = Stream::new(3, -1.7, 1.7);
        let mut sample = [0.0; 4];
        stream.floats(&mut sample);
        for (step, expected) in case.samples.iter().enumerate() {
            let output = sample.map(|x| 0.3 * x + 0.001 * schedule.time(step) as f32 + 0.05);
            let mut noise = [0.0; 4];
            let count = if schedule.takes_noise(step) { 4 } else { 0 };
            stream.floats(&mut noise[..count]);
            schedule.step(step, &mut sample, &output, &noise[..count]);
            for (value, expected) in sample.iter().zip(expected) {
                let off = (value - expected).abs();
                assert!(
                    off < 2e-5 * expected.abs().max(1.0),
                    "{} step {step}: {value} instead of {expected}",
                    case.name
                );
            }
        }
    }
}
