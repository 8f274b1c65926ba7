//! What the ONNX standard allows each operator: element types, numbers of inputs and outputs, attributes.
//!
//! The table is data, written by `tests/onnx/signatures.py` from the standard's own schemas.

use std::collections::HashMap;
use std::sync::OnceLock;

use tract_onnx::pb::tensor_proto::DataType;

const DATA: &str = include_str!("signatures.txt");

/// Element types of ONNX as the table names them; the last one is whatever cannot be computed with.
const KINDS: [(&str, DataType); 20] = [
    ("bool", DataType::Bool),
    ("i4", DataType::Int4),
    ("u4", DataType::Uint4),
    ("i8", DataType::Int8),
    ("u8", DataType::Uint8),
    ("i16", DataType::Int16),
    ("u16", DataType::Uint16),
    ("i32", DataType::Int32),
    ("u32", DataType::Uint32),
    ("i64", DataType::Int64),
    ("u64", DataType::Uint64),
    ("f8e4m3fn", DataType::Float8e4m3fn),
    ("f8e4m3fnuz", DataType::Float8e4m3fnuz),
    ("f8e5m2", DataType::Float8e5m2),
    ("f8e5m2fnuz", DataType::Float8e5m2fnuz),
    ("f16", DataType::Float16),
    ("bf16", DataType::Bfloat16),
    ("f32", DataType::Float),
    ("f64", DataType::Double),
    ("other", DataType::Undefined),
];

/// A set of element types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kinds(u32);

impl Kinds {
    /// The set of one type, by its number in ONNX.
    pub(super) fn of_onnx(number: i32) -> Self {
        let found = KINDS.iter().position(|(_, onnx)| *onnx as i32 == number);
        Self(1 << found.unwrap_or(KINDS.len() - 1))
    }

    /// Whether every type here is one of `allowed`.
    pub(super) fn within(self, allowed: Self) -> bool {
        self.0 & !allowed.0 == 0
    }

    /// Whether there is one type only.
    pub(super) fn is_single(self) -> bool {
        self.0.count_ones() == 1
    }

    fn named(names: &str) -> Self {
        let bit = |name| KINDS.iter().position(|(own, _)| *own == name);
        Self(
            names
                .split(' ')
                .filter_map(bit)
                .fold(0, |all, at| all | 1 << at),
        )
    }
}

impl std::fmt::Display for Kinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = KINDS
            .iter()
            .enumerate()
            .filter(|(at, _)| self.0 >> at & 1 == 1)
            .map(|(_, (name, _))| *name)
            .collect();
        f.write_str(&names.join(" or "))
    }
}

/// How often an input or output comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Often {
    /// Once.
    Once,
    /// Once or not.
    Optional,
    /// To the end of the list, all of one type.
    Alike,
    /// To the end of the list, each of a type of its own.
    Mixed,
}

/// An input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The name of its type; places of one name have one type.
    pub(super) name: &'static str,
    /// What the type may be.
    pub(super) kinds: Kinds,
    pub(super) often: Often,
}

/// The kind of value that an attribute has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: &'static str,
    /// As in `ints`.
    pub(super) kind: &'static str,
    pub(super) required: bool,
}

/// A version of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) since: i64,
    pub(super) inputs: Vec<Place>,
    pub(super) outputs: Vec<Place>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) least_inputs: usize,
    pub(super) least_outputs: usize,
    /// Whether the operator is no longer one from this version on.
    pub(super) deprecated: bool,
}

impl Signature {
    /// The input or output at `index` of a list of places.
    pub(super) fn place(places: &[Place], index: usize) -> Option<Place> {
        let many = |place: &&Place| matches!(place.often, Often::Alike | Often::Mixed);
        let given = places.get(index).or(places.last().filter(many));
        given.copied()
    }

    /// The largest number of inputs or outputs; `None` where there is none.
    pub(super) fn most(places: &[Place]) -> Option<usize> {
        let last = places.last().map(|place| place.often);
        match last {
            Some(Often::Alike | Often::Mixed) => None,
            _ => Some(places.len()),
        }
    }
}

/// What is known of an operator in a version of its set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// The table has no operator of the name.
    Unknown,
    /// Its first version is newer than the set.
    Later(i64),
    /// The newest version that is not newer than the set.
    Version(Signature),
}

struct Table {
    sets: Vec<Kinds>,
    rows: HashMap<&'static str, Vec<(i64, &'static str)>>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let (mut sets, mut rows) = (vec![], HashMap::<_, Vec<_>>::new());
        for line in DATA.lines().filter(|line| !line.starts_with('#')) {
            if let Some((_, kinds)) = line.split_once(": ") {
                sets.push(Kinds::named(kinds));
            } else if let Some((name, rest)) = line.split_once(' ')
                && let Some((since, rest)) = rest.split_once(" | ")
            {
                let since = since.parse().unwrap_or(i64::MAX);
                rows.entry(name).or_default().push((since, rest));
            }
        }
        Table { sets, rows }
    })
}

