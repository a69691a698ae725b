//! deriva as an application embeds it.

use std::sync::Arc;

use deriva::SystemClock;
use deriva::executors::{Executor, InlineExecutor};
use deriva::prelude::*;

async fn memory() -> Deriva {
    Deriva::builder().store("memory:").build().await.unwrap()
}

#[tokio::test]
async fn the_example_of_the_design_runs() {
    let deriva = Deriva::builder()
        .store("memory:")
        .function("shout", "1", |inputs, _params| {
            Ok(inputs[0].to_ascii_uppercase().into())
        })
        .build()
        .await
        .unwrap();
    let leaf = deriva.put("hello").await.unwrap();
    let recipe = deriva
        .recipe("shout", "1")
        .input(leaf)
        .insert()
        .await
        .unwrap();
    assert_eq!(deriva.get(recipe).await.unwrap(), "HELLO");
    assert_eq!(deriva.get(leaf).await.unwrap(), "hello");
}

#[tokio::test]
async fn what_a_function_cannot_take_is_refused_when_the_recipe_is_inserted() {
    let deriva = memory().await;
    let leaf = deriva.put("x").await.unwrap();
    let wrong_type = deriva
        .recipe("text.top", "1")
        .input(leaf)
        .param("n", "three")
        .insert()
        .await
        .unwrap_err();
    let wrong_count = deriva.recipe("text.upper", "1").insert().await.unwrap_err();
    let nan = deriva
        .recipe("text.upper", "1")
        .input(leaf)
        .param("x", f64::NAN)
        .insert()
        .await
        .unwrap_err();
    for error in [wrong_type, wrong_count, nan] {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
}

#[tokio::test]
async fn builders_report_mistakes() {
    let twice = Deriva::builder()
        .store("memory:")
        .function("text.upper", "1", |_, _| Ok(Bytes::new()));
    assert_eq!(twice.build().await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(
        Deriva::builder().build().await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    let unknown = Deriva::builder().store("slad:x").build().await.unwrap_err();
    assert!(unknown.advice().unwrap().contains("sled"), "{unknown}");
}

#[tokio::test]
async fn addresses_are_found_by_prefix() {
    let deriva = memory().await;
    let addr = deriva.put("x").await.unwrap();
    let prefix = |text: &str| text.parse::<AddrPrefix>().unwrap();
    assert_eq!(
        deriva.find(&prefix(&addr.to_string()[..6])).await.unwrap(),
        addr
    );
    let absent = if addr.to_string().starts_with('0') {
        "1"
    } else {
        "0"
    };
    assert_eq!(
        deriva.find(&prefix(absent)).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    for i in 0..200 {
        deriva.put(format!("{i}")).await.unwrap();
    }
    let error = deriva
        .find(&prefix(&addr.to_string()[..1]))
        .await
        .unwrap_err();
    assert!(
        error.kind() == ErrorKind::Invalid && error.context("candidates").is_some(),
        "{error}"
    );
}

#[tokio::test]
async fn blobs_stream_in_and_out() {
    let deriva = memory().await;
    let bytes: Vec<u8> = (0..3_500_000u32)
        .map(|i| i.wrapping_mul(2_654_435_761) as u8)
        .collect();
    let stat = deriva.put_reader(&bytes[..]).await.unwrap();
    assert_eq!(stat, Blob::new(bytes.clone()).stat());
    let mut reader = deriva.open(stat.addr).await.unwrap();
    let mut read = Vec::new();
    while let Some(piece) = reader.next_chunk().await.unwrap() {
        read.extend_from_slice(&piece);
    }
    assert!(read == bytes);
}

#[test]
fn a_long_chain_needs_no_stack_and_any_executor_serves() {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let functions = Arc::new(deriva::functions::builtin());
            let inline: Arc<dyn Executor> =
                Arc::new(InlineExecutor::new(functions, Arc::new(SystemClock::new())));
            let deriva = Deriva::builder()
                .store("memory:")
                .executor(inline)
                .build()
                .await
                .unwrap();
            let mix: FunctionId = "bench.mix/1".parse().unwrap();
            let mut addr = deriva.put("x").await.unwrap();
            let mut recipes = Vec::new();
            for _ in 0..50_000 {
                let recipe = Recipe::new(&mix, &[addr], &Params::new()).unwrap();
                addr = recipe.addr();
                recipes.push(recipe);
            }
            deriva.insert(&recipes).await.unwrap();
            let done = deriva.materialize(addr).await.unwrap();
            assert_eq!(done.summary.computed, 50_000);
        });
    };
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(run)
        .unwrap()
        .join()
        .unwrap();
}
