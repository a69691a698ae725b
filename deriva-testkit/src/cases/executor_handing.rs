//! Cases for what comes with a step beside its inputs, and what is told of it: what a layer around an executor loses
//! most easily.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use deriva_api::{
    Blob, Bytes, CallContext, Clock, ComputeFunction, Error, ErrorKind, FnFunction, FunctionId,
    Params, Result, SystemClock, Weight,
};
use parking_lot::Mutex;

use super::executor_support::{Bench, concat, function};
use super::meeting::Meeting;
use super::support::kind;
use super::support_faults::polled;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(10);

crate::case::cases! { $ each_executor_handing_case, Executor, Core:
    /// E10: a result is said to be reused where the function did not run for it, and nowhere else: not the first time
    /// that a function is applied to these inputs and params, and not where the step must be fresh.
    async fn reuse_is_told_truly(trial) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let show = function("show/1", move |inputs, params| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(format!("{inputs:?} {params:?}").into())
        })?;
        let bench = Bench::open(trial, vec![show]).await?;
        let (a, b) = (Blob::new("a"), Blob::new("b"));
        let (none, one) = (Params::new(), Params::new().with("n", 1));
        let all = [([&a, &b], &none), ([&b, &a], &none), ([&a, &a], &none), ([&a, &b], &one)];
        for (nth, fresh) in [false, false, true, false].into_iter().enumerate() {
            for (inputs, params) in all {
                let what = format!("{inputs:?} {params:?}, fresh: {fresh}, asked before: {nth}");
                let before = calls.load(Ordering::SeqCst);
                let mut step = bench.step("show/1", &inputs.map(Blob::clone), params).await?;
                step.fresh = fresh;
                let executed = bench.executor.execute(step).await?;
                let ran = calls.load(Ordering::SeqCst) - before;
                assert!(ran <= 1, "it ran {ran} times: {what}");
                assert_eq!(executed.reused, ran == 0, "{what}");
                assert!(ran == 1 || !(fresh || nth == 0), "it did not run: {what}");
                let expected = format!("{:?} {params:?}", inputs.map(Blob::bytes));
                assert_eq!(bench.read(&executed).await?, expected, "{what}");
            }
        }
        Ok(())
    }

    /// E6: what an executor says of itself stays, whatever ran, failed or was given up: which functions it supports, in
    /// what form it wants inputs, how wide it is.
    async fn what_an_executor_says_of_itself_stays(trial) {
        let fail = function("fail/1", |_, _| Err(Error::new(ErrorKind::Unavailable, "as it should")))?;
        let panic = function("panic/1", |_, _| panic!("on purpose"))?;
        let bench = Bench::open(trial, vec![concat()?, fail, panic]).await?;
        let names = ["concat/1", "fail/1", "panic/1", "other/1"];
        let functions = names.iter().map(|name| name.parse()).collect::<Result<Vec<FunctionId>>>()?;
        let says = || {
            let supports = functions.iter().map(|function| bench.executor.supports(function));
            (supports.collect::<Vec<bool>>(), bench.executor.operands(), bench.executor.width())
        };
        let before = says();
        assert_eq!(before.0, [true, true, true, false]);
        for name in names.into_iter().cycle().take(12) {
            let inputs = [Blob::new("bytes")];
            let ran = bench.run(name, &inputs, &Params::new()).await;
            assert_eq!(ran.is_ok(), name == "concat/1", "{name}");
            polled(bench.run(name, &inputs, &Params::new()), 1).await;
            assert_eq!(says(), before, "after {name}");
        }
        Ok(())
    }

    /// E17: a step that has no time left is `Timeout`, and its function does not run.
    async fn a_step_without_time_is_not_run(trial) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let count = function("count/1", move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(Bytes::from_static(b"ran"))
        })?;
        let bench = Bench::open(trial, vec![count]).await?;
        for (deadline, expected) in [(Some(Duration::ZERO), 0), (Some(LONG), 1)] {
            let mut step = bench.step("count/1", &[], &Params::new()).await?;
            step.deadline = deadline;
            step.context = CallContext::new(Arc::new(SystemClock::new()), deadline);
            let ran = bench.executor.execute(step).await;
            assert_eq!(calls.load(Ordering::SeqCst), expected, "{deadline:?}");
            match expected {
                0 => assert_eq!(kind(ran), Some(ErrorKind::Timeout)),
                _ => assert_eq!(bench.read(&ran?).await?, "ran"),
            }
        }
        Ok(())
    }

    /// E17: the context of a step reaches its function, and what the function tells there is heard: how far it is, how
    /// much time is left, that the call is given up, and that its time is over.
    async fn the_context_reaches_the_function(trial) {
        let left = Arc::new(Mutex::new(None));
        let bench = Bench::open(trial, vec![patient(left.clone())?]).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        // Given up by whoever hears how far it is: that may be on the thread of the function.
        let own = Arc::new(OnceLock::<CallContext>::new());
        let heard = Arc::new(Mutex::new(None));
        let (of, told) = (own.clone(), heard.clone());
        let hear = move |done, all| {
            told.lock().get_or_insert((done, all));
            if let Some(context) = of.get() {
                context.cancel();
            }
        };
        let context = CallContext::telling(clock.clone(), Some(LONG), Some(Box::new(hear)));
        let context = own.get_or_init(|| context);
        let mut step = bench.step("patient/1", &[], &Params::new()).await?;
        step.deadline = Some(LONG);
        step.context = context.clone();
        let given_up = bench.executor.execute(step).await;
        assert_eq!(kind(given_up), Some(ErrorKind::Cancelled));
        assert_eq!(*heard.lock(), Some((3, Some(7))));
        let left = left.lock().flatten();
        assert!(left.is_some_and(|left| left <= LONG && !left.is_zero()), "{left:?} is left");

        let soon = Some(Duration::from_millis(20));
        let mut step = bench.step("patient/1", &[], &Params::new()).await?;
        step.deadline = soon;
        step.context = CallContext::new(clock, soon);
        let late = bench.executor.execute(step).await;
        assert_eq!(kind(late), Some(ErrorKind::Timeout));
        Ok(())
    }
}

/// `patient/1` goes on until its context says that it need not, where that has a deadline. It notes how much time it was
/// given first.
fn patient(left: Arc<Mutex<Option<Option<Duration>>>>) -> Result<Arc<dyn ComputeFunction>> {
    let nobody = Meeting::default();
    let go_on = move |_: &[Bytes], _: &Params, context: &CallContext| {
        left.lock().get_or_insert(context.remaining());
        context.progress(3, Some(7));
        while context.remaining().is_some() {
            context.check()?;
            nobody.meet(usize::MAX, Duration::from_millis(1));
        }
        Ok(Bytes::from_static(b"without a deadline"))
    };
    Ok(Arc::new(FnFunction::within(
        "patient/1".parse()?,
        Weight::Heavy,
        go_on,
    )))
}