/// What an operator of the standard's domain, or of `com.microsoft`, takes in a version of the standard set.
pub(super) fn find(domain: &str, op: &str, set: i64) -> Found {
    let table = table();
    let (versions, set) = match domain {
        "" | "ai.onnx" => (table.rows.get(op), set),
        domain => (table.rows.get(&*format!("{domain}.{op}")), 1),
    };
    let Some(versions) = versions else {
        return Found::Unknown;
    };
    let newest = versions.iter().rfind(|(since, _)| *since <= set);
    match newest {
        Some((since, row)) => Found::Version(parse(*since, row, &table.sets)),
        None => Found::Later(versions[0].0),
    }
}

/// A row after its version: inputs, outputs, sets of types, attributes, and the least numbers.
fn parse(since: i64, row: &'static str, sets: &[Kinds]) -> Signature {
    let mut parts = row.split(" | ").map(str::trim);
    let mut words = || {
        parts
            .next()
            .unwrap_or("")
            .split(' ')
            .filter(|word| !word.is_empty())
    };
    let (inputs, outputs, types) = (words(), words(), words());
    let set = |number: &str| {
        let number = number.parse().unwrap_or(usize::MAX);
        sets.get(number).copied().unwrap_or(Kinds(u32::MAX))
    };
    let types: HashMap<&str, Kinds> = types
        .filter_map(|word| word.split_once('='))
        .map(|(name, number)| (name, set(number)))
        .collect();
    let place = |word: &'static str| {
        let (name, often) = match word.as_bytes().last() {
            Some(b'?') => (&word[..word.len() - 1], Often::Optional),
            Some(b'*') => (&word[..word.len() - 1], Often::Alike),
            Some(b'~') => (&word[..word.len() - 1], Often::Mixed),
            _ => (word, Often::Once),
        };
        let kinds = match name.strip_prefix('=') {
            Some(number) => set(number),
            None => types.get(name).copied().unwrap_or(Kinds(u32::MAX)),
        };
        Place { name, kinds, often }
    };
    let attribute = |word: &'static str| {
        let (name, kind) = word.split_once(':').unwrap_or((word, "other"));
        Attribute {
            name,
            kind: kind.trim_end_matches('!'),
            required: kind.ends_with('!'),
        }
    };
    let (inputs, outputs) = (inputs.map(place).collect(), outputs.map(place).collect());
    let attributes = words().map(attribute).collect();
    let mut last = words();
    let mut number = || last.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let (least_inputs, least_outputs) = (number(), number());
    Signature {
        since,
        inputs,
        outputs,
        attributes,
        least_inputs,
        least_outputs,
        deprecated: last.next() == Some("deprecated"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(op: &str, set: i64) -> Signature {
        match find("", op, set) {
            Found::Version(signature) => signature,
            found => panic!("{op} {set}: {found:?}"),
        }
    }

    #[test]
    fn versions_of_an_operator() {
        let f32 = Kinds::of_onnx(DataType::Float as i32);
        let i8 = Kinds::of_onnx(DataType::Int8 as i32);
        let add = version("Add", 13);
        assert!(f32.within(add.inputs[1].kinds) && !i8.within(add.inputs[1].kinds));
        assert_eq!((add.since, add.least_inputs, add.least_outputs), (13, 2, 1));
        assert!(i8.within(version("Add", 14).inputs[0].kinds));
        assert_eq!(find("", "Gelu", 19), Found::Later(20));
        assert_eq!(find("", "Frobnicate", 19), Found::Unknown);
        assert_eq!(find("com.microsoft", "Add", 19), Found::Unknown);
        assert!(version("Upsample", 13).deprecated && !version("Upsample", 9).deprecated);
        let concat = version("Concat", 17);
        assert_eq!(Signature::most(&concat.inputs), None);
        assert!(Signature::place(&concat.inputs, 7).is_some());
        assert!(concat.attributes[0].required && concat.attributes[0].kind == "int");
        assert_eq!(Signature::most(&add.inputs), Some(2));
    }

    #[test]
    fn every_row_can_be_read() {
        for (name, versions) in &table().rows {
            for &(since, row) in versions {
                let signature = parse(since, row, &table().sets);
                assert!(
                    since < 100 && !signature.outputs.is_empty(),
                    "{name} {since}"
                );
                let whole = |place: &Place| place.kinds.0 != u32::MAX && place.kinds.0 != 0;
                assert!(signature.inputs.iter().all(whole), "{name} {since}");
                assert!(signature.outputs.iter().all(whole), "{name} {since}");
            }
        }
    }
}
