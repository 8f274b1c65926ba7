//! NumPy's `.npz` files: named tensors of any element type.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use half::f16;
use npyz::npz::{NpzArchive, NpzWriter};
use npyz::{AutoSerialize, DType, Deserialize, NpyFile, Order, Serialize, TypeChar, WriterBuilder};
use wink_engine::{OnnxElement as Element, TensorInfo, Value};

use crate::bad_input::bad_input;

/// A tensor with its name.
pub type Named = (String, Value<'static>);

/// All tensors of a file, in its order.
pub fn read(path: &Path) -> Result<Vec<Named>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let archive = NpzArchive::new(BufReader::new(file));
    let mut archive =
        archive.with_context(|| format!("{}: is not an .npz file", path.display()))?;
    let names: Vec<String> = archive.array_names().map(str::to_owned).collect();
    let mut tensors = vec![];
    for name in names {
        let place = || format!("{}: \"{}\"", path.display(), name.escape_debug());
        let array = archive
            .by_name(&name)
            .with_context(place)?
            .with_context(place)?;
        tensors.push((name.clone(), value(array).with_context(place)?));
    }
    Ok(tensors)
}

fn value<R: Read>(array: NpyFile<R>) -> Result<Value<'static>> {
    let DType::Plain(kind) = array.dtype() else {
        bail!("an array of records");
    };
    let element = match (kind.type_char(), kind.size_field()) {
        (TypeChar::Bool, 1) => Element::Bool,
        (TypeChar::Int, 1) => Element::I8,
        (TypeChar::Int, 2) => Element::I16,
        (TypeChar::Int, 4) => Element::I32,
        (TypeChar::Int, 8) => Element::I64,
        (TypeChar::Uint, 1) => Element::U8,
        (TypeChar::Uint, 2) => Element::U16,
        (TypeChar::Uint, 4) => Element::U32,
        (TypeChar::Uint, 8) => Element::U64,
        (TypeChar::Float, 2) => Element::F16,
        (TypeChar::Float, 4) => Element::F32,
        (TypeChar::Float, 8) => Element::F64,
        _ => bail!("elements of type {kind}, which no graph takes"),
    };
    let lengths = array.shape().iter().map(|&length| usize::try_from(length));
    let shape: Vec<usize> = lengths.collect::<Result<_, _>>()?;
    let fortran = array.order() == Order::Fortran;
    let bytes = match element {
        Element::Bool => array
            .into_vec::<bool>()?
            .into_iter()
            .map(u8::from)
            .collect(),
        Element::I8 => numbers::<i8, _, 1>(array, i8::to_ne_bytes)?,
        Element::I16 => numbers(array, i16::to_ne_bytes)?,
        Element::I32 => numbers(array, i32::to_ne_bytes)?,
        Element::I64 => numbers(array, i64::to_ne_bytes)?,
        Element::U8 => array.into_vec::<u8>()?,
        Element::U16 => numbers(array, u16::to_ne_bytes)?,
        Element::U32 => numbers(array, u32::to_ne_bytes)?,
        Element::U64 => numbers(array, u64::to_ne_bytes)?,
        Element::F16 => numbers(array, f16::to_ne_bytes)?,
        Element::F32 => numbers(array, f32::to_ne_bytes)?,
        _ => numbers(array, f64::to_ne_bytes)?,
    };
    let bytes = if fortran {
        row_major(&bytes, &shape, element.size())
    } else {
        bytes
    };
    Ok(Value {
        element,
        shape,
        bytes: bytes.into(),
    })
}

fn numbers<T: Deserialize, R: Read, const N: usize>(
    array: NpyFile<R>,
    bytes: fn(T) -> [u8; N],
) -> Result<Vec<u8>> {
    Ok(array.into_vec::<T>()?.into_iter().flat_map(bytes).collect())
}

