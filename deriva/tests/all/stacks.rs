//! Stores that are put together, by URI: what is opened prints as it is written, and mistakes make nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::common::recipe;
use deriva::layers::{Layers, LimitLayer, ReadOnlyLayer, RetryLayer, TieredLayer, TimeoutLayer};
use deriva::prelude::*;
use deriva::stores::{OpenedStore, StoreUri};
use deriva_testkit::ModelStore;
use futures::executor::block_on;
use proptest::prelude::*;
use rstest::rstest;

async fn open(uri: &str) -> Result<OpenedStore> {
    deriva::stores::builtin().open(&uri.parse()?).await
}

/// A URI with the stores in a folder, `@` before each of their names.
fn within(folder: &Path, uri: &str) -> String {
    uri.replace('@', &format!("{}/", folder.display()))
}

/// As given, and as it prints itself where that differs.
#[rstest]
#[case("memory:", None)]
#[case("sled:@a", None)]
#[case("redb:@a?durability=buffered&cache=2097152&blob_threshold=64", None)]
#[case("redb:@a?durability=sync&cache=256MiB", Some("redb:@a"))]
#[case("retry(sled:@a)", None)]
#[case(
    "retry( timeout(limit(sled:@a)) )",
    Some("retry(timeout(limit(sled:@a)))")
)]
#[case(
    "retry(sled:@a, attempts=3, first_delay=10ms, factor=1.5, max_delay=1m 30s, jitter=7)",
    None
)]
#[case(
    "retry(sled:@a, max_delay=90s, jitter=none)",
    Some("retry(sled:@a, max_delay=1m 30s, jitter=none)")
)]
#[case("timeout(limit(sled:@a, calls=2), limit=250ms)", None)]
#[case("read-only(sled:@a)", None)]
#[case("tiered(fast=memory:, slow=sled:@a)", None)]
#[case(
    "tiered(fast=memory:, slow=sled:@a, capacity=1MiB, max_blob=4kB, max_nodes=9)",
    Some("tiered(fast=memory:, slow=sled:@a, max_blob=4000, capacity=1048576, max_nodes=9)")
)]
#[case("split(blobs=files:@b, dag=redb:@a)", None)]
#[case(
    "retry(split(blobs=files:@b?durability=buffered, dag=redb:@a))",
    Some("split(blobs=retry(files:@b?durability=buffered), dag=retry(redb:@a))")
)]
// Copies of a graph would outlive their process: the graph stays as it is.
#[case(
    "tiered(fast=files:@b, slow=sled:@a)",
    Some("split(blobs=tiered(fast=files:@b, slow=sled:@a), dag=sled:@a)")
)]
#[case("sled:@a (1), 50%25", Some("sled:@a%20%281%29%2C%2050%25"))]
#[case("limit(sled:@a (1)%2C b?cache=1048576)", None)]
fn what_is_opened_prints_as_a_uri_that_opens_it(
    #[case] given: &str,
    #[case] printed: Option<&str>,
) {
    let folder = tempfile::tempdir().unwrap();
    let printed = match (given, printed) {
        (_, Some(printed)) => within(folder.path(), printed),
        // Parentheses that are pairs need no code, and get one.
        (given, None) => within(folder.path(), given).replace("a (1)%2C b", "a%20%281%29%2C%20b"),
    };
    block_on(async {
        let store = open(&within(folder.path(), given)).await.unwrap();
        assert_eq!(store.to_string(), printed);
        let again = open(&printed).await.unwrap();
        assert_eq!(again.to_string(), printed);
        if given != "memory:" && !given.starts_with("read-only") {
            let blob = Blob::new("in both");
            let blobs = store.blobs.unwrap();
            blobs.put(std::slice::from_ref(&blob)).await.unwrap();
            let found = again.blobs.unwrap().get(blob.addr()).await.unwrap();
            assert_eq!(found, Some(blob));
        }
    });
}

