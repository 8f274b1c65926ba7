//! Kinds of ONNX files that were refused, wrong or dangerous, each as a graph of a few nodes with values worked out here.

mod build;
mod conform;
mod control;
mod exported;
mod forms;
mod numbers;
mod quantised;
mod refused;
mod resize;
mod rounding;
