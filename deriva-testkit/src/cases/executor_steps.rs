//! Cases for single steps: what goes in, what comes out, what goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deriva_api::{Blob, Bytes, Error, ErrorKind, FunctionId, Params, Value};

use super::executor_support::{Bench, concat, function};
use super::support::{in_every_runtime, kind, random_blob};
use super::support_faults::polled;
use crate::{ModelStore, functions, random, reference};

crate::case::cases! { $ each_executor_steps_case, Executor, Core:
    /// E8: inputs reach the function in the order of the recipe, the same one twice, too.
    async fn inputs_keep_their_order(trial) {
        let bench = Bench::open(trial, vec![concat()?]).await?;
        let inputs = ["a", "b", "", "a", "c"].map(Blob::new);
        let executed = bench.run("concat/1", &inputs, &Params::new()).await?;
        assert_eq!(bench.read(&executed).await?, "abac");
        Ok(())
    }

    /// E8: params reach the function as the recipe has them.
    async fn params_reach_the_function(trial) {
        let show = function("show/1", |_, params| Ok(format!("{params:?}").into()))?;
        let bench = Bench::open(trial, vec![show]).await?;
        let nested = Value::List(vec![Value::Null, Value::from(-0.0), Value::from("é")]);
        for params in [Params::new(), Params::new().with("x", 1).with("nested", nested)] {
            let executed = bench.run("show/1", &[], &params).await?;
            assert_eq!(bench.read(&executed).await?, format!("{params:?}"));
        }
        Ok(())
    }

    /// E8: outputs are the bytes that the function returned, of any size, under their own address.
    async fn outputs_of_any_size_come_back(trial) {
        let bench = Bench::open(trial, vec![concat()?]).await?;
        for size in [0, 1, 1024, 70_000, 3_000_000] {
            let blob = random_blob(size as u64, size);
            let executed = bench.run("concat/1", std::slice::from_ref(&blob), &Params::new()).await?;
            assert_eq!(executed.output.stat(), blob.stat());
            assert!(bench.read(&executed).await? == blob.bytes());
        }
        Ok(())
    }

    /// E6: what an executor was given it supports, and nothing else: not another version, and running an
    /// unknown function is `Unsupported`.
    async fn unknown_functions_are_unsupported(trial) {
        let bench = Bench::open(trial, vec![concat()?]).await?;
        assert!(bench.executor.supports(&"concat/1".parse()?));
        for unknown in ["concat/2", "concat/10", "conca/1", "other/1"] {
            assert!(!bench.executor.supports(&unknown.parse::<FunctionId>()?), "{unknown}");
            let refused = bench.run(unknown, &[], &Params::new()).await;
            assert_eq!(kind(refused), Some(ErrorKind::Unsupported), "{unknown}");
        }
        Ok(())
    }

    /// E5: an error of a function comes back with its kind, and the executor goes on.
    async fn errors_keep_their_kind(trial) {
        let kinds = [ErrorKind::Function, ErrorKind::Invalid, ErrorKind::Unavailable, ErrorKind::Full];
        let fail = function("fail/1", move |_, params| {
            let at = params.int("at")?.unwrap_or_default() as usize;
            Err(Error::new(kinds[at], "it went wrong").with("at", at))
        })?;
        let bench = Bench::open(trial, vec![fail, concat()?]).await?;
        for (at, expected) in (0..).zip(kinds) {
            let failed = bench.run("fail/1", &[], &Params::new().with("at", at)).await;
            let named = failed.as_ref().err().and_then(|error| error.context("at")).map(str::to_owned);
            assert_eq!(kind(failed), Some(expected));
            assert_eq!(named, Some(at.to_string()));
        }
        bench.run("concat/1", &[], &Params::new()).await.map(drop)
    }

    /// E5: a failure is not remembered: the step runs when it is asked for again.
    async fn failures_are_not_remembered(trial) {
        let calls = AtomicUsize::new(0);
        let recover = function("recover/1", move |_, _| match calls.fetch_add(1, Ordering::SeqCst) {
            0 => Err(Error::new(ErrorKind::Function, "once")),
            _ => Ok(Bytes::from_static(b"recovered")),
        })?;
        let bench = Bench::open(trial, vec![recover]).await?;
        let failed = bench.run("recover/1", &[], &Params::new()).await;
        assert_eq!(kind(failed), Some(ErrorKind::Function));
        let executed = bench.run("recover/1", &[], &Params::new()).await?;
        assert_eq!(bench.read(&executed).await?, "recovered");
        Ok(())
    }

    /// E4: a panic in a function is an error of kind `Function`, also many times, and the executor goes on.
    async fn panics_are_errors(trial) {
        let panic = function("panic/1", |_, _| panic!("on purpose"))?;
        let bench = Bench::open(trial, vec![panic, concat()?]).await?;
        for _ in 0..2 * bench.executor.width().min(50) {
            let failed = bench.run("panic/1", &[], &Params::new()).await;
            assert_eq!(kind(failed), Some(ErrorKind::Function));
        }
        let executed = bench.run("concat/1", &[Blob::new("on")], &Params::new()).await?;
        assert_eq!(bench.read(&executed).await?, "on");
        Ok(())
    }

    /// E10: a step that must be fresh runs the function, also when it has run before; one that reuses a
    /// result says so.
    async fn fresh_steps_run_again(trial) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let count = function("count/1", move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(Bytes::from_static(b"same"))
        })?;
        let bench = Bench::open(trial, vec![count]).await?;
        for expected in 1..=3 {
            let mut step = bench.step("count/1", &[], &Params::new()).await?;
            step.fresh = true;
            let executed = bench.executor.execute(step).await?;
            assert!(!executed.reused, "a fresh step reuses nothing");
            assert_eq!(calls.load(Ordering::SeqCst), expected);
        }
        let executed = bench.run("count/1", &[], &Params::new()).await?;
        let ran = calls.load(Ordering::SeqCst) == 4;
        assert_ne!(executed.reused, ran, "either it ran, or it was reused");
        assert_eq!(bench.read(&executed).await?, "same");
        Ok(())
    }

    /// E10: honest functions give the same bytes each time that they are run.
    async fn honest_functions_repeat_themselves(trial) {
        let bench = Bench::open(trial, functions::honest()).await?;
        let inputs = [Blob::new("one two two"), Blob::new("three")];
        for function in functions::honest() {
            let id = function.id().to_string();
            let mut outputs = Vec::new();
            for _ in 0..3 {
                let mut step = bench.step(&id, &inputs, &Params::new()).await?;
                step.fresh = true;
                outputs.push(bench.executor.execute(step).await?.output.stat());
            }
            assert!(outputs.iter().all(|output| *output == outputs[0]), "{id}: {outputs:?}");
        }
        Ok(())
    }

    /// E11: a step that is given up disturbs no other.
    async fn dropped_steps_disturb_nothing(trial) {
        let bench = Bench::open(trial, vec![concat()?]).await?;
        for polls in 1..20 {
            polled(bench.run("concat/1", &[random_blob(polls, 100_000)], &Params::new()), polls % 3).await;
        }
        let executed = bench.run("concat/1", &[Blob::new("on")], &Params::new()).await?;
        assert_eq!(bench.read(&executed).await?, "on");
        Ok(())
    }

    /// C5: steps run in any runtime: none, and each flavour of tokio.
    async fn steps_run_in_any_runtime(trial) {
        let bench = Bench::open(trial, vec![concat()?]).await?;
        in_every_runtime(async |seed| {
            let blob = random_blob(seed, 5000);
            let executed = bench.run("concat/1", std::slice::from_ref(&blob), &Params::new()).await?;
            assert_eq!(executed.output.stat(), blob.stat());
            Ok(())
        })
    }

    /// E16: generated graphs come out with the bytes of the sequential reference.
    async fn graphs_come_out_as_in_the_reference(trial) {
        use deriva_api::{BlobStore, ComputeFunction, DagStore};
        let bench = Bench::open(trial, functions::graph()).await?;
        for seed in 0..6 {
            let graph = random::graph(seed, 60)?;
            let store = ModelStore::new();
            store.put(&graph.leaves).await?;
            store.insert(&graph.recipes).await?;
            let outputs = bench.run_graph(&graph).await?;
            let known = |id: &FunctionId| -> Option<Arc<dyn ComputeFunction>> {
                functions::graph().into_iter().find(|function| function.id() == id)
            };
            for recipe in graph.recipes.iter().rev().step_by(7) {
                let expected = reference::materialize(&store, &store, known, recipe.addr()).await?;
                assert!(outputs.get(&recipe.addr()) == Some(&Blob::new(expected)), "seed {seed}, {recipe:?}");
            }
        }
        Ok(())
    }
}