/// What is wrong is told before anything is made, with what would be right.
#[rstest]
#[case(
    "rety(sled:@a)",
    "known stacks: limit, read-only, retry, split, tiered, timeout"
)]
#[case("sled(@a)", "a stack is written like")]
#[case("sled(memory:)", "`sled` is a store: write `sled:PATH`")]
#[case("retry:@a", "write `retry(STORE)`")]
#[case("retry(sledd:@a)", "known schemes:")]
#[case("retry(sled:@a, tries=3)", "`retry(..)` takes: attempts")]
#[case("retry(sled:@a, attempts=0)", "1 or more")]
#[case("retry(sled:@a, factor=0.5)", "1 or more")]
#[case("retry(sled:@a, factor=NaN)", "1 or more")]
#[case("retry(sled:@a, jitter=much)", "`none`")]
#[case("retry(sled:@a, first_delay=5)", "10s")]
#[case("timeout(sled:@a, limit=-1s)", "10s")]
#[case("limit(sled:@a, calls=many)", "1 or more")]
#[case("read-only(sled:@a, x=1)", "takes no options")]
#[case("tiered(sled:@a)", "write `tiered(fast=STORE, slow=STORE)`")]
#[case(
    "tiered(slow=sled:@a, fast=memory:)",
    "write `tiered(fast=STORE, slow=STORE)`"
)]
#[case("tiered(fast=memory:, slow=sled:@a, capacity=big)", "64KiB")]
#[case("tiered(fast=sled:@a, slow=redb:@b?cache=1)", "range")]
#[case(
    "split(blobs=files:@a, dag=redb:@b?cash=1MiB)",
    "takes: durability, cache"
)]
#[case(
    "split(blobs=files:@a, graph=redb:@b)",
    "write `split(blobs=STORE, dag=STORE)`"
)]
#[case("split(blobs=sled:@a, dag=sled:)", "write `sled:PATH`")]
fn a_mistake_in_a_stack_is_told_and_makes_nothing(#[case] uri: &str, #[case] told: &str) {
    let folder = tempfile::tempdir().unwrap();
    let error = block_on(open(&within(folder.path(), uri))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(format!("{error:?}").contains(told), "{error:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn stores_that_do_not_go_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (uri, told) in [
        ("split(blobs=redb:@a, dag=files:@b)", "no recipes"),
        ("tiered(fast=sled:@c, slow=sled:@c)", "name two stores"),
        (
            "tiered(fast=retry(sled:@c), slow=limit(sled:@c))",
            "name two stores",
        ),
    ] {
        let error = block_on(open(&within(folder.path(), uri))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(format!("{error:?}").contains(told), "{error:?}");
    }
}

/// Who takes fast and slow for each other loses nothing: blobs that the slow store lacks are not copies.
#[test]
fn a_store_that_is_mistaken_for_a_fast_one_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let uri = |uri: &str| within(folder.path(), uri);
    let kept: Vec<Blob> = (0..50).map(|i| Blob::new(vec![i; 1000])).collect();
    block_on(async {
        let media = open(&uri("files:@media")).await.unwrap().blobs.unwrap();
        media.put(&kept).await.unwrap();
        drop(media);
        let swapped = uri("tiered(fast=files:@media, slow=redb:@db, capacity=4000)");
        let blobs = open(&swapped).await.unwrap().blobs.unwrap();
        for i in 0..20_u8 {
            let new = Blob::new(vec![i, 1]);
            blobs.put(std::slice::from_ref(&new)).await.unwrap();
        }
        drop(blobs);
        let media = open(&uri("files:@media")).await.unwrap().blobs.unwrap();
        for blob in &kept {
            assert_eq!(media.get(blob.addr()).await.unwrap().as_ref(), Some(blob));
        }
    });
}

/// Two handles on one stack are as safe as two on one store: neither serves from its copies what the other forgot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_of_one_handle_do_not_outlive_what_the_other_forgets() {
    let folder = tempfile::tempdir().unwrap();
    let uri = within(folder.path(), "tiered(fast=memory:, slow=redb:@a)");
    let build = || {
        deriva::builder()
            .store(&uri)
            .function("tell", "1", |_, _| Ok("told".into()))
            .build()
    };
    let (one, two) = (build().await.unwrap(), build().await.unwrap());
    let leaf = one.put("leaf").await.unwrap();
    let told = recipe(&one, "tell", &[leaf]).await;
    one.get(told).await.unwrap();
    // Copies it.
    let copied = two.dag().get_many(&[told]).await.unwrap();
    assert!(copied[0].as_ref().unwrap().output.is_some());
    one.invalidate(told).await.unwrap();
    let kept = two.dag().outputs(&[told]).await.unwrap();
    assert_eq!(kept, [None]);
}

