//! Computations that are checked, and what becomes of those that differ, as a user calls it.
//!
//! The functions of the command are what they promise. So the lies are those of another program: it has a wrong function
//! under the name of a right one, and records what that gave.

mod audits;
mod bisected;
mod counted;
mod lying_runs;
mod refused;
mod runs;
mod suspects;
mod wrong_calls;

use deriva::functions::{FunctionRegistry, builtin};
use deriva::{Bytes, CAddr, Deriva, Params, Recipe};
use serde_json::Value;

use crate::common::Bench;

/// Long enough to be a file in the store.
const LINES: usize = 4000;

/// The built-in functions, but for one that gets a letter wrong.
fn wrong_functions() -> FunctionRegistry {
    let mut functions = FunctionRegistry::new();
    for function in builtin().iter() {
        if function.id().to_string() != "text.upper/1" {
            functions.register(function.clone()).unwrap();
        }
    }
    functions
}

fn wrong_upper(inputs: &[Bytes], _: &Params) -> deriva::Result<Bytes> {
    let text = String::from_utf8_lossy(&inputs[0]).to_uppercase();
    Ok(text.replacen("RED", "REd", 1).into())
}

/// Recipes: the joined text of a file, that in upper case, and this twice.
pub(crate) struct Made {
    leaf: CAddr,
    pub(crate) joined: CAddr,
    pub(crate) upper: CAddr,
    twice: CAddr,
}

impl Made {
    pub(crate) fn of(text: &str) -> (Self, Vec<Recipe>) {
        let recipe = |function: &str, input: CAddr, params: Params| {
            Recipe::new(&function.parse().unwrap(), &[input], &params).unwrap()
        };
        let leaf = CAddr::of_blob(text.as_bytes());
        let joined = recipe("bytes.concat/1", leaf, Params::new());
        let upper = recipe("text.upper/1", joined.addr(), Params::new());
        let mut params = Params::new();
        params.insert("times", deriva::Value::Int(2));
        let twice = recipe("bytes.repeat/1", upper.addr(), params);
        let made = Self {
            leaf,
            joined: joined.addr(),
            upper: upper.addr(),
            twice: twice.addr(),
        };
        (made, vec![joined, upper, twice])
    }
}

pub(crate) fn text() -> String {
    (0..LINES).map(|n| format!("{n} red\n")).collect()
}

/// Computes everything in a store of a bench, with the wrong function or with the right one.
fn compute(bench: &Bench, store: &str, is_wrong: bool) -> Made {
    let (made, recipes) = Made::of(&text());
    let path = bench.path(store);
    with(&path.display().to_string(), is_wrong, async |deriva| {
        deriva.put(text()).await.unwrap();
        deriva.insert(&recipes).await.unwrap();
        deriva.get(made.twice).await.unwrap();
        deriva.set_root("kept", made.twice).await.unwrap();
    });
    made
}

fn with(path: &str, is_wrong: bool, work: impl AsyncFnOnce(&Deriva)) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        let mut builder = deriva::builder().store(&format!("sled:{path}"));
        if is_wrong {
            builder = builder.functions(wrong_functions());
            builder = builder.light_function("text.upper", "1", wrong_upper);
        }
        let deriva = builder.build().await.unwrap();
        work(&deriva).await;
        deriva.flush().await.unwrap();
    });
}

/// A bench whose store has a lie.
pub(crate) fn lied() -> (Bench, Made) {
    let bench = Bench::new();
    let made = compute(&bench, ".deriva", true);
    (bench, made)
}

/// Runs, expects this exit code, and answers with the object on stdout.
fn object(bench: &Bench, code: i32, args: &[&str]) -> Value {
    serde_json::from_str(&bench.tells(code, args)).unwrap()
}

fn file_of(bench: &Bench, blob: &str) -> std::path::PathBuf {
    bench.path(&format!(".deriva/files/{}/{blob}", &blob[..2]))
}

const PIPELINE: &str = r#"
name = "p"
root = "in"
[sources.files]
include = ["*.txt"]
[steps.joined]
function = "bytes.concat/1"
each = "files"
[steps.upper]
function = "text.upper/1"
each = "joined"
[steps.digest]
function = "hash.sha256/1"
each = "files"
[outputs]
"upper" = "upper"
"digest" = "digest"
"#;

fn pipeline(bench: &Bench, files: usize) {
    bench.file("p.toml", PIPELINE);
    for n in 0..files {
        bench.file(&format!("in/{n}.txt"), n.to_string());
    }
}
