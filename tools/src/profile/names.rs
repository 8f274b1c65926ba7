//! Names of nodes. PyTorch's exporter calls a node by the path of its module and then by its operator, which begins with a
//! capital; the engine and the tools that quantise append to that.

/// What lies in no module.
pub const ELSEWHERE: &str = "elsewhere";

/// The block that a node belongs to: `/vision/layers.0` of `/vision/layers.0/up/MatMul/MatMulAddFusion.fused`, or its module
/// where none is numbered. Whatever an engine makes one op of, its parts are in the same block.
pub fn block(node: &str) -> String {
    let mut modules = modules(node);
    if let Some(index) = modules.iter().position(|part| is_numbered(part)) {
        modules.truncate(index + 1);
    }
    if modules.is_empty() {
        ELSEWHERE.to_owned()
    } else {
        modules.join("/")
    }
}

fn is_numbered(part: &str) -> bool {
    part.rsplit_once('.')
        .is_some_and(|(_, number)| number.parse::<u32>().is_ok())
}

/// The module and the operator: `/vision/up/MatMul`. At most the last `max` characters.
pub fn short(node: &str, max: usize) -> String {
    let modules = modules(node);
    let operator = node.split('/').nth(modules.len()).unwrap_or_default();
    let operator = match modules.is_empty() {
        true => node,
        false => operator.split('.').next().unwrap_or_default(),
    };
    let mut parts = modules;
    parts.push(operator);
    end_of(parts.join("/").trim_end_matches('/'), max)
}

fn modules(node: &str) -> Vec<&str> {
    if !node.contains('/') {
        return Vec::new();
    }
    let is_module = |part: &&str| !part.starts_with(|first: char| first.is_uppercase());
    let modules: Vec<&str> = node.split('/').take_while(is_module).collect();
    match &modules[..] {
        [""] => Vec::new(),
        _ => modules,
    }
}

/// The last `max` characters.
pub fn end_of(name: &str, max: usize) -> String {
    let count = name.chars().count();
    if count <= max {
        return name.to_owned();
    }
    let end: String = name.chars().skip(count + 2 - max).collect();
    format!("..{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_short_names_are_read_off_nodes() {
        for (node, expected, told) in [
            (
                "/vision/layers.0/up/MatMul/MatMulAddFusion.ab.fused",
                "/vision/layers.0",
                "/vision/layers.0/up/MatMul",
            ),
            ("/stem.4/b/Conv.matmatmul", "/stem.4", "/stem.4/b/Conv"),
            ("/stem.1/Relu_output_0", "/stem.1", "/stem.1/Relu_output_0"),
            ("/expert/head/Conv.pad", "/expert/head", "/expert/head/Conv"),
            ("/Add.1", ELSEWHERE, "/Add.1"),
            ("image_QuantizeLinear", ELSEWHERE, "image_QuantizeLinear"),
            ("/only/modules.3", "/only/modules.3", "/only/modules.3"),
            ("", ELSEWHERE, ""),
        ] {
            assert_eq!(block(node), expected, "{node}");
            assert_eq!(short(node, 80), told, "{node}");
        }
        assert_eq!(short("/stem.4/b/Conv.matmatmul", 10), "..4/b/Conv");
    }
}
