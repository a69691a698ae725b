//! The graph in two tiers: outputs are served from copies, and never one that was forgotten.

use std::sync::Arc;

use deriva_api::Layers;
use deriva_api::{CAddr, DagStore, DagStoreExt, ErrorKind, Output, Params, Recipe, Record};
use deriva_layers::{TieredLayer, Traffic};
use deriva_testkit::{
    CountingLayer, Counts, FaultLayer, Faults, ModelStore, Operation, SplitMix64,
};
use futures::executor::block_on;

use crate::support::{dag, faulty, kind, opened, output, recipe};

struct Bench {
    store: Arc<dyn DagStore>,
    fast: ModelStore,
    slow: ModelStore,
    fast_faults: Faults,
    slow_faults: Faults,
    slow_calls: Counts,
    traffic: Traffic,
}

fn bench(settings: impl FnOnce(TieredLayer) -> TieredLayer) -> Bench {
    let (fast, slow) = (ModelStore::new(), ModelStore::new());
    let (fast_faults, slow_faults) = (FaultLayer::new(), FaultLayer::new());
    let counting = CountingLayer::new();
    let layer = settings(TieredLayer::new(faulty(&fast_faults, fast.clone())));
    let layers = Layers::new()
        .layer(layer.clone())
        .layer(counting.clone())
        .layer(slow_faults.clone());
    Bench {
        store: dag(&layers, opened(slow.clone())),
        fast,
        slow,
        fast_faults: fast_faults.faults(),
        slow_faults: slow_faults.faults(),
        slow_calls: counting.counts(),
        traffic: layer.traffic(),
    }
}

impl Bench {
    fn slow_reads(&self) -> u64 {
        let calls = |operation| self.slow_calls.of(operation);
        calls(Operation::DagGetMany) + calls(Operation::DagOutputs)
    }

    async fn node_output(&self, addr: CAddr) -> Option<Output> {
        self.store.get_one(addr).await.unwrap().unwrap().output
    }

    async fn output(&self, addr: CAddr) -> Option<Output> {
        self.store.outputs(&[addr]).await.unwrap()[0]
    }
}

fn record(addr: CAddr, output: Output) -> Record {
    Record {
        addr,
        resolved: None,
        output,
    }
}

#[test]
fn recipes_with_an_output_are_read_from_the_fast_store() {
    block_on(async {
        let bench = bench(|layer| layer);
        let one = recipe("f/1", &[CAddr::MIN]);
        let (addr, made) = (one.addr(), output("made"));
        bench
            .store
            .insert(std::slice::from_ref(&one))
            .await
            .unwrap();
        // Without an output, what is known may change any time: it is asked for.
        for _ in 0..3 {
            assert_eq!(bench.node_output(addr).await, None);
            assert_eq!(bench.output(addr).await, None);
        }
        assert_eq!(bench.slow_reads(), 6);
        bench.store.record(&[record(addr, made)]).await.unwrap();
        assert_eq!(bench.node_output(addr).await, Some(made));
        assert_eq!(bench.slow_reads(), 7);
        for _ in 0..3 {
            let node = bench.store.get_one(addr).await.unwrap().unwrap();
            assert_eq!((node.recipe, node.output), (one.clone(), Some(made)));
            assert_eq!(bench.output(addr).await, Some(made));
        }
        assert_eq!(bench.slow_reads(), 7);
        assert_eq!((bench.traffic.hits(), bench.traffic.misses()), (6, 7));
    });
}

#[test]
fn a_forgotten_output_is_not_served_and_may_differ_later() {
    block_on(async {
        let bench = bench(|layer| layer);
        let one = recipe("f/1", &[]);
        let addr = one.addr();
        bench.store.insert(&[one]).await.unwrap();
        for made in [output("first"), output("second"), output("third")] {
            bench.store.record(&[record(addr, made)]).await.unwrap();
            assert_eq!(bench.node_output(addr).await, Some(made));
            assert_eq!(bench.output(addr).await, Some(made));
            assert_eq!(bench.store.forget(&[addr]).await.unwrap(), 1);
            assert_eq!(bench.output(addr).await, None);
            assert_eq!(bench.node_output(addr).await, None);
        }
        assert_eq!(bench.traffic.faults(), 0);
    });
}

