//! What several cases for executors need.

use std::collections::HashMap;
use std::sync::Arc;

use deriva_api::{
    Blob, BlobStore, BlobStoreExt, Bytes, CAddr, ComputeFunction, Executed, Executor, Operand,
    Operands, Params, Recipe, Result, Step,
};
use futures::{StreamExt, TryStreamExt, stream};

pub(super) use crate::functions::function;
use crate::random::Graph;

use crate::trial::Trial;
use crate::{ExecutorFixture, ModelStore};

/// The inputs one after the other: `concat/1`.
pub(super) fn concat() -> Result<Arc<dyn ComputeFunction>> {
    function("concat/1", |inputs, _| Ok(inputs.concat().into()))
}

/// An executor at work.
pub(super) struct Bench {
    pub(super) executor: Arc<dyn Executor>,
    blobs: Arc<dyn BlobStore>,
}

impl Bench {
    pub(super) async fn open(
        trial: &Trial<dyn ExecutorFixture>,
        functions: Vec<Arc<dyn ComputeFunction>>,
    ) -> Result<Self> {
        let blobs: Arc<dyn BlobStore> = Arc::new(ModelStore::new());
        let executor = trial.fixture.open(functions, blobs.clone()).await?;
        Ok(Self { executor, blobs })
    }

    /// A step with its inputs in the form that the executor wants.
    pub(super) async fn step(
        &self,
        function: &str,
        inputs: &[Blob],
        params: &Params,
    ) -> Result<Step> {
        let addrs: Vec<_> = inputs.iter().map(Blob::addr).collect();
        let recipe = Recipe::new(&function.parse()?, &addrs, params)?;
        let inputs = match self.executor.operands() {
            Operands::Held => inputs.iter().cloned().map(Operand::Held).collect(),
            Operands::Stored => {
                self.blobs.put(inputs).await?;
                inputs
                    .iter()
                    .map(|blob| Operand::Stored(blob.stat()))
                    .collect()
            }
        };
        Ok(Step::new(recipe, inputs))
    }

    /// Runs a step.
    pub(super) async fn run(
        &self,
        function: &str,
        inputs: &[Blob],
        params: &Params,
    ) -> Result<Executed> {
        let step = self.step(function, inputs, params).await?;
        self.executor.execute(step).await
    }

    /// The bytes of an output.
    pub(super) async fn read(&self, executed: &Executed) -> Result<Bytes> {
        match &executed.output {
            Operand::Held(blob) => Ok(blob.bytes().clone()),
            Operand::Stored(stat) => self.blobs.read_all(stat.addr).await,
        }
    }

    /// Runs all recipes of a graph, each as soon as its inputs are there, as many at once as the executor
    /// takes; answers with the outputs, and the leaves.
    pub(super) async fn run_graph(&self, graph: &Graph) -> Result<HashMap<CAddr, Blob>> {
        let mut known: HashMap<CAddr, Blob> = graph
            .leaves
            .iter()
            .map(|leaf| (leaf.addr(), leaf.clone()))
            .collect();
        let mut left: Vec<&Recipe> = graph.recipes.iter().collect();
        while !left.is_empty() {
            let ready = |recipe: &&Recipe| recipe.inputs().all(|input| known.contains_key(&input));
            let (now, later): (Vec<&Recipe>, Vec<&Recipe>) = left.into_iter().partition(ready);
            left = later;
            let known_inputs = |recipe: &Recipe| {
                recipe
                    .inputs()
                    .map(|input| known[&input].clone())
                    .collect::<Vec<_>>()
            };
            let runs = now.iter().map(|recipe| {
                let inputs = known_inputs(recipe);
                async move {
                    let id = recipe.function().to_string();
                    let executed = self.run(&id, &inputs, &recipe.params()?).await?;
                    Ok::<_, deriva_api::Error>((
                        recipe.addr(),
                        Blob::new(self.read(&executed).await?),
                    ))
                }
            });
            let done: Vec<(CAddr, Blob)> = stream::iter(runs)
                .buffer_unordered(self.executor.width())
                .try_collect()
                .await?;
            known.extend(done);
        }
        Ok(known)
    }
}
