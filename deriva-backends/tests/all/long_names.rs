//! Names of roots that older versions took, and newer ones do not.
#![cfg(feature = "sled")]

use crate::common::{self, Store, leaf, open};
use deriva_api::{CAddr, ErrorKind};
use futures::TryStreamExt;

/// The row of a root, as it lies in the database: the address, and eight bytes of a hash over key and value.
fn row(name: &str, addr: CAddr) -> (Vec<u8>, Vec<u8>) {
    let key = [b"n", name.as_bytes()].concat();
    let mut value = addr.as_bytes().to_vec();
    let sum = CAddr::of_blob(&[key.as_slice(), &value].concat());
    value.extend_from_slice(&sum.as_bytes()[..8]);
    (key, value)
}

#[tokio::test]
async fn a_long_name_of_an_older_store_is_listed_and_removed() {
    let mut store = Store::open("sled:PATH").await;
    store.dag().set_root("short", leaf(1)).await.unwrap();
    store.close();
    let long = "n".repeat(512);
    let database = common::raw::open_sled(&store.path().join("sled"));
    let (short, expected) = row("short", leaf(1));
    let removed = database.remove(short).unwrap().unwrap();
    assert_eq!(removed, expected, "rows are as this test writes them");
    let (key, value) = row(&long, leaf(2));
    database.insert(key, value).unwrap();
    database.flush().unwrap();
    drop(database);

    let dag = open(store.uri()).await.unwrap().dag.unwrap();
    let roots: Vec<_> = dag.roots(None).try_collect().await.unwrap();
    assert_eq!(roots, [(long.clone(), leaf(2))]);
    let refused = dag.set_root(&long, leaf(3)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(dag.remove_root(&long).await.unwrap());
    assert!(!dag.remove_root(&long).await.unwrap());
    let usage = dag.usage().await.unwrap().unwrap();
    assert_eq!(usage.roots, 0);
}
