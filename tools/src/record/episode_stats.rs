//! The statistics of each episode as columns of the index, which `LeRobot` aggregates when it edits a dataset.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Field;
use serde_json::{Map, Value};

/// The statistic that is a count, not a measure.
const COUNT: &str = "count";

/// A column `stats/FEATURE/STATISTIC` for each feature and statistic of episodes that have the same ones.
pub fn columns(episodes: &[&Map<String, Value>]) -> Vec<(String, ArrayRef)> {
    let Some(first) = episodes.first() else {
        return Vec::new();
    };
    let mut columns = Vec::new();
    for (feature, stats) in first.iter() {
        for statistic in stats.as_object().into_iter().flat_map(Map::keys) {
            let values = episodes.iter().map(|episode| &episode[feature][statistic]);
            let column = lists(values.collect(), statistic == COUNT);
            columns.push((format!("stats/{feature}/{statistic}"), column));
        }
    }
    columns
}

/// Nested lists of numbers.
fn lists(values: Vec<&Value>, whole: bool) -> ArrayRef {
    let items = |value: &&Value| value.as_array().map_or(0, Vec::len);
    let offsets = OffsetBuffer::from_lengths(values.iter().map(items));
    let inner: Vec<&Value> = values
        .iter()
        .flat_map(|value| value.as_array().into_iter().flatten())
        .collect();
    let inner: ArrayRef = match inner.first() {
        Some(Value::Array(_)) => lists(inner, whole),
        _ if whole => Arc::new(
            inner
                .iter()
                .map(|value| value.as_i64())
                .collect::<Int64Array>(),
        ),
        _ => Arc::new(
            inner
                .iter()
                .map(|value| value.as_f64())
                .collect::<Float64Array>(),
        ),
    };
    let field = Field::new("element", inner.data_type().clone(), true);
    Arc::new(ListArray::new(Arc::new(field), offsets, inner, None))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Float64Type, Int64Type};
    use serde_json::json;

    use super::*;

    #[test]
    fn statistics_become_lists_as_deep_as_they_are() {
        let episode = |mean: f64, count: i64| {
            let stats = json!({
                "action": {"mean": [mean, 2.0 * mean], "count": [count]},
                "image": {"mean": [[[mean]], [[0.5]], [[1.0]]]},
            });
            stats.as_object().unwrap().clone()
        };
        let episodes = [episode(0.25, 3), episode(4.0, 5)];
        let columns = columns(&episodes.iter().collect::<Vec<_>>());
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "stats/action/count",
                "stats/action/mean",
                "stats/image/mean"
            ]
        );
        let counts = columns[0].1.as_list::<i32>().value(1);
        assert_eq!(counts.as_primitive::<Int64Type>().values()[..], [5]);
        let means = columns[1].1.as_list::<i32>().value(1);
        assert_eq!(means.as_primitive::<Float64Type>().values()[..], [4.0, 8.0]);
        let channels = columns[2].1.as_list::<i32>().value(0);
        assert_eq!(channels.len(), 3);
        let rows = channels.as_list::<i32>();
        let deepest: Vec<f64> = (0..3)
            .flat_map(|row| {
                let row = rows.value(row);
                let values = row.as_list::<i32>().value(0);
                values.as_primitive::<Float64Type>().values().to_vec()
            })
            .collect();
        assert_eq!(deepest, [0.25, 0.5, 1.0]);
    }
}
