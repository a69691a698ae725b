//! The planner over stores in memory, and plans for the tests of a run; no [`crate::Deriva`] is needed.

use deriva_api::{
    Blob, Bytes, DurabilityClass, ErrorKind, FunctionId, Params, Record, SystemClock, Weight,
};
use deriva_testkit::ModelStore;

use super::*;
use crate::cache::BlobCache;
use crate::execute::InlineExecutor;
use crate::materialize::carried::Seen;
use crate::shared::claimant::Urgency;
use crate::shared::flights::Landing;
use crate::shared::memory::{Account, Memory};

/// A plan: node n has the inputs `of[n]`, which come after it, and is stored where that is `None`. Node 0 is requested.
pub(crate) fn planned(of: &[Option<&[NodeId]>], weight: Weight) -> Plan {
    let mut plan = Plan {
        functions: registry(weight).iter().cloned().collect(),
        targets: vec![0],
        inputs_at: vec![0],
        ..Plan::default()
    };
    for (node, inputs) in of.iter().enumerate() {
        plan.addrs.push(CAddr::of_blob(&node.to_le_bytes()));
        plan.tasks.push(Task::Join);
        let above = of.iter().position(|inputs| {
            let mut inputs = inputs.iter().flat_map(|inputs| inputs.iter());
            inputs.any(|input| *input as usize == node)
        });
        plan.found_by.push(above.unwrap_or(node) as NodeId);
        match inputs {
            None => {
                let stat = content(node as NodeId).stat();
                plan.set_stored(node as NodeId, stat, false);
            }
            Some(inputs) => {
                plan.inputs.extend_from_slice(inputs);
                let inputs: Vec<CAddr> = (inputs.iter())
                    .map(|input| CAddr::of_blob(&(*input as usize).to_le_bytes()))
                    .collect();
                plan.tasks[node] = Task::Compute {
                    recipe: plan.recipes.len() as u32,
                    function: 0,
                    has_params: false,
                };
                let recipe = Recipe::new(&function(), &inputs, &Params::new());
                plan.recipes.push(recipe.unwrap());
            }
        }
        plan.inputs_at.push(plan.inputs.len() as u32);
    }
    plan.link();
    plan
}

/// The bytes of a stored node of [`planned`]: 100 of them.
pub(crate) fn content(node: NodeId) -> Blob {
    Blob::new(vec![node as u8; 100])
}

/// An account in a budget of N bytes, with a cache that holds nothing.
pub(crate) fn account(limit: u64) -> (Arc<Memory>, Account) {
    let memory = Memory::new(limit, Arc::new(BlobCache::new(0)));
    let account = memory.account();
    (memory, account)
}

fn function() -> FunctionId {
    FunctionId::new("join", "1").unwrap()
}

fn registry(weight: Weight) -> FunctionRegistry {
    let mut functions = FunctionRegistry::new();
    let join = |inputs: &[Bytes], _: &Params| Ok(inputs.concat().into());
    functions.register_fn("join", "1", weight, join).unwrap();
    functions
}

/// All that the planner asks.
struct World {
    store: ModelStore,
    functions: FunctionRegistry,
    executor: InlineExecutor,
    flights: Arc<Flights>,
    invalidations: Arc<Invalidations>,
    costs: Costs,
    clock: Arc<SystemClock>,
    ledger: Ledger,
    policies: Policies,
    claimant: Arc<Claimant>,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(SystemClock::new());
        let functions = registry(Weight::Light);
        Self {
            store: ModelStore::new(),
            executor: InlineExecutor::new(Arc::new(functions.clone()), clock.clone()),
            functions,
            flights: Arc::default(),
            invalidations: Arc::default(),
            costs: Costs::new(DurabilityClass::None),
            clock,
            ledger: Ledger::default(),
            policies: Policies::default(),
            claimant: Claimant::new(1, Urgency::NONE),
        }
    }

    async fn leaf(&self, bytes: &[u8]) -> CAddr {
        let blob = Blob::new(bytes.to_vec());
        self.store.put(std::slice::from_ref(&blob)).await.unwrap();
        blob.addr()
    }

    async fn recipe(&self, inputs: &[CAddr]) -> CAddr {
        let recipe = Recipe::new(&function(), inputs, &Params::new()).unwrap();
        self.store
            .insert(std::slice::from_ref(&recipe))
            .await
            .unwrap();
        recipe.addr()
    }

    async fn plan(&self, target: CAddr, carried: &Carried, recipes: usize) -> Result<Planned> {
        let planning = Planning {
            ledger: &self.ledger,
            policies: &self.policies,
            dag: &self.store,
            blobs: &self.store,
            functions: &self.functions,
            executor: &self.executor,
            flights: &self.flights,
            invalidations: &self.invalidations,
            costs: &self.costs,
            clock: &*self.clock,
        };
        let room = Room {
            recipes,
            least: recipes,
            bytes: u64::MAX,
        };
        plan(planning, &self.claimant, &[target], carried, room).await
    }

    async fn whole(&self, target: CAddr, carried: &Carried) -> (Plan, Claims) {
        match self.plan(target, carried, 1000).await.unwrap() {
            Planned::Whole(plan, claims) => (*plan, claims),
            Planned::TooMany(frontier) => panic!("{frontier:?}"),
        }
    }
}

