//! ONNX's own way to write repeated numbers.
//!
//! The schema is one of proto2, in which the numbers of attributes and the axes of tensors are written one by one. The structs here
//! write them packed, which most readers take, too, but not all (rten does not).

/// A message of the schema, as far as numbers lie in it.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Function,
    Graph,
    Node,
    Attribute,
    Tensor,
}

/// What a field of a message holds.
enum Holds {
    Message(Message),
    /// Numbers of 7 bits a byte.
    Varints,
    /// Floats.
    Words,
    /// Anything that stays as it is.
    Other,
}

impl Message {
    fn field(self, number: u64) -> Holds {
        match (self, number) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Holds::Message(Self::Graph),
            (Self::Model, 25) => Holds::Message(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Holds::Message(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) => Holds::Message(Self::Tensor),
            (Self::Node, 5) => Holds::Message(Self::Attribute),
            (Self::Attribute, 7) => Holds::Words,
            (Self::Attribute, 8) | (Self::Tensor, 1) => Holds::Varints,
            _ => Holds::Other,
        }
    }
}

/// The same model with the numbers of attributes and the axes of tensors one by one.
#[must_use]
pub(crate) fn unpacked(model: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(length(Message::Model, model));
    write(Message::Model, model, &mut out);
    out
}

/// A field of a message.
struct Field<'a> {
    number: u64,
    /// Tag, length and content.
    whole: &'a [u8],
    /// The content, where it has a length.
    content: Option<&'a [u8]>,
}

const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const DELIMITED: u64 = 2;
const FOUR_BYTES: u64 = 5;

/// The next field of a message; `None` at its end, or where the bytes are no message.
fn next<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let all = *rest;
    let mut at = all;
    let tag = varint(&mut at)?;
    let content = match tag & 7 {
        VARINT => {
            varint(&mut at)?;
            None
        }
        DELIMITED => {
            let length = usize::try_from(varint(&mut at)?).ok()?;
            let (content, after) = at.split_at_checked(length)?;
            at = after;
            Some(content)
        }
        wire @ (EIGHT_BYTES | FOUR_BYTES) => {
            at = at.get(if wire == EIGHT_BYTES { 8 } else { 4 }..)?;
            None
        }
        _ => return None,
    };
    *rest = at;
    Some(Field {
        number: tag >> 3,
        whole: &all[..all.len() - at.len()],
        content,
    })
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Some(value);
        }
    }
    None
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 128 {
        out.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_length(value: u64) -> usize {
    let bits = (64 - value.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

/// Bytes that [`write()`] makes of a message.
fn length(message: Message, bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut total = 0;
    while let Some(field) = next(&mut rest) {
        let tag = |wire| varint_length(field.number << 3 | wire);
        total += match (message.field(field.number), field.content) {
            (Holds::Message(inner), Some(content)) => {
                let inner = length(inner, content);
                tag(DELIMITED) + varint_length(inner as u64) + inner
            }
            (Holds::Varints, Some(content)) => {
                // The last byte of each number has no mark.
                let count = content.iter().filter(|byte| **byte < 128).count();
                content.len() + count * tag(VARINT)
            }
            (Holds::Words, Some(content)) => content.len() + content.len() / 4 * tag(FOUR_BYTES),
            _ => field.whole.len(),
        };
    }
    total + rest.len()
}

fn write(message: Message, bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some(field) = next(&mut rest) {
        let tag = |wire| field.number << 3 | wire;
        match (message.field(field.number), field.content) {
            (Holds::Message(inner), Some(content)) => {
                put_varint(tag(DELIMITED), out);
                put_varint(length(inner, content) as u64, out);
                write(inner, content, out);
            }
            (Holds::Varints, Some(mut content)) => {
                while let Some(value) = varint(&mut content) {
                    put_varint(tag(VARINT), out);
                    put_varint(value, out);
                }
            }
            (Holds::Words, Some(content)) => {
                for word in content.as_chunks::<4>().0 {
                    put_varint(tag(FOUR_BYTES), out);
                    out.extend(word);
                }
            }
            _ => out.extend(field.whole),
        }
    }
    out.extend(rest);
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

    use super::*;

    fn model() -> ModelProto {
        let tensor = |name: &str| TensorProto {
            name: name.to_owned(),
            dims: vec![2, 300],
            raw_data: vec![7; 1200],
            ..TensorProto::default()
        };
        let attribute = |g| AttributeProto {
            name: "pads".to_owned(),
            ints: vec![0, 1, -1, 127, 128, i64::MAX, i64::MIN],
            floats: vec![0.5, f32::NEG_INFINITY],
            t: Some(tensor("value")),
            g,
            ..AttributeProto::default()
        };
        let graph = |g| GraphProto {
            node: vec![NodeProto {
                input: vec!["x".to_owned()],
                attribute: vec![attribute(g)],
                ..NodeProto::default()
            }],
            initializer: vec![tensor("weight")],
            ..GraphProto::default()
        };
        ModelProto {
            ir_version: 8,
            graph: Some(graph(Some(graph(None)))),
            ..ModelProto::default()
        }
    }

    #[test]
    fn the_model_is_the_same_and_no_number_is_packed() {
        let model = model();
        let packed = model.encode_to_vec();
        let bytes = unpacked(&packed);
        assert_eq!(bytes.len(), length(Message::Model, &packed));
        assert_ne!(bytes, packed);
        assert_eq!(ModelProto::decode(&*bytes).unwrap(), model);
        assert_eq!(unpacked(&bytes), bytes);
        let attribute = &model.graph.unwrap().node[0].attribute[0];
        let mut alone = Vec::new();
        write(Message::Attribute, &attribute.encode_to_vec(), &mut alone);
        let mut rest = &*alone;
        let (mut ints, mut floats) = (0, 0);
        while let Some(field) = next(&mut rest) {
            match field.number {
                7 => floats += usize::from(field.content.is_none()),
                8 => ints += usize::from(field.content.is_none()),
                _ => {}
            }
        }
        assert_eq!((ints, floats), (7, 2));
    }

    #[test]
    fn bytes_that_are_no_message_stay() {
        for bytes in [&b""[..], b"\xff", b"\x3a\x7fab", b"\x3f"] {
            assert_eq!(unpacked(bytes), bytes);
        }
    }
}
