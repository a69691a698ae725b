//! What the cases for faults and models need.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deriva_api::{Clock, Error, ErrorKind, OpenedStore, Result, SystemClock};
use futures::future::{Either, select};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use tokio::runtime::Handle;

use crate::differing::Differing;
use crate::operations::{self, Action, State, World};
use crate::trial::Trial;
use crate::{FaultLayer, Fixture};

/// Sequences of one run of the model cases, and how long they may be. The tests of stores can run more:
/// see [`operations`].
const SEQUENCES: u32 = 16;
const LONGEST: usize = 40;

/// Does random sequences to a new store each, and to the model; a failing one is shrunk.
pub(super) fn agrees_with_the_model(
    trial: &Trial<dyn Fixture>,
    half: fn(OpenedStore) -> OpenedStore,
) -> Result<()> {
    let config = Config {
        cases: SEQUENCES,
        max_shrink_iters: 300,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let runtime = Handle::current();
    let agree = |actions: Vec<Action>| {
        let fixture = Half {
            fixture: trial.another(),
            half,
        };
        let agreed = runtime.block_on(operations::agree(&fixture, &actions));
        agreed.map_err(|error| TestCaseError::fail(error.to_string()))
    };
    // A thread of its own, as the one of the case is inside the runtime.
    let outcome = std::thread::scope(|scope| {
        let thread = scope.spawn(|| runner.run(&operations::actions(LONGEST), agree));
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    outcome.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))
}

/// A fixture of which only one half is looked at.
#[derive(Debug)]
struct Half {
    fixture: Arc<dyn Fixture>,
    half: fn(OpenedStore) -> OpenedStore,
}

#[async_trait]
impl Fixture for Half {
    async fn open(&self) -> Result<OpenedStore> {
        self.fixture.open().await.map(self.half)
    }

    fn persistent(&self) -> bool {
        self.fixture.persistent()
    }

    async fn crash(&self) -> Result<()> {
        self.fixture.crash().await
    }
}

/// Actions that the store has to do in any case, with a fault at each call, one at a time.
pub(super) async fn check_every_fault(
    trial: &Trial<dyn Fixture>,
    wrap: impl Fn(OpenedStore, &FaultLayer) -> OpenedStore,
) -> Result<()> {
    let world = World::new();
    let layer = FaultLayer::new();
    let store = wrap(trial.open().await?, &layer);
    let model = operations::model_like(&store);
    let mut injected = 0;
    for action in (0..).flat_map(|seed| operations::seeded(seed, 60)).take(80) {
        for lost in [false, true] {
            // Calls are counted within an action; the last count is one that it does not reach.
            for nth in 1.. {
                let before = State::read(&world, &model).await?;
                match lost {
                    false => layer.faults().fail_call(nth, ErrorKind::Unavailable),
                    true => layer.faults().lose_call(nth, ErrorKind::Unavailable),
                }
                world.act(&store, &action).await;
                layer.faults().clear();
                let failed = layer.faults().injected() > injected;
                injected = layer.faults().injected();
                if failed && !lost {
                    check(&world, &store, &before, &action).await?;
                }
                world.act(&model, &action).await;
                world.act(&store, &action).await;
                let after = State::read(&world, &model).await?;
                check(&world, &store, &after, &action).await?;
                if !failed {
                    break;
                }
            }
        }
    }
    assert!(injected > 40, "only {injected} faults were injected");
    Ok(())
}

async fn check(
    world: &World,
    store: &OpenedStore,
    expected: &State,
    action: &Action,
) -> Result<()> {
    let found = State::read(world, store).await?;
    if let Some((expected, found)) = found.differs(expected) {
        let message = "the state is not what it was before the fault, nor what it should be after";
        let differing = Differing {
            found: ("the store", &found),
            expected: ("the model", &expected),
        };
        return Err(Error::new(ErrorKind::Internal, message)
            .with("action", format!("{action:?}"))
            .with("where", differing.to_string().replace('\n', "; ")));
    }
    Ok(())
}

/// Polls a call that often at the most, then drops it.
pub(super) async fn polled<T>(call: impl Future<Output = T>, polls: u64) {
    let ticks = pin!(async {
        for _ in 0..polls {
            tokio::task::yield_now().await;
        }
    });
    match select(ticks, pin!(call)).await {
        Either::Left(_) | Either::Right(_) => {}
    }
}

/// Asks again and again until the answer is yes: for what goes on after a call was dropped.
pub(super) async fn settles(mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let clock = SystemClock::new();
    for _ in 0..2000 {
        if holds().await? {
            return Ok(());
        }
        clock.sleep(Duration::from_millis(5)).await;
    }
    let message = "a call that was dropped halfway left half of its work";
    Err(Error::new(ErrorKind::Internal, message))
}
