//! Which value each input of each graph is fed with: by name, or by the option `--feed`; never by a guess.

use std::collections::BTreeMap;

use anyhow::Result;
use wink_runtime::policy::manifest::Run;

use super::graphs::{StageGraph, Tensor};
use super::values::{Form, SAMPLE, Value, plain};
use crate::bad_input::bad_input;

/// What an input is fed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fed {
    /// A value, by its place.
    Value(usize),
    /// An output of a graph: places of graph and output.
    Output(usize, usize),
}

/// How graphs take a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// In which form.
    pub form: Form,
    /// As which element type.
    pub element: String,
}

/// How graphs and values are connected.
#[derive(Debug)]
pub struct Wiring {
    /// Of each graph, what its inputs are fed with, in their order.
    pub inputs: Vec<Vec<Fed>>,
    /// Of each value, how graphs take it; `None` where no graph does.
    pub taken: Vec<Option<Taken>>,
    /// Of each graph, when it runs.
    pub runs: Vec<Run>,
    /// Places of the graphs in the order in which they run.
    pub order: Vec<usize>,
}

impl Wiring {
    /// The graph that runs in the loop.
    pub fn looped(&self) -> Option<usize> {
        self.runs.iter().position(|run| *run == Run::Loop)
    }

    /// Whether an input of any graph is fed with this.
    pub fn reads(&self, fed: Fed) -> bool {
        self.inputs.iter().flatten().any(|read| *read == fed)
    }
}

/// Connects graphs and values.
///
/// # Errors
/// Where an input is fed with nothing or could be with several, where shapes or types differ, where a value is not read,
/// or graphs feed each other in a circle.
pub fn wire(graphs: &[StageGraph], values: &[Value], feeds: &[(String, String)]) -> Result<Wiring> {
    let wirer = Wirer {
        graphs,
        values,
        feeds,
    };
    wirer.check_feeds()?;
    let mut inputs = Vec::new();
    let mut taken: Vec<Option<(Taken, String)>> = vec![None; values.len()];
    for (stage, graph) in graphs.iter().enumerate() {
        let mut fed = Vec::new();
        for tensor in &graph.inputs {
            let source = wirer.source(stage, tensor)?;
            if let Fed::Value(place) = source {
                let new = wirer.taken(graph, tensor, &values[place])?;
                agree(&mut taken[place], new, &values[place], graph.told(tensor))?;
            } else {
                wirer.check_output(graph, tensor, source)?;
            }
            fed.push(source);
        }
        inputs.push(fed);
    }
    let taken = taken.into_iter().map(|taken| Some(taken?.0));
    let taken: Vec<Option<Taken>> = taken.collect();
    wirer.check_read(&taken)?;
    let order = wirer.order(&inputs)?;
    let runs = wirer.runs(&inputs, &order)?;
    Ok(Wiring {
        inputs,
        taken,
        runs,
        order,
    })
}

struct Wirer<'a> {
    graphs: &'a [StageGraph],
    values: &'a [Value],
    feeds: &'a [(String, String)],
}

