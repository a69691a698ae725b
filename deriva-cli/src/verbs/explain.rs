//! `deriva explain`: what is there, what would be computed, and what that would take.

use std::collections::HashSet;
use std::time::Duration;

use clap::Args;
use deriva::admin::{
    CutoffDecision, ExplainedNode, Explanation, Forecast, FunctionForecast, NodeState,
};
use deriva::functions::{FunctionRegistry, Weight};
use deriva::{AddrPrefix, CAddr};
use serde::ser::Error;
use serde::{Serialize, Serializer};

use crate::args::{jobs, parsed};
use crate::exit::Outcome;
use crate::store::StoreArgs;
use crate::term::{Answer, Out, Style, counted, lines, size, table, time};

/// Tell what is there for an address, what would be computed, and what that would take; computes nothing
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A blob or recipe, or the first digits of its address
    #[arg(value_parser = parsed::<AddrPrefix>)]
    addr: AddrPrefix,
    /// List all nodes, not only the first 50
    #[arg(long)]
    all: bool,
    /// Foretell the time for N recipes at a time; default: one per core
    #[arg(long, short, value_name = "N", value_parser = jobs())]
    jobs: Option<u16>,
}

impl Explain {
    pub(crate) async fn run(&self, store: &StoreArgs, out: &mut Out) -> Outcome {
        store
            .existing()
            .jobs(self.jobs)
            .not_there([("--jobs", self.jobs.is_some())])
            .work(async |handle| {
                let addr = handle.find(&self.addr).await?;
                let explanation = handle.explain(addr).await?;
                let functions = match explanation.unknown_functions.is_empty() {
                    true => FunctionRegistry::new(),
                    false => handle.functions().await?,
                };
                let unknown = explanation.unknown_functions.iter();
                out.answer(&Explained {
                    features: unknown
                        .map(|id| functions.absent_feature(id.name()))
                        .collect(),
                    explanation,
                    all: self.all,
                })
            })
            .await
    }
}

/// Rows without `--all`.
const ROWS: usize = 50;
/// Recipes of the critical path without `--all`.
const STEPS: usize = 8;

/// What is there and what a `get` would compute.
struct Explained {
    explanation: Explanation,
    /// Of each unknown function, the crate feature that would add it.
    features: Vec<Option<&'static str>>,
    /// Whether people see all of it.
    all: bool,
}

impl Serialize for Explained {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut value = serde_json::to_value(&self.explanation).map_err(S::Error::custom)?;
        if let Some(object) = value.as_object_mut() {
            let computed = self.explanation.forecast.computed;
            object.insert("would_compute".into(), computed.into());
        }
        value.serialize(serializer)
    }
}

impl Answer for Explained {
    fn text(&self, style: Style) -> String {
        let explanation = &self.explanation;
        let mut text = nodes(explanation, self.all);
        for addr in &explanation.missing {
            text += &format!("\nmissing: {addr} is neither a blob nor a recipe here");
        }
        for (id, feature) in explanation.unknown_functions.iter().zip(&self.features) {
            text += &format!("\nunknown function: {id}");
            if let Some(feature) = feature {
                text += &format!(" (crate feature `{feature}`)");
            }
        }
        let condemned = explanation.nodes.iter().filter(|node| is_condemned(node));
        match condemned.count() as u64 {
            0 => {}
            n => {
                let refused = counted(n, "recipe");
                text +=
                    &format!("\nrefused: {refused}, as their runs differed (`deriva ledger ls`)");
            }
        }
        if explanation.forecast.computed > 0 {
            let functions = functions(&explanation.forecast.functions);
            let critical = critical(explanation, self.all);
            text += &format!("\n\n{functions}\n\n{critical}");
        }
        let (verdict, rest) = verdict(explanation);
        text += &format!("\n\n{}", style.accent(&verdict));
        for line in rest {
            text += &format!("\n{line}");
        }
        text
    }
}

fn nodes(explanation: &Explanation, all: bool) -> String {
    let critical: HashSet<&CAddr> = explanation.forecast.critical_path.iter().collect();
    let mut rows = table([
        ("address", false),
        ("function", false),
        ("state", false),
        ("inputs", true),
        ("bytes", true),
        ("expected time", true),
        ("on critical path", false),
    ]);
    let shown = if all { explanation.nodes.len() } else { ROWS };
    for node in explanation.nodes.iter().take(shown) {
        rows.add_row([
            node.addr.short(),
            node.function
                .as_ref()
                .map_or_else(|| "-".to_owned(), ToString::to_string),
            words(node.state).to_owned(),
            node.inputs.len().to_string(),
            node.len.map_or_else(|| "-".to_owned(), size),
            node.seconds.map_or_else(|| "-".to_owned(), seconds),
            mark(critical.contains(&node.addr)).to_owned(),
        ]);
    }
    match explanation.nodes.len().saturating_sub(shown) {
        0 => lines(&rows),
        hidden => format!(
            "{}\n... and {} (--all lists them)",
            lines(&rows),
            counted(hidden as u64, "more node")
        ),
    }
}

