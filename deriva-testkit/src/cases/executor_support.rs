//! What several cases for executors need.

use std::fmt;
use std::sync::Arc;

use deriva_api::{
    Blob, BlobStore, BlobStoreExt, Bytes, ComputeFunction, Executed, Executor, FunctionId, Operand,
    Operands, ParamDoc, Params, Recipe, Result, Step, Weight,
};

use crate::trial::Trial;
use crate::{ExecutorFixture, ModelStore};

type Call = dyn Fn(&[Bytes], &Params) -> Result<Bytes> + Send + Sync;

/// A function made of a closure.
struct Closure {
    id: FunctionId,
    call: Box<Call>,
}

/// A heavy function of this name, `concat/1`.
pub(super) fn function(
    id: &str,
    call: impl Fn(&[Bytes], &Params) -> Result<Bytes> + Send + Sync + 'static,
) -> Result<Arc<dyn ComputeFunction>> {
    let (id, call) = (id.parse()?, Box::new(call));
    Ok(Arc::new(Closure { id, call }))
}

impl ComputeFunction for Closure {
    fn id(&self) -> &FunctionId {
        &self.id
    }

    fn weight(&self) -> Weight {
        Weight::Heavy
    }

    fn description(&self) -> &str {
        ""
    }

    fn params(&self) -> &[ParamDoc] {
        &[]
    }

    fn check(&self, _inputs: usize, _params: &Params) -> Result<()> {
        Ok(())
    }

    fn call(&self, inputs: &[Bytes], params: &Params) -> Result<Bytes> {
        (self.call)(inputs, params)
    }
}

impl fmt::Debug for Closure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)
    }
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
        Ok(Step {
            addr: recipe.addr(),
            recipe: Arc::new(recipe),
            inputs,
            fresh: false,
            deadline: None,
        })
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
}
