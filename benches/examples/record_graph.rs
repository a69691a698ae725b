//! Records the graph of a store with the costs of its outputs, as the benchmark `schedule` reads it:
//!
//! ```text
//! deriva --store sled:STORE run examples/corpus/pipeline.toml --jobs 1
//! cargo run -p deriva-bench --example record_graph -- sled:STORE > benches/data/corpus.graph
//! ```
#![allow(clippy::print_stdout, reason = "the graph goes to stdout")]

use std::collections::HashMap;

use deriva::prelude::*;
use futures::TryStreamExt;

#[tokio::main]
async fn main() -> Result<()> {
    let uri = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "sled:.deriva".to_owned());
    let deriva = Deriva::builder().store(&uri).build().await?;
    let mut recorded: Vec<(Recipe, u64)> = Vec::new();
    let mut listed = deriva.dag().list(None);
    while let Some((_, node)) = listed.try_next().await? {
        if let Some(output) = node.output {
            recorded.push((node.recipe, output.cost.as_nanos() as u64));
        }
    }
    let places: HashMap<CAddr, usize> = recorded
        .iter()
        .enumerate()
        .map(|(at, (recipe, _))| (recipe.addr(), at))
        .collect();
    println!(
        "# Each line is a recipe: its cost in nanoseconds, a number for its function, and its inputs that are"
    );
    println!("# recipes, as numbers of lines from 0, without these two.");
    let mut functions: Vec<FunctionId> = Vec::new();
    for (recipe, cost) in &recorded {
        let inputs = recipe.inputs().filter_map(|input| places.get(&input));
        let inputs: String = inputs.map(|input| format!(" {input}")).collect();
        let function = recipe.function();
        let known = functions.iter().position(|known| *known == function);
        let function = known.unwrap_or_else(|| {
            functions.push(function);
            functions.len() - 1
        });
        println!("{cost} {function}{inputs}");
    }
    Ok(())
}
