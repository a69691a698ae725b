//! Whatever of a function panics, wherever it runs: the request fails, and the process lives.

use std::fmt;
use std::panic::panic_any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use deriva::executors::{Executor, InlineExecutor, Operand, PoolExecutor, Step};
use deriva::functions::{ComputeFunction, FunctionRegistry, ParamDoc, Weight};
use deriva::prelude::*;
use deriva::{Clock, SystemClock};
use futures::FutureExt;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(120);

/// Panics when it is dropped, with a payload that does the same, N times.
#[derive(Debug)]
struct Evil(u32);

impl Drop for Evil {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Evil(self.0 - 1));
        }
    }
}

impl fmt::Display for Evil {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("not to be shown")
    }
}

impl std::error::Error for Evil {}

/// Bytes with an evil owner.
struct Owner(Vec<u8>, #[allow(dead_code, reason = "dropped")] Evil);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// What a function does, by name.
fn misbehave(how: &str, inputs: &[Bytes]) -> Result<Bytes> {
    match how {
        "panics" => panic!("in words"),
        "payload" => panic_any(Evil(3)),
        "output" => Ok(Bytes::from_owner(Owner(b"bytes".to_vec(), Evil(3)))),
        "nothing" => Ok(Bytes::from_owner(Owner(Vec::new(), Evil(3)))),
        // Looks like a part of an input, and has an owner all the same.
        "input" => {
            struct Around(Bytes, #[allow(dead_code, reason = "dropped")] Evil);
            impl AsRef<[u8]> for Around {
                fn as_ref(&self) -> &[u8] {
                    &self.0
                }
            }
            Ok(Bytes::from_owner(Around(inputs[0].clone(), Evil(3))))
        }
        "error" => Err(Error::new(ErrorKind::Function, "as it should").caused_by(Evil(3))),
        _ => Ok(inputs.concat().into()),
    }
}

const HOW: [&str; 6] = ["panics", "payload", "output", "nothing", "input", "error"];

/// Where a recipe is run: by which function, on how many bytes.
const WHERE: [(&str, usize); 4] = [("heavy", 8), ("light", 8), ("light", 40_000), ("nested", 8)];

/// A [`Deriva`] whose functions misbehave as their param `how` says.
async fn deriva(executor: Option<Arc<dyn Executor>>, functions: FunctionRegistry) -> Deriva {
    let mut builder = Deriva::builder().store("memory:").functions(functions);
    if let Some(executor) = executor {
        builder = builder.executor(executor);
    }
    builder.jobs(2).build().await.unwrap()
}

/// `heavy`, `light`, and `nested`, which asks `this` for the recipe that its input names.
fn functions(this: &Arc<OnceLock<Deriva>>) -> FunctionRegistry {
    let how = |params: &Params| {
        params
            .text("how")
            .map(|how| how.unwrap_or("well").to_owned())
    };
    let mut functions = FunctionRegistry::new();
    for (name, weight) in [("heavy", Weight::Heavy), ("light", Weight::Light)] {
        let run = move |inputs: &[Bytes], params: &Params| misbehave(&how(params)?, inputs);
        functions.register_fn(name, "1", weight, run).unwrap();
    }
    let this = Arc::clone(this);
    let nested = move |inputs: &[Bytes], params: &Params| {
        let deriva = this.get().unwrap();
        futures::executor::block_on(async {
            let leaf = deriva.put([&inputs[0][..], b" below"].concat()).await?;
            let below = deriva.recipe("heavy", "1").input(leaf);
            let below = below.params(params.clone()).insert().await?;
            deriva.get(below).await
        })
    };
    functions
        .register_fn("nested", "1", Weight::Heavy, nested)
        .unwrap();
    functions
}

async fn ask(deriva: &Deriva, name: &str, bytes: usize, how: &str) -> Result<Bytes> {
    let leaf = deriva.put(vec![b'x'; bytes]).await?;
    let recipe = deriva.recipe(name, "1").input(leaf).param("how", how);
    deriva.get(recipe.insert().await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_panics_is_an_error_wherever_it_runs() {
    for inline in [false, true] {
        let this = Arc::new(OnceLock::new());
        let functions = functions(&this);
        let executor = inline.then(|| -> Arc<dyn Executor> {
            let functions = Arc::new(functions.clone());
            Arc::new(InlineExecutor::new(functions, Arc::new(SystemClock::new())))
        });
        let deriva = deriva(executor, functions).await;
        this.set(deriva.clone()).unwrap();
        for (name, bytes) in WHERE {
            // Its thread would wait for itself.
            if inline && name == "nested" {
                continue;
            }
            for how in HOW {
                let error = ask(&deriva, name, bytes, how).await.unwrap_err();
                assert_eq!(
                    error.kind(),
                    ErrorKind::Function,
                    "{name} {bytes} {how}: {error}"
                );
                assert!(!error.path().is_empty(), "{name} {bytes} {how}: {error}");
            }
            ask(&deriva, name, bytes, "well").await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_panics_beside_the_scheduler_is_an_error() {
    for how in HOW {
        let slow = move |inputs: &[Bytes], _: &Params| {
            // Worth a lane.
            let clock = SystemClock::new();
            while clock.now() < Duration::from_micros(20) {
                std::hint::spin_loop();
            }
            misbehave(how, inputs)
        };
        let builder = Deriva::builder().store("memory:").jobs(3);
        let builder = builder.light_function("light", "1", slow);
        let deriva = builder.build().await.unwrap();
        let mut targets = Vec::new();
        for i in 0..400 {
            let leaf = deriva.put(format!("leaf {i}")).await.unwrap();
            let recipe = deriva.recipe("light", "1").input(leaf);
            targets.push(recipe.insert().await.unwrap());
        }
        let done = deriva.materialize_many(targets).keep_going().await.unwrap();
        assert_eq!(done.summary.failed, 400, "{how}");
        let kinds = done
            .results
            .iter()
            .map(|it| it.as_ref().unwrap_err().kind());
        assert!(kinds.into_iter().all(|kind| kind == ErrorKind::Function));
    }
}

/// Blobs that a store of somebody else's gives out may have evil owners, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_an_input_is_an_error_of_the_step_on_the_pool() {
    let (entered, inside) = mpsc::channel();
    let (go_on, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let mut functions = FunctionRegistry::new();
    let run = move |inputs: &[Bytes], _: &Params| {
        entered.send(()).unwrap();
        held.lock().unwrap().recv().unwrap();
        Ok(inputs[0].slice(..1).to_vec().into())
    };
    functions
        .register_fn("held", "1", Weight::Heavy, run)
        .unwrap();
    let clock = Arc::new(SystemClock::new());
    let pool = PoolExecutor::new(Arc::new(functions), clock, 1).unwrap();
    let evil = Blob::new(Bytes::from_owner(Owner(b"bytes".to_vec(), Evil(3))));
    let step = step("held", evil);
    let executing = tokio::spawn(async move { pool.execute(step).await });
    tokio::task::spawn_blocking(move || inside.recv_timeout(LONG).unwrap())
        .await
        .unwrap();
    go_on.send(()).unwrap();
    let error = executing.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Function, "{error}");
}

fn step(name: &str, input: Blob) -> Step {
    let function = FunctionId::new(name, "1").unwrap();
    let recipe = Recipe::new(&function, &[input.addr()], &Params::new()).unwrap();
    Step::new(recipe, vec![Operand::Held(input)])
}

/// Tells when it is gone.
struct Told(Arc<AtomicBool>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A function that waits, and panics at its own end.
#[derive(Debug)]
struct Ends {
    id: FunctionId,
    entered: mpsc::Sender<()>,
    held: std::sync::Mutex<mpsc::Receiver<()>>,
    gone: Arc<AtomicBool>,
}

impl ComputeFunction for Ends {
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

    fn check(&self, _: usize, _: &Params) -> Result<()> {
        Ok(())
    }

    fn call(&self, _: &[Bytes], _: &Params) -> Result<Bytes> {
        self.entered.send(()).unwrap();
        self.held.lock().unwrap().recv().unwrap();
        Ok(Bytes::new())
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        panic_any(Told(Arc::clone(&self.gone)));
    }
}

#[test]
fn the_end_of_a_function_on_the_pool_hurts_nobody() {
    let (entered, inside) = mpsc::channel();
    let (go_on, held) = mpsc::channel();
    let gone = Arc::new(AtomicBool::new(false));
    let mut functions = FunctionRegistry::new();
    let ends = Ends {
        id: FunctionId::new("ends", "1").unwrap(),
        entered,
        held: std::sync::Mutex::new(held),
        gone: Arc::clone(&gone),
    };
    functions.register(Arc::new(ends)).unwrap();
    let clock = Arc::new(SystemClock::new());
    let pool = PoolExecutor::new(Arc::new(functions), clock, 1).unwrap();
    let mut executing = pool.execute(step("ends", Blob::new("x")));
    assert!((&mut executing).now_or_never().is_none());
    inside.recv_timeout(LONG).unwrap();
    // Now the pool's thread alone holds the function.
    drop(executing);
    drop(pool);
    go_on.send(()).unwrap();
    let clock = SystemClock::new();
    while !gone.load(Ordering::SeqCst) {
        assert!(clock.now() < LONG, "the panic was not let go of");
        thread::yield_now();
    }
}

/// Panics instead of executing; or when it is given up after that.
#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

struct Bursts;

impl Future for Bursts {
    type Output = Result<deriva::executors::Executed>;

    fn poll(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        panic_any(Evil(2))
    }
}

impl Drop for Bursts {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic_any(Evil(2));
        }
    }
}

impl Executor for Broken {
    fn supports(&self, _: &FunctionId) -> bool {
        true
    }

    fn operands(&self) -> deriva::executors::Operands {
        deriva::executors::Operands::Held
    }

    fn width(&self) -> usize {
        1
    }

    fn execute<'a: 'b, 'b>(
        &'a self,
        _: Step,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<deriva::executors::Executed>> + Send + 'b>>
    where
        Self: 'b,
    {
        Box::pin(Bursts)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_executor_that_panics_fails_the_step() {
    let functions = functions(&Arc::default());
    let deriva = deriva(Some(Arc::new(Broken)), functions).await;
    let asked = tokio::time::timeout(LONG, ask(&deriva, "heavy", 8, "well"));
    let error = asked.await.expect("the request ends").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
}
