//! Collections beside everything else: nothing is taken that somebody needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::collecting::{self, check, open, recipe, roots_are_whole, store};
use deriva::admin::CollectPolicy;
use deriva::prelude::*;
use deriva::{Clock, SystemClock};
use deriva_testkit::{FaultLayer, Operation, SplitMix64};
use rstest::rstest;

fn everything() -> CollectPolicy {
    CollectPolicy::default().unreferenced_blobs(true)
}

/// Puts a leaf, makes recipes over it and over what others make, asks for them, roots some.
async fn work(deriva: &Deriva, random: &mut SplitMix64, round: u64) -> Result<()> {
    let lease = deriva.lease();
    // Few leaves, so that what one has done with dies while another begins with it.
    let text = format!("Leaf {}", random.below(6));
    let leaf = Blob::new(text.clone());
    let (addr, upper) = (leaf.addr(), text.to_ascii_uppercase());
    let first = deriva.recipe("text.upper", "1").input(addr).build()?;
    let second = deriva
        .recipe("heavy", "1")
        .inputs([first.addr(), addr])
        .param("n", random.below(4) as i64)
        .build()?;
    let third = deriva
        .recipe("text.lower", "1")
        .input(second.addr())
        .build()?;
    let third_addr = third.addr();
    lease.protect_many([addr, third_addr]).await;
    match random.below(3) {
        0 => {
            let stat = deriva.put_reader(leaf.bytes().as_ref()).await?;
            assert_eq!(stat.addr, addr);
        }
        _ => deriva.put_many(&[leaf]).await?,
    }
    match random.below(2) {
        0 => drop(deriva.insert(&[first, second, third]).await?),
        _ => {
            for recipe in [third, second, first] {
                deriva.insert(&[recipe]).await?;
            }
        }
    }
    let expected = format!("{upper}{text}").to_ascii_lowercase();
    match random.below(4) {
        0 => {
            let cutoff = deriva.materialize(third_addr).cutoff(Cutoff::Always);
            let stat = cutoff.await?.results[0].clone()?;
            assert_eq!(stat.addr, Blob::new(expected.clone()).addr());
        }
        1 => {
            let mut reader = deriva.open(third_addr).await?;
            assert_eq!(reader.next_chunk().await?.unwrap(), expected);
        }
        2 => {
            // Given up halfway, or not.
            let request = deriva.materialize(third_addr).into_future();
            let given_up = async {
                for _ in 0..random.below(40) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                () = given_up => {}
                done = request => drop(done?),
            }
        }
        _ => {}
    }
    assert_eq!(deriva.get(third_addr).await?, expected, "round {round}");
    let name = format!("root {}", random.below(5));
    match random.below(3) {
        0 => drop(deriva.remove_root(&name).await?),
        _ => {
            deriva.set_root(&name, third_addr).await?;
            drop(lease);
        }
    }
    Ok(())
}

/// Waits until what requests left behind that were given up is written.
async fn quiet(deriva: &Deriva) {
    let left = deriva.given_back(Duration::from_secs(240)).await;
    assert!(left.is_zero(), "{left:?}");
}

