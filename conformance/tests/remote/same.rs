//! What a client is answered is what the handle at the server answers.

use std::time::Duration;

use deriva::admin::Explanation;
use deriva::prelude::*;
use deriva::{Deriva, ErrorKind};
use deriva_client::Client;

use crate::served::serving;

/// A handle with something of everything, and a client of a server over it.
async fn both() -> (Deriva, Client) {
    let lies = std::sync::atomic::AtomicU64::new(0);
    let deriva = deriva::builder()
        .store("memory:")
        .function("lie", "1", move |_, _| {
            let told = lies.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(told.to_string().into())
        })
        .build()
        .await
        .unwrap();
    let client = serving(deriva.clone()).await;
    (deriva, client)
}

/// A recipe over two of `text.upper`, of which one is computed; another version of the whole; one that lied; one that cannot be computed.
async fn graphs(deriva: &Deriva) -> [CAddr; 4] {
    let [hello, world] = [
        deriva.put("hello").await.unwrap(),
        deriva.put("world").await.unwrap(),
    ];
    let upper = |leaf| deriva.recipe("text.upper", "1").input(leaf).insert();
    let (first, second) = (upper(hello).await.unwrap(), upper(world).await.unwrap());
    let concat = |inputs: [CAddr; 2]| deriva.recipe("bytes.concat", "1").inputs(inputs).insert();
    let before = concat([first, first]).await.unwrap();
    let after = concat([first, second]).await.unwrap();
    deriva.get(first).await.unwrap();
    let lie = deriva
        .recipe("lie", "1")
        .input(hello)
        .insert()
        .await
        .unwrap();
    let checked = deriva.materialize(lie).determinism(Determinism::Dual);
    assert!(checked.await.is_err());
    let absent = Blob::new("absent").addr();
    let broken = deriva
        .recipe("no.such", "1")
        .input(absent)
        .insert()
        .await
        .unwrap();
    [before, after, lie, broken]
}

/// Without what the handle measures of its store as it goes, and what it decides by that.
fn unmeasured(mut explanation: Explanation) -> Explanation {
    for function in &mut explanation.forecast.functions {
        (function.cutoff.pays, function.cutoff.measured) = (false, false);
        function.cutoff.lookup = Duration::ZERO;
        function.cutoff.write = Duration::ZERO;
    }
    explanation
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_have_the_same_answers() {
    let (deriva, client) = both().await;
    let all = graphs(&deriva).await;
    let [before, after, lie, broken] = all;
    let nowhere = Blob::new("nowhere").addr();
    for addr in all.into_iter().chain([nowhere]) {
        let there = client.explain(addr).await.unwrap();
        let here = deriva.explain(addr).await.unwrap();
        assert_eq!(unmeasured(there), unmeasured(here));
        for depth in [0, 1, u32::MAX] {
            let (there, here) = (
                client.graph(addr).depth(depth),
                deriva.graph(addr).depth(depth),
            );
            assert_eq!(there.await.unwrap(), here.await.unwrap());
        }
        let (there, here) = (client.graph(addr).limit(2), deriva.graph(addr).limit(2));
        assert_eq!(there.await.unwrap(), here.await.unwrap());
        for previous in [None, Some(before)] {
            let there = client.why(addr, previous).await.unwrap();
            assert_eq!(there, deriva.why(addr, previous).await.unwrap());
        }
        let prefix = addr.to_string()[..12].parse().unwrap();
        let (there, here) = (client.find(&prefix).await, deriva.find(&prefix).await);
        assert_eq!(there.ok(), here.ok());
        let (there, here) = (client.show(addr).await, deriva.show(addr).await);
        assert_eq!(format!("{there:?}"), format!("{here:?}"));
        let there = client.diff(before, addr).await.unwrap();
        assert_eq!(there, deriva.diff(before, addr).await.unwrap());
    }
    let there = client.states(&all).await.unwrap();
    assert_eq!(there, deriva.states(&all).await.unwrap());
    assert_eq!(
        client.state_digest().await.unwrap(),
        deriva.state_digest().await.unwrap()
    );
    let diff = client.diff_up_to(broken, after, 1).await.unwrap();
    assert_eq!(diff, deriva.diff_up_to(broken, after, 1).await.unwrap());
    let everything = client.explain_many(&all).await.unwrap();
    assert_eq!(
        unmeasured(everything),
        unmeasured(deriva.explain_many(&all).await.unwrap())
    );
    assert_eq!(client.suspects().await.unwrap(), deriva.suspects());
    assert_eq!(client.suspects().await.unwrap()[0].entries, [lie]);
    assert_eq!(
        client.ledger().await.unwrap(),
        deriva.ledger().await.unwrap()
    );
    assert_eq!(
        client.status().await.unwrap(),
        deriva.status().await.unwrap()
    );
    assert_eq!(client.snapshot().await.unwrap(), deriva.snapshot());
    assert_eq!(client.functions().await.unwrap(), deriva.functions().docs());
    assert_eq!(client.roots().await.unwrap(), deriva.roots().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_the_same() {
    let (deriva, client) = both().await;
    let [_, after, lie, broken] = graphs(&deriva).await;
    let nowhere = Blob::new("nowhere").addr();
    let told = |error: Error| {
        format!(
            "{:?} {error:#} {:?} {:?}",
            error.kind(),
            error.path(),
            error.advice()
        )
    };
    for addr in [lie, broken, nowhere] {
        let (there, here) = (client.get(addr).await, deriva.get(addr).await);
        let (there, here) = (there.unwrap_err(), here.unwrap_err());
        assert_ne!(there.kind(), ErrorKind::Internal);
        assert_eq!(told(there), told(here));
    }
    let prefix = nowhere.to_string()[..9].parse().unwrap();
    let (there, here) = (client.find(&prefix).await, deriva.find(&prefix).await);
    assert_eq!(told(there.unwrap_err()), told(here.unwrap_err()));
    let (there, here) = (
        client.invalidate(nowhere).await,
        deriva.invalidate(nowhere).await,
    );
    assert_eq!(told(there.unwrap_err()), told(here.unwrap_err()));
    let (there, here) = (client.release(after).await, deriva.release(after).await);
    assert_eq!(told(there.unwrap_err()), told(here.unwrap_err()));
    for name in ["", "deriva:mine", "mine"] {
        let (there, here) = (
            client.set_root(name, nowhere).await,
            deriva.set_root(name, nowhere).await,
        );
        assert_eq!(told(there.unwrap_err()), told(here.unwrap_err()), "{name}");
    }
}