impl Wirer<'_> {
    /// Every `--feed` is about an input that exists.
    fn check_feeds(&self) -> Result<()> {
        for (tensor, value) in self.feeds {
            let means = |graph: &StageGraph| {
                let mut inputs = graph.inputs.iter();
                inputs.any(|input| names(tensor, graph, input))
            };
            if !self.graphs.iter().any(means) {
                let inputs = self.graphs.iter().flat_map(|graph| {
                    let named = |input: &Tensor| format!("{}.{}", graph.name, input.name);
                    graph.inputs.iter().map(named)
                });
                return Err(bad_input(format!(
                    "--feed {tensor}={value}: no graph has such an input; inputs are {}",
                    inputs.collect::<Vec<_>>().join(", ")
                )));
            }
        }
        Ok(())
    }

    fn source(&self, stage: usize, tensor: &Tensor) -> Result<Fed> {
        let graph = &self.graphs[stage];
        let mut told = self
            .feeds
            .iter()
            .filter(|(name, _)| names(name, graph, tensor));
        match (told.next(), told.next()) {
            (Some((_, value)), None) => return self.named(tensor, value),
            (Some((first, _)), Some((second, _))) => {
                return Err(bad_input(format!(
                    "--feed {first} and --feed {second} are about one input, {}",
                    graph.told(tensor)
                )));
            }
            (None, _) => {}
        }
        let found = self.called(stage, tensor);
        match found[..] {
            [one] => Ok(one),
            [] => Err(self.unfed(graph, tensor)),
            _ => Err(bad_input(format!(
                "{} could be fed with {}; say with which by --feed {}.{}=VALUE",
                graph.told(tensor),
                self.list(&found),
                graph.name,
                tensor.name
            ))),
        }
    }

    /// The value or output that `--feed` names.
    fn named(&self, tensor: &Tensor, name: &str) -> Result<Fed> {
        if let Some(place) = self.values.iter().position(|value| value.is(name)) {
            return Ok(Fed::Value(place));
        }
        let all = self.all();
        let found = all.iter().find(|fed| self.name(**fed) == name);
        found.copied().ok_or_else(|| {
            bad_input(format!(
                "--feed {}={name}: there is no such value; there are {}",
                tensor.name,
                self.list(&all)
            ))
        })
    }

    /// What the tensor's name means.
    fn called(&self, stage: usize, tensor: &Tensor) -> Vec<Fed> {
        let name = plain(&tensor.name);
        let all = self.all().into_iter();
        let called = all.filter(|fed| match *fed {
            Fed::Value(place) => self.values[place].called.contains(&name),
            Fed::Output(from, output) => {
                from != stage && self.graphs[from].outputs[output].name == tensor.name
            }
        });
        called.collect()
    }

    /// All values and outputs.
    fn all(&self) -> Vec<Fed> {
        let values = (0..self.values.len()).map(Fed::Value);
        let graphs = self.graphs.iter().enumerate();
        let outputs = graphs.flat_map(|(stage, graph)| {
            (0..graph.outputs.len()).map(move |output| Fed::Output(stage, output))
        });
        values.chain(outputs).collect()
    }

    fn name(&self, fed: Fed) -> String {
        match fed {
            Fed::Value(place) => self.values[place].name.clone(),
            Fed::Output(stage, output) => {
                let graph = &self.graphs[stage];
                format!("{}.{}", graph.name, graph.outputs[output].name)
            }
        }
    }

    fn list(&self, feds: &[Fed]) -> String {
        let names: Vec<String> = feds.iter().map(|fed| self.name(*fed)).collect();
        names.join(", ")
    }

    fn unfed(&self, graph: &StageGraph, tensor: &Tensor) -> anyhow::Error {
        let fits = |fed: &Fed| match *fed {
            Fed::Value(place) => {
                let mut forms = self.values[place].forms.iter();
                forms.any(|form| form.fits(tensor))
            }
            Fed::Output(stage, output) => {
                let from = &self.graphs[stage];
                from.name != graph.name && alike(&from.outputs[output], tensor)
            }
        };
        let fitting: Vec<Fed> = self.all().into_iter().filter(fits).collect();
        let advice = match fitting.is_empty() {
            true => format!("no value has this shape; values are {}", self.shapes()),
            false => format!(
                "say with what by --feed {}.{}=VALUE; of this shape are {}",
                graph.name,
                tensor.name,
                self.list(&fitting)
            ),
        };
        bad_input(format!(
            "{}: no value is called like it; {advice}",
            graph.told(tensor)
        ))
    }

    fn shapes(&self) -> String {
        let values = self.values.iter();
        let told = values.map(|value| format!("{} {}", value.name, value.told()));
        told.collect::<Vec<_>>().join(", ")
    }

    /// The one form of a value that fits a tensor.
    fn taken(&self, graph: &StageGraph, tensor: &Tensor, value: &Value) -> Result<Taken> {
        let fitting: Vec<&Form> = value
            .forms
            .iter()
            .filter(|form| form.fits(tensor))
            .collect();
        match fitting[..] {
            [form] => Ok(Taken {
                form: form.clone(),
                element: tensor.element.clone(),
            }),
            [] => Err(bad_input(format!(
                "{} is fed with {}, which is {}",
                graph.told(tensor),
                value.name,
                value.told()
            ))),
            _ => Err(bad_input(format!(
                "{} leaves open which form of {} it takes, {}; fix its axes when exporting",
                graph.told(tensor),
                value.name,
                value.told()
            ))),
        }
    }

    fn check_output(&self, graph: &StageGraph, tensor: &Tensor, fed: Fed) -> Result<()> {
        let Fed::Output(stage, output) = fed else {
            return Ok(());
        };
        let (from, output) = (&self.graphs[stage], &self.graphs[stage].outputs[output]);
        match alike(output, tensor) {
            true => Ok(()),
            false => Err(bad_input(format!(
                "{} is fed with {}, which does not fit",
                graph.told(tensor),
                from.told(output)
            ))),
        }
    }

    /// Nothing that the policy takes is dropped.
    fn check_read(&self, taken: &[Option<Taken>]) -> Result<()> {
        let mut unread = self.values.iter().zip(taken);
        let unread = unread.find(|(value, taken)| taken.is_none() && !value.in_prompt);
        let Some((value, _)) = unread else {
            return Ok(());
        };
        let name = &value.name;
        if value.changes == Run::Loop {
            return Err(bad_input(format!(
                "no graph reads {name} ({}): a package runs the loop, so one graph must be a step of it, with {SAMPLE} and the step's time; name its input with --feed TENSOR={name}, or say --loop inside if a graph runs the whole loop itself",
                value.told()
            )));
        }
        Err(bad_input(format!(
            "no graph reads {name} ({}); name its tensor with --feed TENSOR={name}, or say --leave-out {name} if the graphs were exported without it",
            value.told()
        )))
    }

    /// The graphs such that each comes after those whose outputs it reads.
    fn order(&self, inputs: &[Vec<Fed>]) -> Result<Vec<usize>> {
        let mut order: Vec<usize> = Vec::new();
        while order.len() < self.graphs.len() {
            let ready = |stage: &usize| {
                !order.contains(stage)
                    && inputs[*stage].iter().all(|fed| match fed {
                        Fed::Value(_) => true,
                        Fed::Output(from, _) => order.contains(from),
                    })
            };
            match (0..self.graphs.len()).find(ready) {
                Some(stage) => order.push(stage),
                None => {
                    let left = self.graphs.iter().enumerate();
                    let left = left.filter(|(stage, _)| !order.contains(stage));
                    let names: Vec<&str> = left.map(|(_, graph)| graph.name.as_str()).collect();
                    return Err(bad_input(format!(
                        "the graphs {} feed each other in a circle; part them with --feed",
                        names.join(", ")
                    )));
                }
            }
        }
        Ok(order)
    }

    /// When each graph runs: as often as the fastest value that it reads.
    fn runs(&self, inputs: &[Vec<Fed>], order: &[usize]) -> Result<Vec<Run>> {
        let mut runs: BTreeMap<usize, Run> = BTreeMap::new();
        for stage in order {
            let own = |fed: &Fed| match *fed {
                Fed::Value(place) => self.values[place].changes,
                Fed::Output(from, _) => runs.get(&from).copied().unwrap_or(Run::Episode),
            };
            let run = inputs[*stage].iter().map(own).max().unwrap_or(Run::Episode);
            if run == Run::Loop && runs.values().any(|run| *run == Run::Loop) {
                return Err(bad_input(format!(
                    "{}: a second graph in the loop; a loop runs one graph",
                    self.graphs[*stage].file.display()
                )));
            }
            runs.insert(*stage, run);
        }
        Ok(runs.into_values().collect())
    }
}

/// A value has one form for all its readers.
fn agree(
    known: &mut Option<(Taken, String)>,
    new: Taken,
    value: &Value,
    reader: String,
) -> Result<()> {
    match known {
        Some((first, place)) if *first != new => Err(bad_input(format!(
            "{reader} and {place} take {} in different forms",
            value.name
        ))),
        _ => {
            *known = Some((new, reader));
            Ok(())
        }
    }
}

/// Whether an option's `TENSOR` or `STAGE.TENSOR` means this input.
pub fn names(option: &str, graph: &StageGraph, input: &Tensor) -> bool {
    let staged = option.strip_prefix(graph.name.as_str());
    let staged = staged.and_then(|rest| rest.strip_prefix('.'));
    option == input.name || staged == Some(input.name.as_str())
}

/// Whether an output can be fed to an input.
fn alike(output: &Tensor, input: &Tensor) -> bool {
    let axes = output.shape.iter().zip(&input.shape);
    output.element == input.element
        && output.shape.len() == input.shape.len()
        && axes.fold(true, |fits, (a, b)| {
            fits && (a.is_none() || b.is_none() || a == b)
        })
}