#[tokio::test]
async fn a_plan_ends_at_blobs_and_at_what_is_recorded_and_claims_the_rest() {
    let world = World::new();
    let (a, b) = (world.leaf(b"a").await, world.leaf(b"b").await);
    let made = world.recipe(&[a]).await;
    let open = world.recipe(&[made, b, b]).await;
    let output = Output {
        addr: a,
        len: 1,
        cost: std::time::Duration::ZERO,
    };
    let record = Record {
        addr: made,
        resolved: None,
        output,
    };
    world.store.record(&[record]).await.unwrap();
    let (plan, claims) = world.whole(open, &Carried::default()).await;
    let addrs: Vec<CAddr> = plan.nodes().map(|node| plan.addr(node)).collect();
    assert_eq!(addrs, [open, made, b]);
    assert_eq!((plan.computes(), plan.targets.as_slice()), (1, &[0][..]));
    assert_eq!(plan.inputs(0), [1, 2, 2]);
    assert_eq!(
        (plan.dependents(1), plan.dependents(2)),
        (&[0][..], &[0, 0][..])
    );
    assert_eq!(plan.reused, [(made, output)]);
    assert!(matches!(plan.task(1), Task::Stored { made: true, .. }));
    assert!(matches!(plan.task(2), Task::Stored { made: false, .. }));
    assert_eq!(plan.path(2), [open, b]);
    // Claimed once: a second plan waits for the first one's.
    assert_eq!(world.flights.in_use(), 1);
    let (other, none) = world.whole(open, &Carried::default()).await;
    assert_eq!((other.computes(), other.joins.len()), (0, 1));
    assert_eq!(other.task(0), Task::Join);
    drop((other, none, claims));
    assert_eq!(
        world.flights.in_use(),
        0,
        "claims that nobody took over are abandoned"
    );
}

#[tokio::test]
async fn what_an_earlier_plan_found_out_is_not_planned_again() {
    let world = World::new();
    let leaf = world.leaf(b"leaf").await;
    let (held, failed) = (
        world.recipe(&[leaf]).await,
        world.recipe(&[leaf, leaf]).await,
    );
    let top = world.recipe(&[held, failed]).await;
    let mut carried = Carried::default();
    let output = Output {
        addr: leaf,
        len: 4,
        cost: std::time::Duration::ZERO,
    };
    let error = Error::new(ErrorKind::Function, "it failed");
    carried.add([
        (held, Seen::Held(output, Blob::new("leaf"))),
        (failed, Seen::Failed(error)),
    ]);
    let (plan, claims) = world.whole(top, &carried).await;
    assert_eq!((plan.task(1), plan.task(2)), (Task::Held, Task::Failed));
    assert_eq!(plan.computes(), 1);
    for addr in claims.disarm() {
        let failed = Landing::Failed(Error::new(ErrorKind::Function, "landed"));
        let revision = world.invalidations.now();
        world
            .flights
            .land_unrecorded(&world.invalidations, revision, [(addr, failed)]);
    }
    assert_eq!(world.flights.in_use(), 0);
}

#[tokio::test]
async fn more_recipes_than_there_is_room_for_give_the_frontier() {
    let world = World::new();
    let mut below = Vec::new();
    for leaf in 0..2 * BATCH {
        let leaf = world.leaf(&leaf.to_le_bytes()).await;
        below.push(world.recipe(&[leaf]).await);
    }
    let top = world.recipe(&below).await;
    let planned = world.plan(top, &Carried::default(), BATCH).await.unwrap();
    let Planned::TooMany(frontier) = planned else {
        panic!("there is no room for {} recipes", below.len());
    };
    assert!(!frontier.is_empty() && frontier.iter().all(|addr| *addr != top));
    assert_eq!(
        world.flights.in_use(),
        0,
        "nothing is claimed by a plan that is not carried out"
    );
}

#[tokio::test]
async fn all_that_is_missing_is_told_at_once_and_nothing_is_claimed() {
    let world = World::new();
    let (gone, away) = (CAddr::of_blob(b"gone"), CAddr::of_blob(b"away"));
    let unknown = FunctionId::new("unknown", "7").unwrap();
    let unknown = Recipe::new(&unknown, &[away], &Params::new()).unwrap();
    world
        .store
        .insert(std::slice::from_ref(&unknown))
        .await
        .unwrap();
    let top = world.recipe(&[gone, unknown.addr()]).await;
    let error = world
        .plan(top, &Carried::default(), 1000)
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let text = format!("{error:#}");
    for named in [
        gone.to_string(),
        away.to_string(),
        unknown.function().to_string(),
    ] {
        assert!(text.contains(&named), "{named} in {text}");
    }
    assert_eq!(error.path(), [top, gone]);
    assert_eq!(world.flights.in_use(), 0);
}
