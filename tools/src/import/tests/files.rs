//! `config.json`, the tokenizer's folder and the files that graphs need.

use std::fs;

use super::super::config::Family;
use super::super::tokenizer::Tokenizer;
use super::super::{external, graphs};
use super::*;

#[test]
fn every_field_of_a_loop_is_needed_or_known() {
    let field = |name: &str, value: Json| {
        let mut fields = diffusion();
        fields[name] = value;
        try_config(fields)
    };
    for name in [
        "horizon",
        "beta_schedule",
        "prediction_type",
        "clip_sample",
        "noise_scheduler_type",
    ] {
        let error = one_line(&field(name, json!(null)).unwrap_err());
        assert!(error.contains(name) && error.contains("missing"), "{error}");
    }
    let error = one_line(&field("beta_schedule", json!("cosine")).unwrap_err());
    assert!(error.contains("cosine"), "{error}");
    assert!(field("prediction_type", json!("v_prediction")).is_err());
    assert!(field("num_train_timesteps", json!(0)).is_err());
    let read = field("num_inference_steps", json!(null)).unwrap();
    let Family::Diffusion(read) = read.family else {
        panic!("{read:?}");
    };
    assert_eq!((read.steps, read.train_steps), (100, 100));
    let mut aloha = smolvla();
    aloha["adapt_to_pi_aloha"] = json!(true);
    let error = one_line(&try_config(aloha).unwrap_err());
    assert!(error.contains("adapt_to_pi_aloha"), "{error}");
}

#[test]
fn the_padding_token_is_read_where_transformers_reads_it() {
    let model = json!({"type": "BPE", "vocab": {"a": 0, "<pad>": 3}, "merges": []});
    let added = json!([{"id": 7, "content": "<eos>"}]);
    let unigram = json!({"type": "Unigram", "vocab": [["<unk>", 0.0], ["<pad>", -1.0]]});
    let file = |padding: Json, model: &Json| json!({"added_tokens": added, "padding": padding, "model": model});
    for (file, settings, given, wanted) in [
        (
            file(json!(null), &model),
            json!({"pad_token": "<pad>"}),
            None,
            Ok(3),
        ),
        (
            file(json!(null), &model),
            json!({"pad_token": {"content": "<eos>"}}),
            None,
            Ok(7),
        ),
        (
            file(json!({"pad_id": 5}), &model),
            json!({"pad_token": "<eos>"}),
            None,
            Ok(7),
        ),
        (file(json!({"pad_id": 5}), &model), json!({}), None, Ok(5)),
        (
            file(json!(null), &unigram),
            json!({"pad_token": "<pad>"}),
            None,
            Ok(1),
        ),
        (
            file(json!(null), &model),
            json!({"pad_token": null}),
            None,
            Err("--pad-id"),
        ),
        (
            file(json!(null), &model),
            json!({"pad_token": "<none>"}),
            None,
            Err("<none>"),
        ),
        (file(json!(null), &model), json!({}), Some(9), Ok(9)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("tokenizer.json"), file.to_string()).unwrap();
        fs::write(
            dir.path().join("tokenizer_config.json"),
            settings.to_string(),
        )
        .unwrap();
        let read = Tokenizer::read(dir.path(), given).map(|tokenizer| tokenizer.pad_id);
        match (read.map_err(|error| one_line(&error)), wanted) {
            (Ok(id), Ok(wanted)) => assert_eq!(id, wanted, "{settings}"),
            (Err(error), Err(word)) => assert!(error.contains(word), "{error}"),
            (read, _) => panic!("{settings}: {read:?}"),
        }
    }
}

#[test]
fn weights_beside_a_graph_come_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let described = |folder: &str, name: &str, locations: &[&str]| {
        let file = dir.path().join(folder).join(format!("{name}.onnx"));
        fs::create_dir_all(dir.path().join(folder)).unwrap();
        fs::write(&file, external::naming(locations)).unwrap();
        StageGraph {
            file,
            ..graph(name, &[], &[])
        }
    };
    let names = |graphs: &[StageGraph]| -> Result<Vec<String>, String> {
        let files = graphs::files(graphs).map_err(|error| one_line(&error))?;
        Ok(files.into_keys().collect())
    };
    let one = described("a", "one", &["one.onnx.data", "one.onnx.data"]);
    let error = names(std::slice::from_ref(&one)).unwrap_err();
    assert!(error.contains("one.onnx.data are missing"), "{error}");
    fs::write(dir.path().join("a/one.onnx.data"), "weights").unwrap();
    let files = ["one.onnx", "one.onnx.data"];
    assert_eq!(names(&[one.clone(), one.clone()]).unwrap(), files);
    for outside in ["../one.onnx.data", "/etc/passwd", "a\\b", ""] {
        let error = names(&[described("a", "out", &[outside])]).unwrap_err();
        assert!(error.contains("plain name"), "{outside}: {error}");
    }
    let error = names(&[one, described("b", "one", &[])]).unwrap_err();
    assert!(error.contains("one name"), "{error}");
    let taken = described("a", "two", &["policy.json"]);
    fs::write(dir.path().join("a/policy.json"), "{}").unwrap();
    assert!(names(&[taken]).unwrap_err().contains("of its own"));
}