/// C7: tasks put, insert, ask, root and let go while collections run one after the other.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_answer_is_right_while_collections_run(
    #[values("memory", "sled", "split")] name: &str,
    #[values(false, true)] quota: bool,
) {
    let (builder, _folder) = store(name);
    // Without a memory cache, so that every answer comes from the store.
    let builder = builder.cache_bytes(0);
    let builder = builder.function("heavy", "1", |inputs, _| Ok(inputs.concat().into()));
    let deriva = builder.build().await.unwrap();
    let policy = match quota {
        true => everything().derived_bytes_at_most(20),
        false => everything(),
    };
    let clock = SystemClock::new();
    let until = Duration::from_secs(2);
    let (done, rounds, taken) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (done, rounds, taken) = (Arc::new(done), Arc::new(rounds), Arc::new(taken));
    let mut tasks = Vec::new();
    for task in 0..6 {
        let (deriva, done, rounds) = (deriva.clone(), Arc::clone(&done), Arc::clone(&rounds));
        tasks.push(tokio::spawn(async move {
            let mut random = SplitMix64::new(task);
            while !done.load(Ordering::Relaxed) {
                let round = rounds.fetch_add(1, Ordering::Relaxed);
                work(&deriva, &mut random, round).await.unwrap();
            }
        }));
    }
    while clock.now() < until {
        let collected = deriva.collect().policy(policy).await.unwrap();
        taken.fetch_add(
            collected.recipes + collected.outputs + collected.blobs,
            Ordering::Relaxed,
        );
        // Let them come to use what they have.
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    assert!(taken.load(Ordering::Relaxed) > 0, "nothing was ever taken");
    quiet(&deriva).await;
    check(&deriva).await;
    if !quota {
        roots_are_whole(&deriva).await;
    }
    // In the end only what the roots need is left.
    deriva.collect().policy(everything()).await.unwrap();
    let content = collecting::Content::of(&deriva).await;
    let (recipes, blobs) = content.collected(true);
    assert_eq!(content.recipes(), recipes);
    assert_eq!(content.blobs.len(), blobs.len());
}

/// Holds up a collection at its first call of `operation`, does something that makes no such call, and
/// lets it go on.
async fn beside<F: Future<Output = ()>>(
    deriva: &Deriva,
    layer: &FaultLayer,
    operation: Operation,
    work: impl FnOnce(Deriva) -> F,
) {
    layer.faults().hang(operation);
    let collecting = tokio::spawn(deriva.collect().policy(everything()).into_future());
    settle().await;
    assert!(!collecting.is_finished());
    work(deriva.clone()).await;
    layer.faults().clear();
    collecting.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_put_and_inserted_while_a_collection_runs_stays_for_that_collection() {
    let layer = FaultLayer::new();
    let (builder, _folder) = store("memory");
    let deriva = builder.dag_layer(layer.clone()).build().await.unwrap();
    // All of this is unreachable when the collection begins, and would be taken.
    let leaf = deriva.put("ab").await.unwrap();
    let below = recipe(&deriva, "text.upper", &[leaf]).await;
    let dead = recipe(&deriva, "text.sort", &[leaf]).await;
    deriva.get(below).await.unwrap();
    let other = deriva.put("other").await.unwrap();
    beside(&deriva, &layer, Operation::DagRoots, |deriva| async move {
        deriva.put("other").await.unwrap();
        // Named by a recipe that is new.
        recipe(&deriva, "text.lower", &[below]).await;
    })
    .await;
    check(&deriva).await;
    assert_eq!(deriva.get(other).await.unwrap(), "other");
    let above = deriva
        .recipe("text.lower", "1")
        .input(below)
        .build()
        .unwrap()
        .addr();
    assert_eq!(deriva.materialize(above).await.unwrap().summary.planned, 1);
    assert_eq!(
        deriva.show(dead).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    // The next collection takes all of it.
    deriva.collect().policy(everything()).await.unwrap();
    assert_eq!(deriva.status().await.unwrap().blobs, Some(0));
}

#[tokio::test]
async fn a_root_that_is_set_while_a_collection_runs_keeps() {
    let layer = FaultLayer::new();
    let (builder, _folder) = store("memory");
    let deriva = builder.dag_layer(layer.clone()).build().await.unwrap();
    let leaf = deriva.put("ab").await.unwrap();
    let below = recipe(&deriva, "text.upper", &[leaf]).await;
    let top = recipe(&deriva, "text.lower", &[below]).await;
    deriva.get(top).await.unwrap();
    // The roots were read, the first batch is about to be taken.
    beside(
        &deriva,
        &layer,
        Operation::DagDependents,
        |deriva| async move {
            deriva.set_root("top", top).await.unwrap();
        },
    )
    .await;
    roots_are_whole(&deriva).await;
    assert_eq!(deriva.status().await.unwrap().recipes, Some(2));
}

#[tokio::test]
async fn what_is_reused_of_a_dying_recipe_stays() {
    let layer = FaultLayer::new();
    let (builder, _folder) = store("memory");
    let deriva = builder.dag_layer(layer.clone()).build().await.unwrap();
    let leaf = deriva.put("ab").await.unwrap();
    let upper = recipe(&deriva, "text.upper", &[leaf]).await;
    let dying = recipe(&deriva, "text.lower", &[upper]).await;
    deriva
        .materialize(dying)
        .cutoff(Cutoff::Always)
        .await
        .unwrap();
    // Resolves to the same as the dying one, through another recipe that makes the same bytes.
    let same = deriva.put("AB").await.unwrap();
    let other = recipe(&deriva, "bytes.concat", &[same]).await;
    let living = recipe(&deriva, "text.lower", &[other]).await;
    deriva.set_root("living", living).await.unwrap();
    beside(
        &deriva,
        &layer,
        Operation::DagDependents,
        |deriva| async move {
            let done = deriva
                .materialize(living)
                .cutoff(Cutoff::Always)
                .await
                .unwrap();
            assert_eq!(done.summary.cutoff, 1);
        },
    )
    .await;
    assert_eq!(
        deriva.show(dying).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    check(&deriva).await;
    roots_are_whole(&deriva).await;
}

/// Lets the others go as far as they come.
async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

/// An unreachable recipe that is computed.
async fn dead(deriva: &Deriva) -> CAddr {
    let leaf = deriva.put("ab").await.unwrap();
    let dead = recipe(deriva, "text.upper", &[leaf]).await;
    deriva.get(dead).await.unwrap();
    dead
}

#[tokio::test]
async fn an_insert_under_way_keeps_its_inputs() {
    let layer = FaultLayer::new();
    let (builder, _folder) = store("memory");
    let deriva = builder.dag_layer(layer.clone()).build().await.unwrap();
    let below = dead(&deriva).await;
    let above = deriva
        .recipe("text.lower", "1")
        .input(below)
        .build()
        .unwrap();
    layer.faults().hang(Operation::DagInsert);
    let inserting = deriva.clone();
    let inserting = tokio::spawn(async move { inserting.insert(&[above]).await });
    settle().await;
    // It looks at everything while the recipe is not there yet.
    let collecting = tokio::spawn(deriva.collect().into_future());
    settle().await;
    layer.faults().clear();
    let above = inserting.await.unwrap().unwrap()[0];
    collecting.await.unwrap().unwrap();
    let done = deriva.materialize(above).await.unwrap().summary;
    assert_eq!((done.computed, done.reused), (1, 1));
}

#[tokio::test]
async fn what_is_leased_while_a_batch_waits_its_turn_is_not_taken() {
    let layer = FaultLayer::new();
    let (builder, _folder) = store("memory");
    let deriva = builder.blob_layer(layer.clone()).build().await.unwrap();
    let dead = dead(&deriva).await;
    layer.faults().hang(Operation::BlobPut);
    let putting = deriva.clone();
    let putting = tokio::spawn(async move { putting.put("holds the batch up").await });
    settle().await;
    let collecting = tokio::spawn(deriva.collect().into_future());
    settle().await;
    let rooting = deriva.clone();
    let rooting = tokio::spawn(async move { rooting.set_root("kept", dead).await });
    settle().await;
    assert!(!rooting.is_finished() && !collecting.is_finished());
    layer.faults().clear();
    putting.await.unwrap().unwrap();
    rooting.await.unwrap().unwrap();
    assert_eq!(collecting.await.unwrap().unwrap().recipes, 0);
    roots_are_whole(&deriva).await;
}

#[tokio::test]
async fn a_request_does_not_look_at_a_batch_that_is_being_taken() {
    let layer = FaultLayer::new();
    let (builder, _folder) = store("memory");
    let deriva = builder.dag_layer(layer.clone()).build().await.unwrap();
    let dead = dead(&deriva).await;
    layer.faults().hang(Operation::DagForget);
    let collecting = tokio::spawn(deriva.collect().into_future());
    settle().await;
    let request = tokio::spawn(deriva.materialize(dead).into_future());
    settle().await;
    assert!(!request.is_finished());
    layer.faults().clear();
    assert_eq!(
        request.await.unwrap().unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(collecting.await.unwrap().unwrap().recipes, 1);
}

#[tokio::test]
async fn two_collections_take_turns() {
    let (deriva, _folder) = open("memory").await;
    collecting::fill(&deriva, 1, 300, 1000).await;
    let all = deriva.status().await.unwrap().recipes.unwrap();
    let (one, two) = tokio::join!(
        deriva.collect().into_future(),
        deriva.collect().into_future()
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(
        (
            one.recipes + two.recipes,
            two.kept_recipes.min(one.kept_recipes)
        ),
        (all, 0)
    );
    assert_eq!(one.recipes.min(two.recipes), 0);
}

/// Says that its outputs are stored, which they are not.
#[derive(Debug)]
struct Liar;

impl std::fmt::Display for Liar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("liar")
    }
}

#[deriva::authors::async_trait]
impl deriva::executors::Executor for Liar {
    fn supports(&self, _: &FunctionId) -> bool {
        true
    }
    fn operands(&self) -> deriva::executors::Operands {
        deriva::executors::Operands::Stored
    }
    fn width(&self) -> usize {
        1
    }
    async fn execute(&self, _: deriva::executors::Step) -> Result<deriva::executors::Executed> {
        let output = deriva::executors::Operand::Stored(Blob::new("gone").stat());
        Ok(deriva::executors::Executed::new(output, Duration::ZERO))
    }
}

#[tokio::test]
async fn an_output_whose_blob_is_gone_is_not_recorded() {
    let (builder, _folder) = store("memory");
    let builder = builder.executor(Arc::new(Liar));
    let builder = builder.function("heavy", "1", |inputs, _| Ok(inputs.concat().into()));
    let deriva = builder.build().await.unwrap();
    let leaf = deriva.put("ab").await.unwrap();
    let recipe = recipe(&deriva, "heavy", &[leaf]).await;
    assert_eq!(
        deriva.get(recipe).await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    check(&deriva).await;
}