#[test]
fn a_removed_recipe_is_gone_and_one_that_is_needed_stays() {
    block_on(async {
        let bench = bench(|layer| layer);
        let below = recipe("f/1", &[]);
        let above = recipe("g/1", &[below.addr()]);
        let addrs = [below.addr(), above.addr()];
        bench.store.insert(&[below, above]).await.unwrap();
        let records = addrs.map(|addr| record(addr, output("made")));
        bench.store.record(&records).await.unwrap();
        bench.store.get_many(&addrs).await.unwrap();
        let refused = bench.store.remove(&addrs[..1]).await;
        assert_eq!(kind(refused), Some(ErrorKind::Conflict));
        assert_eq!(bench.node_output(addrs[0]).await, Some(output("made")));
        assert_eq!(bench.store.remove(&addrs).await.unwrap(), 2);
        assert!(
            bench
                .store
                .get_many(&addrs)
                .await
                .unwrap()
                .iter()
                .all(Option::is_none)
        );
        assert_eq!(bench.store.outputs(&addrs).await.unwrap(), [None, None]);
    });
}

/// The first output stays with its cost; a copy shows the same.
#[test]
fn a_copy_is_what_the_slow_store_says_to_the_letter() {
    block_on(async {
        let bench = bench(|layer| layer);
        let one = recipe("f/1", &[]);
        let (addr, first) = (one.addr(), output("made"));
        bench.store.insert(&[one]).await.unwrap();
        bench.store.record(&[record(addr, first)]).await.unwrap();
        let slower = Output {
            cost: first.cost * 9,
            ..first
        };
        assert!(
            bench
                .store
                .record(&[record(addr, slower)])
                .await
                .unwrap()
                .is_empty()
        );
        let other = output("other");
        let divergences = bench.store.record(&[record(addr, other)]).await.unwrap();
        assert_eq!(divergences[0].recorded, first);
        for _ in 0..2 {
            assert_eq!(bench.node_output(addr).await, Some(first));
            assert_eq!(bench.output(addr).await, Some(first));
        }
    });
}

#[test]
fn a_fast_store_that_fails_fails_no_read() {
    block_on(async {
        let bench = bench(|layer| layer);
        for operation in Operation::ALL {
            bench.fast_faults.fail_all(*operation, ErrorKind::Corrupt);
        }
        let one = recipe("f/1", &[]);
        let (addr, made) = (one.addr(), output("made"));
        bench.store.insert(&[one]).await.unwrap();
        bench.store.record(&[record(addr, made)]).await.unwrap();
        for _ in 0..2 {
            assert_eq!(bench.node_output(addr).await, Some(made));
            assert_eq!(bench.output(addr).await, Some(made));
        }
        // Two reads each way, and twice a copy that could not be made.
        assert_eq!(bench.traffic.faults(), 6);
        // Forgetting needs the fast store: what it keeps would be served.
        assert_eq!(
            kind(bench.store.forget(&[addr]).await),
            Some(ErrorKind::Corrupt)
        );
        assert_eq!(bench.output(addr).await, Some(made));
    });
}

/// A fast store that was handed over with something in it that the slow store does not say.
#[test]
fn a_copy_that_differs_from_the_slow_store_is_dropped_when_it_is_seen() {
    block_on(async {
        let bench = bench(|layer| layer);
        let (one, two) = (recipe("f/1", &[]), recipe("g/1", &[]));
        let addrs = [one.addr(), two.addr()];
        bench.store.insert(&[one, two]).await.unwrap();
        let records = addrs.map(|addr| record(addr, output("made")));
        bench.store.record(&records).await.unwrap();
        // Only an output without its recipe is there, so the recipe is read, and copied over it.
        let stale = Record {
            addr: addrs[1],
            resolved: Some(addrs[0]),
            output: output("stale"),
        };
        let node = bench.slow.get_one(addrs[1]).await.unwrap().unwrap();
        bench.fast.insert(&[node.recipe]).await.unwrap();
        bench.fast.record(&[stale]).await.unwrap();
        assert_eq!(bench.node_output(addrs[0]).await, Some(output("made")));
        assert_eq!(bench.traffic.faults(), 1);
        assert_eq!(bench.output(addrs[0]).await, Some(output("made")));
    });
}

