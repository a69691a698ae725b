//! What a collection takes, and what it leaves.

use std::sync::Arc;
use std::time::Duration;

use crate::collecting::{Content, check, fill, open, recipe, roots_are_whole, store};
use deriva::admin::{CollectPolicy, Collected};
use deriva::events::CollectEvent;
use deriva::layers::{BlobLayer, DagLayer};
use deriva::prelude::*;
use deriva_testkit::ManualClock;
use rstest::rstest;

fn policy() -> CollectPolicy {
    CollectPolicy::default()
}

#[rstest]
#[tokio::test]
async fn what_roots_need_is_left_and_all_else_is_taken(
    #[values("memory", "sled", "split")] name: &str,
    #[values(false, true)] unreferenced: bool,
) {
    for (seed, every) in [(1, 7), (2, 40), (3, 1), (4, 1000)] {
        let (deriva, _folder) = open(name).await;
        // A file per blob, and a sync for each, take their time.
        let size = if name == "split" { 40 } else { 150 };
        fill(&deriva, seed, size, every).await;
        deriva.put("nobody needs this").await.unwrap();
        let before = Content::of(&deriva).await;
        let policy = policy().unreferenced_blobs(unreferenced);
        let dry = deriva.collect().policy(policy).dry_run().await.unwrap();
        assert_eq!(Content::of(&deriva).await.recipes(), before.recipes());
        let collected = deriva.collect().policy(policy).await.unwrap();

        let (recipes, blobs) = before.collected(unreferenced);
        let after = Content::of(&deriva).await;
        assert_eq!(after.recipes(), recipes);
        assert_eq!(
            after
                .blobs
                .keys()
                .copied()
                .collect::<std::collections::BTreeSet<_>>(),
            blobs
        );
        check(&deriva).await;
        roots_are_whole(&deriva).await;
        agrees(&collected, &before, &after);
        assert_eq!(told(&dry), told(&collected));
        assert!(dry.dry_run && !collected.dry_run);
        let again = deriva.collect().policy(policy).await.unwrap();
        assert_eq!((again.recipes, again.outputs, again.blobs), (0, 0, 0));
    }
}

/// The report is the difference.
fn agrees(collected: &Collected, before: &Content, after: &Content) {
    let bytes = |content: &Content| content.blobs.values().map(|stat| stat.len).sum::<u64>();
    let seconds = |content: &Content| {
        content
            .outputs()
            .map(|output| output.cost.as_secs_f64())
            .sum::<f64>()
    };
    assert_eq!(
        collected.recipes as usize,
        before.nodes.len() - after.nodes.len()
    );
    assert_eq!(collected.kept_recipes as usize, after.nodes.len());
    let outputs = before.outputs().count() - after.outputs().count();
    assert_eq!(collected.outputs as usize, outputs);
    assert_eq!(
        collected.blobs as usize,
        before.blobs.len() - after.blobs.len()
    );
    assert_eq!(collected.kept_blobs as usize, after.blobs.len());
    assert_eq!(collected.bytes, bytes(before) - bytes(after));
    assert_eq!(collected.kept_bytes, bytes(after));
    let repeated = seconds(before) - seconds(after);
    assert!((collected.rebuild_seconds - repeated).abs() < 1e-9);
}

/// What a dry run has to foretell.
fn told(collected: &Collected) -> (u64, u64, u64, u64, u64, u64, u64, Option<u64>) {
    let c = collected;
    (
        c.recipes,
        c.outputs,
        c.blobs,
        c.bytes,
        c.kept_recipes,
        c.kept_blobs,
        c.kept_bytes,
        c.derived_bytes,
    )
}