/// What is not stored is computed, and not kept, where a store may only be read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_may_only_be_read_computes_and_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let open = |uri: &'static str| {
        let builder = deriva::builder().store(&within(folder.path(), uri));
        let builder = builder.function("tell", "1", |_, _| Ok("told".into()));
        builder
            .store_results_of("tell", "1", StoreResults::All)
            .build()
    };
    let writer = open("redb:@a").await.unwrap();
    let leaf = writer.put("leaf").await.unwrap();
    let told = recipe(&writer, "tell", &[leaf]).await;
    let deep = recipe(&writer, "tell", &[told]).await;
    let before = writer.state_digest().await.unwrap();
    let reader = open("read-only(redb:@a)").await.unwrap();
    assert_eq!(reader.get(deep).await.unwrap(), "told");
    let mut pieces = reader.open(deep).await.unwrap();
    assert_eq!(pieces.next_chunk().await.unwrap().unwrap(), "told");
    assert_eq!(pieces.next_chunk().await.unwrap(), None);
    assert_eq!(writer.state_digest().await.unwrap(), before);
    let asked = reader
        .materialize(deep)
        .store_results(StoreResults::All)
        .await;
    assert_eq!(asked.unwrap_err().kind(), ErrorKind::Unsupported);
}

fn any_time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..5_000_000_000_u64).prop_map(Duration::from_nanos),
        (0..u64::from(u32::MAX)).prop_map(Duration::from_secs),
        Just(Duration::MAX),
    ]
}

proptest! {
    #[test]
    fn every_setting_is_printed_as_it_is_read(
        (attempts, first, most) in (0..9_usize, any_time(), any_time()),
        (factor, jitter) in (any::<f32>(), proptest::option::of(any::<u64>())),
        (limit, calls) in (any_time(), any::<usize>()),
        (capacity, max_blob, max_nodes) in any::<(u64, u64, u64)>(),
    ) {
        let retry = RetryLayer::new().attempts(attempts).first_delay(first).max_delay(most);
        let retry = retry.factor(factor);
        let retry = match jitter {
            Some(seed) => retry.jitter(seed),
            None => retry.without_jitter(),
        };
        let memory = || block_on(open("memory:")).unwrap();
        let tiered = TieredLayer::new(memory());
        let tiered = tiered.capacity(capacity).max_blob(max_blob).max_nodes(max_nodes);
        let layers = Layers::new()
            .layer(retry)
            .layer(TimeoutLayer::new(limit))
            .layer(LimitLayer::new(calls))
            .layer(tiered);
        let printed = layers.wrap(memory()).to_string();
        let uri: StoreUri = printed.parse().unwrap();
        prop_assert_eq!(uri.to_string(), printed.as_str());
        let opened = block_on(deriva::stores::builtin().open(&uri)).unwrap();
        prop_assert_eq!(opened.to_string(), printed);
    }
}

#[tokio::test]
async fn a_builder_takes_layers() {
    let model = || Arc::new(ModelStore::new());
    let (blobs, dag): (Arc<dyn BlobStore>, Arc<dyn DagStore>) = (model(), model());
    let deriva = deriva::DerivaBuilder::new()
        .blobs(blobs)
        .dag(dag)
        .layer(
            deriva::layers::named(
                "retry,limit",
                &OpenedStore {
                    blobs: None,
                    dag: None,
                },
            )
            .unwrap(),
        )
        .dag_layer(ReadOnlyLayer::new())
        .build()
        .await
        .unwrap();
    assert_eq!(deriva.blobs().to_string(), "retry(limit(model))");
    assert_eq!(deriva.dag().to_string(), "retry(limit(read-only(model)))");
    deriva.put("bytes").await.unwrap();
    let refused = deriva.recipe("f", "1").insert().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}