#[test]
fn an_end_that_is_not_known_keeps_outputs_from_being_copied() {
    block_on(async {
        let bench = bench(|layer| layer);
        let one = recipe("f/1", &[]);
        let (addr, made) = (one.addr(), output("made"));
        bench.store.insert(&[one]).await.unwrap();
        bench.store.record(&[record(addr, made)]).await.unwrap();
        bench.node_output(addr).await;
        bench
            .slow_faults
            .fail_nth(Operation::DagForget, 1, ErrorKind::Unavailable);
        assert!(bench.store.forget(&[addr]).await.is_err());
        assert_eq!(bench.node_output(addr).await, Some(made));
        // The slow store forgets after all.
        DagStore::forget(&bench.slow, &[addr]).await.unwrap();
        assert_eq!(bench.node_output(addr).await, None);
        assert_eq!(bench.output(addr).await, None);
    });
}

#[test]
fn copies_stay_within_their_number() {
    block_on(async {
        let bench = bench(|layer| layer.max_nodes(100));
        let all: Vec<Recipe> = (0..1000)
            .map(|i| {
                let params = Params::new().with("i", i);
                Recipe::new(&"f/1".parse().unwrap(), &[], &params).unwrap()
            })
            .collect();
        let addrs = bench.store.insert(&all).await.unwrap();
        let records: Vec<Record> = addrs
            .iter()
            .map(|addr| record(*addr, output("made")))
            .collect();
        bench.store.record(&records).await.unwrap();
        for addrs in addrs.chunks(7).chain([addrs.as_slice()]) {
            assert!(
                bench
                    .store
                    .get_many(addrs)
                    .await
                    .unwrap()
                    .iter()
                    .all(Option::is_some)
            );
            let usage = DagStore::usage(&bench.fast).await.unwrap().unwrap();
            assert!(usage.recipes <= 100, "{usage:?}");
        }
        assert!(bench.store.get_many(&addrs[..7]).await.is_ok());
        assert_eq!(
            DagStore::usage(&bench.fast).await.unwrap().unwrap().outputs,
            7
        );
        assert_eq!(bench.traffic.faults(), 0);
    });
}

/// Threads record, read and forget the same few recipes; afterwards both tiers say the same.
#[test]
fn no_copy_outlives_its_output_whatever_the_order() {
    for round in 0..20u64 {
        let bench = bench(|layer| layer);
        let all: Vec<Recipe> = ["a/1", "b/1", "c/1"].map(|name| recipe(name, &[])).into();
        let addrs = block_on(bench.store.insert(&all)).unwrap();
        let outputs = ["x", "y", "z"].map(output);
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let (store, addrs) = (&bench.store, &addrs);
                scope.spawn(move || {
                    let mut random = SplitMix64::new(round * 100 + thread);
                    for _ in 0..200 {
                        let addr = addrs[(random.next_u64() % 3) as usize];
                        let made = outputs[(random.next_u64() % 3) as usize];
                        block_on(async {
                            match random.next_u64() % 4 {
                                0 => drop(store.record(&[record(addr, made)]).await.unwrap()),
                                1 => drop(store.forget(&[addr]).await.unwrap()),
                                2 => drop(store.get_many(&[addr]).await.unwrap()),
                                _ => drop(store.outputs(&[addr]).await.unwrap()),
                            }
                        });
                    }
                });
            }
        });
        let said = block_on(bench.store.outputs(&addrs)).unwrap();
        assert_eq!(said, block_on(bench.slow.outputs(&addrs)).unwrap());
    }
}