#[tokio::test]
async fn a_blob_goes_with_the_last_of_its_outputs() {
    let (deriva, _folder) = open("memory").await;
    let leaves = [
        deriva.put("Ab").await.unwrap(),
        deriva.put("aB").await.unwrap(),
    ];
    let one = recipe(&deriva, "text.upper", &leaves[..1]).await;
    let two = recipe(&deriva, "text.upper", &leaves[1..]).await;
    deriva.materialize_many([one, two]).await.unwrap();
    let made = Blob::new("AB").addr();
    deriva.set_root("one", one).await.unwrap();
    let first = deriva.collect().await.unwrap();
    assert_eq!((first.recipes, first.outputs, first.blobs), (1, 1, 0));
    assert_eq!(deriva.get(one).await.unwrap(), "AB");
    deriva.remove_root("one").await.unwrap();
    let second = deriva.collect().await.unwrap();
    assert_eq!(
        (second.recipes, second.outputs, second.blobs, second.bytes),
        (1, 1, 1, 2)
    );
    assert_eq!(
        deriva.show(made).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn a_blob_that_is_made_and_needed_as_itself_stays() {
    let (deriva, _folder) = open("memory").await;
    let leaf = deriva.put("ab").await.unwrap();
    let dead = recipe(&deriva, "text.upper", &[leaf]).await;
    let made = deriva.materialize(dead).await.unwrap().results[0]
        .clone()
        .unwrap()
        .addr;
    // By its own address, an input of what lives.
    let living = recipe(&deriva, "text.lower", &[made]).await;
    deriva.set_root("living", living).await.unwrap();
    let collected = deriva.collect().await.unwrap();
    assert_eq!((collected.recipes, collected.blobs), (1, 0));
    assert_eq!(deriva.get(living).await.unwrap(), "ab");
    // Or a root itself.
    deriva.set_root("living", made).await.unwrap();
    deriva
        .collect()
        .policy(policy().unreferenced_blobs(true))
        .await
        .unwrap();
    assert_eq!(deriva.get(made).await.unwrap(), "AB");
    assert_eq!(deriva.status().await.unwrap().blobs, Some(1));
}

#[rstest]
#[tokio::test]
async fn what_was_taken_is_not_found_again_under_its_resolved_address(
    #[values("memory", "sled")] name: &str,
) {
    let calls = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let (builder, _folder) = store(name);
    let builder = builder.function("heavy", "1", move |inputs, _| {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(inputs.concat().into())
    });
    let deriva = builder.build().await.unwrap();
    let leaf = deriva.put("ab").await.unwrap();
    let upper = recipe(&deriva, "text.upper", &[leaf]).await;
    let top = recipe(&deriva, "heavy", &[upper]).await;
    deriva.get(top).await.unwrap();
    let resolved = deriva
        .recipe("heavy", "1")
        .input(Blob::new("AB").addr())
        .build()
        .unwrap();
    let row = deriva.dag().outputs(&[resolved.addr()]).await.unwrap();
    assert!(row[0].is_some());
    deriva.collect().await.unwrap();
    assert_eq!(
        deriva.dag().outputs(&[resolved.addr()]).await.unwrap(),
        [None]
    );
    // Nor in the memory cache.
    assert_eq!(
        deriva.get(top).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let upper = recipe(&deriva, "text.upper", &[leaf]).await;
    let top = recipe(&deriva, "heavy", &[upper]).await;
    assert_eq!(deriva.get(top).await.unwrap(), "AB");
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_resolved_recipe_that_lives_keeps_its_output() {
    let (deriva, _folder) = open("memory").await;
    let leaf = deriva.put("ab").await.unwrap();
    let upper = recipe(&deriva, "text.upper", &[leaf]).await;
    let dead = recipe(&deriva, "text.lower", &[upper]).await;
    deriva
        .materialize(dead)
        .cutoff(Cutoff::Always)
        .await
        .unwrap();
    let living = recipe(&deriva, "text.lower", &[Blob::new("AB").addr()]).await;
    deriva.set_root("living", living).await.unwrap();
    assert_eq!(deriva.collect().await.unwrap().recipes, 2);
    roots_are_whole(&deriva).await;
}

#[rstest]
#[tokio::test]
async fn a_chain_and_a_hub_go_whole(#[values("memory", "sled")] name: &str) {
    let (deriva, _folder) = open(name).await;
    let leaf = deriva.put("x").await.unwrap();
    let mut chain = leaf;
    let mut recipes = Vec::new();
    for _ in 0..2000 {
        let next = deriva
            .recipe("text.upper", "1")
            .input(chain)
            .build()
            .unwrap();
        chain = next.addr();
        recipes.push(next);
    }
    for i in 0..2000 {
        let above = deriva
            .recipe("bytes.repeat", "1")
            .input(chain)
            .param("times", i)
            .build();
        recipes.push(above.unwrap());
    }
    deriva.insert(&recipes).await.unwrap();
    let collected = deriva.collect().await.unwrap();
    assert_eq!((collected.recipes, collected.kept_recipes), (4000, 0));
    assert_eq!(deriva.status().await.unwrap().recipes, Some(0));
    check(&deriva).await;
}

/// Three derived blobs of 1000 bytes each, of rising cost, below a root.
async fn priced(deriva: &Deriva) -> (Vec<CAddr>, CAddr) {
    let leaf = deriva.put(vec![b'a'; 1000]).await.unwrap();
    let mut made = Vec::new();
    let mut below = leaf;
    for name in ["cheap", "dear", "dearest"] {
        below = recipe(deriva, name, &[below]).await;
        made.push(below);
    }
    let top = recipe(deriva, "cheap", &[below]).await;
    deriva.materialize(top).await.unwrap();
    deriva.set_root("top", top).await.unwrap();
    (made, top)
}

/// Functions whose recorded cost is set by hand.
fn priced_functions(builder: DerivaBuilder) -> DerivaBuilder {
    let mut builder = builder.executor(Arc::new(Priced));
    for name in ["cheap", "dear", "dearest"] {
        builder = builder.function(name, "1", move |_, _| {
            Ok(name.repeat(1000)[..1000].to_owned().into())
        });
    }
    builder
}

/// Computes by name: 1, 100 and 10,000 ms.
#[derive(Debug)]
struct Priced;

impl std::fmt::Display for Priced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("priced")
    }
}

#[deriva::authors::async_trait]
impl deriva::executors::Executor for Priced {
    fn supports(&self, _: &FunctionId) -> bool {
        true
    }
    fn operands(&self) -> deriva::executors::Operands {
        deriva::executors::Operands::Held
    }
    fn width(&self) -> usize {
        1
    }
    async fn execute(&self, step: deriva::executors::Step) -> Result<deriva::executors::Executed> {
        let name = step.recipe.name();
        let millis = match name {
            "cheap" => 1,
            "dear" => 100,
            _ => 10_000,
        };
        // Each its own bytes.
        let bytes = format!("{name} {}", step.addr).repeat(20)[..1000].to_owned();
        let output = deriva::executors::Operand::Held(Blob::new(bytes));
        Ok(deriva::executors::Executed::new(
            output,
            Duration::from_millis(millis),
        ))
    }
}

#[rstest]
#[case(10_000, &[])]
#[case(4000, &[])]
#[case(3999, &[0])]
#[case(3000, &[0])]
#[case(2500, &[0, 1])]
#[case(2000, &[0, 1])]
#[case(1000, &[0, 1, 2])]
// The output of the root itself is never dropped.
#[case(0, &[0, 1, 2])]
#[tokio::test]
async fn a_quota_drops_what_costs_least_per_byte(#[case] most: u64, #[case] dropped: &[usize]) {
    let (builder, _folder) = store("memory");
    let deriva = priced_functions(builder).build().await.unwrap();
    let (made, top) = priced(&deriva).await;
    let policy = policy().derived_bytes_at_most(most);
    let dry = deriva.collect().policy(policy).dry_run().await.unwrap();
    let collected = deriva.collect().policy(policy).await.unwrap();
    assert_eq!(told(&dry), told(&collected));
    assert_eq!(dry.rebuild_seconds, collected.rebuild_seconds);
    let outputs = deriva.dag().outputs(&made).await.unwrap();
    let gone: Vec<usize> = (0..3).filter(|n| outputs[*n].is_none()).collect();
    assert_eq!(gone, dropped);
    let seconds = [0.001, 0.1, 10.0];
    let repeated: f64 = dropped.iter().map(|n| seconds[*n]).sum();
    assert!((collected.rebuild_seconds - repeated).abs() < 1e-9);
    assert_eq!(collected.recipes, 0);
    assert_eq!(collected.bytes, dropped.len() as u64 * 1000);
    assert_eq!(collected.derived_bytes, Some(4000 - collected.bytes));
    roots_are_whole(&deriva).await;
    check(&deriva).await;
    // And it can be made again.
    let again = deriva.materialize_many(made).await.unwrap();
    assert_eq!(again.summary.computed, dropped.len() as u64);
    deriva.get(top).await.unwrap();
}

#[tokio::test]
async fn a_quota_never_drops_what_cannot_be_made_again() {
    let (builder, folder) = store("sled");
    let deriva = priced_functions(builder).build().await.unwrap();
    let (made, _) = priced(&deriva).await;
    drop(deriva);
    // "dear" is not known here: it stays, and what is above it can be made from it.
    let uri = format!("sled:{}", folder.path().join("store").display());
    let known = |builder: DerivaBuilder| {
        builder
            .function("cheap", "1", |i, _| Ok(i[0].clone()))
            .function("dearest", "1", |i, _| Ok(i[0].clone()))
    };
    let deriva = known(Deriva::builder().store(&uri)).build().await.unwrap();
    let policy = policy().derived_bytes_at_most(0);
    deriva.collect().policy(policy).await.unwrap();
    let outputs = deriva.dag().outputs(&made).await.unwrap();
    let there: Vec<bool> = outputs.iter().map(Option::is_some).collect();
    assert_eq!(there, [false, true, false]);
    check(&deriva).await;
}

#[tokio::test]
async fn a_quota_never_drops_what_lies_above_a_missing_blob() {
    let (builder, _folder) = store("memory");
    let deriva = priced_functions(builder).build().await.unwrap();
    let (made, _) = priced(&deriva).await;
    let policy = policy().derived_bytes_at_most(0);
    // The leaf is lost: the first must stay, and the others can be made from it.
    let leaf = Blob::new(vec![b'a'; 1000]).addr();
    deriva.blobs().remove(&[leaf]).await.unwrap();
    deriva.collect().policy(policy).await.unwrap();
    let there = |outputs: Vec<Option<deriva::Output>>| {
        outputs.iter().map(Option::is_some).collect::<Vec<_>>()
    };
    assert_eq!(
        there(deriva.dag().outputs(&made).await.unwrap()),
        [true, false, false]
    );
    // The bytes of the first are lost, too: then the one above it is all there is.
    deriva.materialize_many(made.clone()).await.unwrap();
    let first = deriva.dag().outputs(&made[..1]).await.unwrap()[0].unwrap();
    deriva.blobs().remove(&[first.addr]).await.unwrap();
    deriva.collect().policy(policy).await.unwrap();
    assert_eq!(
        there(deriva.dag().outputs(&made).await.unwrap()),
        [true, true, false]
    );
}

#[tokio::test]
async fn a_quota_leaves_what_is_leased_and_what_is_needed_as_itself() {
    let (builder, _folder) = store("memory");
    let deriva = priced_functions(builder).build().await.unwrap();
    let (made, _) = priced(&deriva).await;
    let outputs = deriva.dag().outputs(&made).await.unwrap();
    let user = recipe(&deriva, "text.upper", &[outputs[0].unwrap().addr]).await;
    deriva.set_root("user", user).await.unwrap();
    let lease = deriva.lease();
    lease.protect(made[1]).await;
    let policy = policy().derived_bytes_at_most(0);
    deriva.collect().policy(policy).await.unwrap();
    let there = deriva.dag().outputs(&made).await.unwrap();
    assert_eq!(
        there.iter().map(Option::is_some).collect::<Vec<_>>(),
        [true, true, false]
    );
    drop(lease);
    deriva.collect().policy(policy).await.unwrap();
    let there = deriva.dag().outputs(&made).await.unwrap();
    assert_eq!(
        there.iter().map(Option::is_some).collect::<Vec<_>>(),
        [true, false, false]
    );
}

#[tokio::test]
async fn a_quota_drops_another_where_the_cheapest_is_leased() {
    let (builder, _folder) = store("memory");
    let deriva = priced_functions(builder).build().await.unwrap();
    let (made, _) = priced(&deriva).await;
    let lease = deriva.lease();
    lease.protect(made[0]).await;
    let policy = policy().derived_bytes_at_most(3000);
    let collected = deriva.collect().policy(policy).await.unwrap();
    drop(lease);
    assert_eq!(collected.derived_bytes, Some(3000));
    let there = deriva.dag().outputs(&made).await.unwrap();
    let there: Vec<bool> = there.iter().map(Option::is_some).collect();
    assert_eq!(there, [true, false, true]);
}

#[tokio::test]
async fn an_age_counts_from_the_first_collection_that_saw_it() {
    let clock = ManualClock::new();
    let (builder, _folder) = store("memory");
    let deriva = builder
        .clock(Arc::new(clock.clone()))
        .build()
        .await
        .unwrap();
    let hour = Duration::from_secs(3600);
    let policy = policy().older_than(hour).unreferenced_blobs(true);
    let collect = || async { deriva.collect().policy(policy).await.unwrap() };
    let leaf = deriva.put("ab").await.unwrap();
    let old = recipe(&deriva, "text.upper", &[leaf]).await;
    clock.advance(hour * 100);
    // Nobody knows how long it was unreachable.
    assert_eq!(collect().await.recipes, 0);
    clock.advance(hour / 2);
    let young = recipe(&deriva, "text.lower", &[old]).await;
    // A dry run notes nothing.
    deriva.collect().policy(policy).dry_run().await.unwrap();
    clock.advance(hour / 2);
    // The young one is seen for the first time, and needs the old one.
    let first = collect().await;
    assert_eq!((first.recipes, first.blobs), (0, 0));
    // What is needed in between is young again afterwards.
    deriva.set_root("old", old).await.unwrap();
    clock.advance(hour);
    let second = collect().await;
    assert_eq!(second.recipes, 1);
    assert_eq!(
        deriva.show(young).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    deriva.remove_root("old").await.unwrap();
    assert_eq!(collect().await.recipes, 0);
    clock.advance(hour);
    let last = collect().await;
    assert_eq!((last.recipes, last.blobs), (1, 0));
    assert_eq!(collect().await.blobs, 0);
    clock.advance(hour);
    assert_eq!(collect().await.blobs, 1);
}

#[tokio::test]
async fn a_lease_keeps_and_its_end_lets_go() {
    let (deriva, _folder) = open("memory").await;
    let all = policy().unreferenced_blobs(true);
    let lease = deriva.lease();
    let blob = Blob::new("kept");
    lease.protect(blob.addr()).await;
    deriva.put_many(std::slice::from_ref(&blob)).await.unwrap();
    let below = recipe(&deriva, "text.upper", &[blob.addr()]).await;
    let top = recipe(&deriva, "text.lower", &[below]).await;
    lease.protect(top).await;
    deriva.get(top).await.unwrap();
    assert_eq!(deriva.collect().policy(all).await.unwrap().kept_recipes, 2);
    assert_eq!(deriva.materialize(top).await.unwrap().summary.computed, 0);
    // A reader is a lease on what it reads.
    let mut reader = deriva.open(top).await.unwrap();
    drop(lease);
    deriva.collect().policy(all).await.unwrap();
    assert_eq!(reader.next_chunk().await.unwrap().unwrap(), "kept");
    drop(reader);
    let last = deriva.collect().policy(all).await.unwrap();
    assert_eq!((last.recipes, last.kept_blobs), (2, 0));
}

#[tokio::test]
async fn events_tell_what_is_going_on() {
    let (deriva, _folder) = open("memory").await;
    fill(&deriva, 1, 50, 10).await;
    let all = deriva.status().await.unwrap().recipes.unwrap();
    let events = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let collected = deriva
        .collect()
        .progress(move |event| heard.lock().unwrap().push(event.clone()))
        .await
        .unwrap();
    let events = events.lock().unwrap();
    assert!(matches!(events[0], CollectEvent::Listed { recipes, .. } if recipes == all));
    assert!(events.iter().any(|event| matches!(event, CollectEvent::Living { recipes } if *recipes == collected.kept_recipes)));
    let Some(CollectEvent::Taken(last)) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(told(last), told(&collected));
}

#[tokio::test]
async fn a_read_only_store_is_looked_at_and_not_touched() {
    let (deriva, _folder) = open("memory").await;
    fill(&deriva, 1, 50, 1000).await;
    let read_only = ReadOnlyLayer::new();
    let dag = DagLayer::wrap(&read_only, Arc::clone(deriva.dag()));
    let blobs = BlobLayer::wrap(&read_only, Arc::clone(deriva.blobs()));
    let fixed = Deriva::builder()
        .dag(dag)
        .blobs(blobs)
        .build()
        .await
        .unwrap();
    assert_eq!(
        fixed.collect().await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    assert!(fixed.collect().dry_run().await.unwrap().recipes > 0);
}
