//! Every store of deriva, held to its promises.
//!
//! | module | what |
//! |---|---|
//! | [`stores`], [`stacks`] | which stores are checked, under which layers, and how they are named |
//! | [`fixture`] | a store in a folder of its own, as the cases of [`deriva_testkit`] want it |
//! | [`runtime`] | the runtime over such a store, as the cases want it |
//! | [`check`], [`results`] | runs the cases; what came of them |
//! | [`report`], [`reference`](mod@reference) | the results as text; the list of promises |
//!
//! The command is in `main.rs`. The tests hold each store to the cases, to the model, and to what it
//! has acknowledged when its process is killed.

pub mod check;
pub mod fixture;
pub mod mutants;
pub mod proof;
pub mod reference;
pub mod report;
pub mod results;
pub mod runtime;
pub mod stacks;
pub mod stores;

use deriva_api::{OpenedStore, Result, nearest};

pub use fixture::UriFixture;

/// Opens a store by URI, all schemes known.
///
/// # Errors
/// What parsing and the store say.
pub async fn open(uri: &str) -> Result<OpenedStore> {
    let mut registry = deriva_backends::registry();
    deriva_layers::register(&mut registry)?;
    registry.open(&uri.parse()?).await
}

/// `did you mean .. ? ` with the known name that is most like `given`, or nothing where none is like it.
fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = nearest(given, known).map(|near| format!("did you mean `{near}`? "));
    near.unwrap_or_default()
}