fn functions(functions: &[FunctionForecast]) -> String {
    let mut rows = table([
        ("function", false),
        ("recipes", true),
        ("total time", true),
        ("time per call", true),
        ("estimated from", false),
        ("looked up first", false),
    ]);
    for function in functions {
        rows.add_row([
            function.function.to_string(),
            function.nodes.to_string(),
            seconds(function.seconds),
            time(function.estimate.time),
            basis(function),
            decision(&function.cutoff, function.weight),
        ]);
    }
    lines(&rows)
}

fn basis(function: &FunctionForecast) -> String {
    use deriva::admin::Basis;
    let calls = counted(function.estimate.calls, "call");
    match function.estimate.basis {
        Basis::Function => calls,
        Basis::Recorded => format!("{calls} recorded here"),
        Basis::OtherFunctions => "other functions".to_owned(),
        _ => "nothing yet: a guess".to_owned(),
    }
}

fn decision(decision: &CutoffDecision, weight: Weight) -> String {
    let answer = if decision.pays { "yes" } else { "no" };
    if decision.measured {
        let (lookup, write) = (time(decision.lookup), time(decision.write));
        return format!("{answer}: a look-up takes {lookup} and a row {write}");
    }
    let weight = match weight {
        Weight::Heavy => "heavy",
        Weight::Light => "light",
    };
    format!("{answer}: it is {weight}, and was not measured yet")
}

fn critical(explanation: &Explanation, all: bool) -> String {
    let forecast = &explanation.forecast;
    let shown = if all { usize::MAX } else { STEPS };
    let path = forecast.critical_path.iter().take(shown);
    let mut steps: Vec<String> = path.map(CAddr::short).collect();
    let hidden = forecast.critical_path.len() - steps.len();
    if hidden > 0 {
        steps.push(counted(hidden as u64, "more recipe"));
    }
    format!("critical path: {}", steps.join(" -> "))
}

/// What would come of a request, and what it would take.
fn verdict(explanation: &Explanation) -> (String, Vec<String>) {
    let forecast = &explanation.forecast;
    let condemned = explanation.nodes.iter().any(is_condemned);
    if condemned || !explanation.missing.is_empty() || !explanation.unknown_functions.is_empty() {
        let fails = "a request would fail before any work".to_owned();
        return (fails, Vec::new());
    }
    if forecast.computed == 0 {
        return ("nothing would be computed".to_owned(), Vec::new());
    }
    let computed = counted(forecast.computed, "recipe");
    let rest = vec![takes(forecast), bytes(forecast)];
    (format!("{computed} would be computed"), rest)
}

fn takes(forecast: &Forecast) -> String {
    let about = if forecast.simulated {
        "about"
    } else {
        "at least"
    };
    format!(
        "{} of work, {about} {} with {} at a time; the critical path takes {}",
        seconds(forecast.work_seconds),
        seconds(forecast.wall_seconds),
        forecast.jobs,
        seconds(forecast.critical_seconds),
    )
}

fn bytes(forecast: &Forecast) -> String {
    let bytes = &forecast.bytes;
    let made = bytes.lost + bytes.estimated;
    let unknown = match bytes.unknown_outputs {
        0 => String::new(),
        n => format!(", and {} of unknown length", counted(n, "output")),
    };
    format!(
        "{} are there; about {} would be made{unknown}",
        size(bytes.stored),
        size(made)
    )
}

fn is_condemned(node: &ExplainedNode) -> bool {
    node.state == NodeState::Condemned
}

fn mark(critical: bool) -> &'static str {
    if critical { "*" } else { "" }
}

fn seconds(seconds: f64) -> String {
    time(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

fn words(state: NodeState) -> &'static str {
    match state {
        NodeState::Leaf => "stored blob",
        NodeState::Present => "output is there: reused",
        NodeState::Lost => "output recorded, bytes gone: computed again",
        NodeState::Absent => "no output recorded: computed",
        NodeState::InFlight => "being computed by another request",
        NodeState::UnknownFunction => "function not known here",
        NodeState::Condemned => "its runs differed: refused",
        NodeState::Missing => "missing",
        _ => "unknown",
    }
}
