//! The products of a graph: what can be quantised.

use crate::graph::{Graph, attribute};

/// What sort of product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `MatMul` with constant weights [K, N].
    MatMul,
    /// `Gemm` with constant weights, [N, K] where `transposed`.
    Gemm {
        /// Whether the weights are [N, K].
        transposed: bool,
    },
    /// `Conv` with constant weights [N, K / group, ...].
    Conv,
    /// `MatMul` of two activations.
    Product,
}

/// One product of a graph.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Index of its node.
    pub node: usize,
    /// Name of its node.
    pub name: String,
    /// What sort of product it is.
    pub kind: Kind,
    /// The activation that enters it; the left one of a product of two.
    pub input: String,
    /// The weights; the right activation of a product of two.
    pub weight: String,
    /// The bias that it adds itself.
    pub bias: Option<String>,
    /// Its output.
    pub output: String,
    /// Output channels; 0 for a product of two activations.
    pub n: usize,
    /// Weights per output channel.
    pub k: usize,
}

impl Layer {
    /// The products of a graph in its order. Not among them, and left in float: products whose weights are computed at run time,
    /// `Gemm` that scales or transposes its input, weights that are not of two axes.
    #[must_use]
    pub fn of(graph: &Graph) -> Vec<Self> {
        (0..graph.nodes().len())
            .filter_map(|index| Self::at(graph, index))
            .collect()
    }

    fn at(graph: &Graph, index: usize) -> Option<Self> {
        let node = &graph.nodes()[index];
        let (input, weight) = (node.input.first()?.clone(), node.input.get(1)?.clone());
        if graph.constant(&input).is_some() {
            return None;
        }
        let constant = graph.constant(&weight);
        let dims = constant.map(|c| c.dims.as_slice());
        let flag = |name| attribute(node, name).is_some_and(|a| a.i != 0);
        let one = |name| attribute(node, name).is_none_or(|a| a.f == 1.0);
        let (kind, n, k) = match (node.op_type.as_str(), dims) {
            ("MatMul", Some(&[k, n])) => (Kind::MatMul, n, k),
            ("MatMul", None) => (Kind::Product, 0, 0),
            ("Gemm", Some(&[a, b])) if one("alpha") && one("beta") && !flag("transA") => {
                let transposed = flag("transB");
                let (n, k) = if transposed { (a, b) } else { (b, a) };
                (Kind::Gemm { transposed }, n, k)
            }
            ("Conv", Some([n, rest @ ..])) if !rest.is_empty() => {
                (Kind::Conv, *n, rest.iter().product())
            }
            _ => return None,
        };
        let output = node.output.first()?.clone();
        let bias = node.input.get(2).filter(|bias| !bias.is_empty()).cloned();
        let known = bias
            .as_ref()
            .is_none_or(|bias| graph.constant(bias).is_some_and(|c| c.values.len() == n));
        let empty = n == 0 || k == 0;
        if (empty && kind != Kind::Product) || !known {
            return None;
        }
        Some(Self {
            node: index,
            name: node.name.clone(),
            kind,
            input,
            weight,
            bias,
            output,
            n,
            k,
        })
    }

    /// Index of the weight of output channel `n` at place `k` of its row.
    #[must_use]
    pub fn index(&self, n: usize, k: usize) -> usize {
        match self.kind {
            Kind::MatMul | Kind::Gemm { transposed: false } => k * self.n + n,
            Kind::Gemm { transposed: true } | Kind::Conv | Kind::Product => n * self.k + k,
        }
    }

    /// The weights with one row for each output channel, [N, K].
    #[must_use]
    pub fn rows(&self, weights: &[f32]) -> Vec<f32> {
        let mut rows = Vec::with_capacity(weights.len());
        for n in 0..self.n {
            rows.extend((0..self.k).map(|k| weights[self.index(n, k)]));
        }
        rows
    }

    /// [N, K] back in the order that the graph stores.
    #[must_use]
    pub fn stored<T: Copy + Default>(&self, rows: &[T]) -> Vec<T> {
        let mut stored = vec![T::default(); rows.len()];
        for n in 0..self.n {
            for k in 0..self.k {
                stored[self.index(n, k)] = rows[n * self.k + k];
            }
        }
        stored
    }

    /// The axis of the weights that counts output channels.
    #[must_use]
    pub fn channel_axis(&self) -> i64 {
        match self.kind {
            Kind::MatMul | Kind::Gemm { transposed: false } => 1,
            Kind::Gemm { transposed: true } | Kind::Conv | Kind::Product => 0,
        }
    }
}