/// Elements whose first axis is the fastest, in the order in which the last one is.
fn row_major(bytes: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let mut all = Vec::with_capacity(bytes.len());
    let mut at = vec![0_usize; shape.len()];
    for _ in 0..bytes.len() / size.max(1) {
        let mut step = 1;
        let mut offset = 0;
        for (index, length) in at.iter().zip(shape) {
            offset += index * step;
            step *= length;
        }
        all.extend_from_slice(&bytes[offset * size..][..size]);
        for axis in (0..shape.len()).rev() {
            at[axis] += 1;
            if at[axis] < shape[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
    all
}

/// Refuses a file of tensors that lacks one of the inputs of a graph, or has another.
pub fn check_names(
    path: &Path,
    given: &[Named],
    graph: &Path,
    wanted: &[TensorInfo],
) -> Result<()> {
    let (path, graph) = (path.display(), graph.display());
    let named = |name: &str| given.iter().any(|(given, _)| given == name);
    if let Some(input) = wanted.iter().find(|input| !named(&input.name)) {
        return Err(bad_input(format!(
            "{graph}: input \"{}\" is not in {path}",
            input.name.escape_debug()
        )));
    }
    let extra = given
        .iter()
        .find(|(given, _)| !wanted.iter().any(|input| input.name == *given));
    match extra {
        Some((name, _)) => Err(bad_input(format!(
            "{path}: \"{}\" is no input of {graph}",
            name.escape_debug()
        ))),
        None => Ok(()),
    }
}

/// Writes tensors as `numpy.savez` does.
pub fn write(out: impl Write + Seek, tensors: &[Named]) -> Result<()> {
    let mut archive = NpzWriter::new(BufWriter::new(out));
    for (name, value) in tensors {
        let mut to = Archive {
            archive: &mut archive,
            name,
            shape: value.shape.iter().map(|&length| length as u64).collect(),
        };
        let bytes = &*value.bytes;
        match value.element {
            Element::Bool => to.add(bytes.iter().map(|&v| v != 0))?,
            Element::I8 => to.add(each(bytes, i8::from_ne_bytes))?,
            Element::I16 => to.add(each(bytes, i16::from_ne_bytes))?,
            Element::I32 => to.add(each(bytes, i32::from_ne_bytes))?,
            Element::I64 => to.add(each(bytes, i64::from_ne_bytes))?,
            Element::U8 => to.add(bytes.iter().copied())?,
            Element::U16 => to.add(each(bytes, u16::from_ne_bytes))?,
            Element::U32 => to.add(each(bytes, u32::from_ne_bytes))?,
            Element::U64 => to.add(each(bytes, u64::from_ne_bytes))?,
            Element::F16 => to.add(each(bytes, f16::from_ne_bytes))?,
            Element::F32 => to.add(each(bytes, f32::from_ne_bytes))?,
            Element::F64 => to.add(each(bytes, f64::from_ne_bytes))?,
            other => return Err(anyhow!("\"{name}\": NumPy has no {other}")),
        }
    }
    Ok(())
}

struct Archive<'a, W: Write + Seek> {
    archive: &'a mut NpzWriter<W>,
    name: &'a str,
    shape: Vec<u64>,
}

impl<W: Write + Seek> Archive<'_, W> {
    fn add<T: AutoSerialize + Serialize>(&mut self, values: impl Iterator<Item = T>) -> Result<()> {
        let array = self
            .archive
            .array(self.name, npyz::zip::write::FileOptions::default())?;
        let mut writer = array.default_dtype().shape(&self.shape).begin_nd()?;
        writer.extend(values)?;
        writer.finish()?;
        Ok(())
    }
}

fn each<const N: usize, T>(bytes: &[u8], read: fn([u8; N]) -> T) -> impl Iterator<Item = T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(move |&chunk| read(chunk))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn every_type_goes_there_and_back() {
        let elements = [
            Element::Bool,
            Element::I8,
            Element::I16,
            Element::I32,
            Element::I64,
            Element::U8,
            Element::U16,
            Element::U32,
            Element::U64,
            Element::F16,
            Element::F32,
            Element::F64,
        ];
        let tensors: Vec<Named> = elements
            .iter()
            .flat_map(|&element| {
                [vec![], vec![2, 3], vec![0, 4]].map(|shape: Vec<usize>| {
                    let count: usize = shape.iter().product();
                    let values = (0..count).map(|v| (v as i128) % 2);
                    (
                        format!("{element}{shape:?}"),
                        Value::of_ints(element, &shape, values),
                    )
                })
            })
            .collect();
        let mut bytes = Cursor::new(vec![]);
        write(&mut bytes, &tensors).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("all.npz");
        std::fs::write(&file, bytes.into_inner()).unwrap();
        let mut found = read(&file).unwrap();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let mut wanted = tensors;
        wanted.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found, wanted);
    }

    #[test]
    fn fortran_order() {
        let columns_first = [0_u8, 3, 1, 4, 2, 5];
        assert_eq!(row_major(&columns_first, &[2, 3], 1), [0, 1, 2, 3, 4, 5]);
    }
}
