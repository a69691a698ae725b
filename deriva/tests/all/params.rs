//! Recipes whose params somebody else wrote: what is too much for a request is told, and hurts nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deriva::Shown;
use deriva::authors::canonical;
use deriva::prelude::*;

async fn memory(bytes: u64) -> Deriva {
    Deriva::builder()
        .store("memory:")
        .memory(bytes)
        .light_function("light", "1", |inputs, _| Ok(inputs.concat().into()))
        .function("heavy", "1", |inputs, _| Ok(inputs.concat().into()))
        .build()
        .await
        .unwrap()
}

/// A recipe that has a list of N nulls for its one param, as an older version would have made it.
fn nulls(function: &str, count: usize) -> Recipe {
    let head = [b"\x85\x01\x65".as_slice(), function.as_bytes()].concat();
    let count = u32::try_from(count).unwrap();
    let params = [b"\x611\x80\xa1\x61x\x9a".as_slice(), &count.to_be_bytes()].concat();
    let nulls = vec![0xf6; count as usize];
    Recipe::decode([head, params, nulls].concat().into()).unwrap()
}

#[tokio::test]
async fn too_many_values_are_invalid_where_they_are_needed_and_readable_elsewhere() {
    let deriva = memory(64 << 20).await;
    for function in ["light", "heavy"] {
        let recipe = nulls(function, canonical::MAX_VALUES);
        let refused = deriva.insert(std::slice::from_ref(&recipe)).await;
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.context("limit"), Some("65536"), "{error}");
        // As it lies in an older store.
        let addr = deriva
            .dag()
            .insert(std::slice::from_ref(&recipe))
            .await
            .unwrap()[0];
        let above = deriva
            .recipe("light", "1")
            .input(addr)
            .insert()
            .await
            .unwrap();
        for target in [addr, above] {
            let error = deriva.get(target).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{function}: {error:?}");
            assert_eq!(error.context("limit"), Some("65536"), "{error}");
            deriva.explain(target).await.unwrap();
        }
        let Shown::Recipe(node) = deriva.show(addr).await.unwrap() else {
            panic!("it is a recipe");
        };
        assert_eq!(node.recipe.params_bytes(), recipe.params_bytes());
        let other = nulls(function, canonical::MAX_VALUES + 1);
        deriva
            .dag()
            .insert(std::slice::from_ref(&other))
            .await
            .unwrap();
        let error = deriva.diff(addr, other.addr()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    deriva
        .set_root("kept", nulls("light", canonical::MAX_VALUES).addr())
        .await
        .unwrap();
    deriva.collect().await.unwrap();
    deriva.state_digest().await.unwrap();
    assert_eq!(deriva.roots().await.unwrap().len(), 1);
}

#[tokio::test]
async fn longer_params_than_new_ones_may_have_are_still_computed_with() {
    let deriva = memory(64 << 20).await;
    let text = "x".repeat(3 << 20);
    let len = u32::try_from(text.len()).unwrap().to_be_bytes();
    let head = b"\x85\x01\x65light\x611\x80\xa1\x61x\x7a";
    let bytes = [head.as_slice(), &len, text.as_bytes()].concat();
    let recipe = Recipe::decode(bytes.into()).unwrap();
    deriva
        .dag()
        .insert(std::slice::from_ref(&recipe))
        .await
        .unwrap();
    assert_eq!(deriva.get(recipe.addr()).await.unwrap(), "");
}

#[tokio::test]
async fn a_plan_holds_no_more_bytes_of_recipes_than_its_share() {
    let deriva = memory(4 << 20).await;
    let mut inputs = Vec::new();
    for i in 0..3000 {
        let recipe = deriva
            .recipe("light", "1")
            .param("i", i)
            .param("text", "x".repeat(4096));
        inputs.push(recipe.insert().await.unwrap());
    }
    let top = deriva
        .recipe("heavy", "1")
        .inputs(inputs)
        .insert()
        .await
        .unwrap();
    let plans = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&plans);
    let request = deriva.materialize(top).progress(move |event| {
        let planned = matches!(event, Event::Planned { .. });
        counted.fetch_add(u64::from(planned), Ordering::SeqCst);
    });
    let done = request.await.unwrap();
    assert_eq!(done.summary.computed, 3001);
    assert!(
        plans.load(Ordering::SeqCst) > 1,
        "12 MiB of recipes in one plan"
    );
}
