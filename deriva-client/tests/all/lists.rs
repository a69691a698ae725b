//! Lists, which go on where they broke off and are in order.

use std::sync::Arc;

use deriva_api::{
    Blob, BlobStat, BlobStore, CAddr, DagStore, Error, ErrorKind, Node, Params, Recipe,
};
use deriva_proto::{addr_of, v1};
use futures::{StreamExt, TryStreamExt};
use tonic::Status;

use crate::fake::{Blobs, Fake, Graph, all, away, wire};

/// Addresses in order.
fn addrs(count: u32) -> Vec<CAddr> {
    let mut addrs: Vec<CAddr> = (0..count)
        .map(|n| CAddr::of_blob(&n.to_le_bytes()))
        .collect();
    addrs.sort_unstable();
    addrs
}

/// What lies after a cursor: a few, then the connection breaks, unless these are the last.
fn some<T: Clone>(items: &[T], is_after: impl Fn(&T) -> bool) -> (Vec<T>, bool) {
    let left: Vec<T> = items
        .iter()
        .filter(|item| is_after(item))
        .cloned()
        .collect();
    let page = left.len().min(3);
    (left[..page].to_vec(), page < left.len())
}

fn page<M>(message: M, breaks: bool) -> Vec<Result<M, Status>> {
    match breaks {
        true => vec![Ok(message), Err(away())],
        false => vec![Ok(message)],
    }
}

fn cursor(after: Option<&deriva_api::Bytes>) -> Option<CAddr> {
    after.map(|after| addr_of("after", after).unwrap())
}

#[tokio::test]
async fn every_list_goes_on_where_the_connection_broke() {
    let listed = Arc::new(addrs(20));
    let recipe = |n: i64| Recipe::new(&"f/1".parse().unwrap(), &[], &Params::new().with("n", n));
    let mut nodes: Vec<Recipe> = (0..20).map(|n| recipe(n).unwrap()).collect();
    nodes.sort_unstable_by_key(Recipe::addr);
    let names: Vec<String> = (10..30).map(|n| format!("name-{n}")).collect();
    let (blobs, above, same, all_nodes, all_names) = (
        Arc::clone(&listed),
        Arc::clone(&listed),
        Arc::clone(&listed),
        nodes.clone(),
        names.clone(),
    );
    let fake = Fake {
        blobs: Blobs {
            list: all(move |asked: v1::ListBlobsRequest| {
                let after = cursor(asked.after.as_ref());
                let (found, breaks) = some(&blobs, |addr| Some(*addr) > after);
                let stat = |addr: &CAddr| {
                    BlobStat {
                        addr: *addr,
                        len: 1,
                    }
                    .into()
                };
                let blobs = found.iter().map(stat).collect();
                page(v1::ListBlobsResponse { blobs }, breaks)
            }),
            ..Blobs::default()
        },
        graph: Graph {
            dependents: all(move |asked: v1::DependentsRequest| {
                let after = cursor(asked.after.as_ref());
                let (found, breaks) = some(&above, |addr| Some(*addr) > after);
                let addrs = found.into_iter().map(wire).collect();
                page(v1::AddrsResponse { addrs }, breaks)
            }),
            by_function: all(move |asked: v1::ByFunctionRequest| {
                assert_eq!(asked.function.unwrap().name, "text.top");
                let after = cursor(asked.after.as_ref());
                let (found, breaks) = some(&same, |addr| Some(*addr) > after);
                let addrs = found.into_iter().map(wire).collect();
                page(v1::AddrsResponse { addrs }, breaks)
            }),
            list: all(move |asked: v1::ListNodesRequest| {
                let after = cursor(asked.after.as_ref());
                let (found, breaks) = some(&all_nodes, |recipe| Some(recipe.addr()) > after);
                let node = |recipe| {
                    v1::Node::from(&Node {
                        recipe,
                        output: None,
                    })
                };
                let nodes = found.into_iter().map(node).collect();
                page(v1::ListNodesResponse { nodes }, breaks)
            }),
            roots: all(move |asked: v1::RootsRequest| {
                let (found, breaks) = some(&all_names, |name| **name > *asked.after);
                let root = |name: String| v1::Root {
                    addr: wire(CAddr::of_blob(name.as_bytes())),
                    name,
                };
                let roots = found.into_iter().map(root).collect();
                page(v1::RootsResponse { roots }, breaks)
            }),
            ..Graph::default()
        },
        ..Fake::default()
    };
    let served = fake.serve().await;
    let client = served.builder().attempts(2).connect().await.unwrap();
    for from in [0, 7] {
        let after = (from > 0).then(|| listed[from - 1]);
        let rest = &listed[from..];
        let stats: Vec<_> = BlobStore::list(&client, after).try_collect().await.unwrap();
        assert!(stats.iter().map(|stat| stat.addr).eq(rest.iter().copied()));
        let found = client.dependents(listed[0], after).try_collect::<Vec<_>>();
        assert_eq!(found.await.unwrap(), rest);
        let id = "text.top/1".parse().unwrap();
        let found = client.by_function(&id, after).try_collect::<Vec<_>>();
        assert_eq!(found.await.unwrap(), rest);
        let after = (from > 0).then(|| nodes[from - 1].addr());
        let found: Vec<_> = DagStore::list(&client, after).try_collect().await.unwrap();
        let found = found.into_iter().map(|(_, node)| node.recipe);
        assert!(found.eq(nodes[from..].iter().cloned()));
        let after = (from > 0).then(|| &*names[from - 1]);
        let found: Vec<_> = DagStore::roots(&client, after).try_collect().await.unwrap();
        assert!(found.iter().map(|(name, _)| name).eq(&names[from..]));
    }
    let retries = BlobStore::counters(&client).retries.unwrap();
    assert!(retries.again.get() > 40 && retries.spent.get() == 0);
}

#[tokio::test]
async fn a_list_out_of_order_is_none() {
    let sorted = addrs(3);
    let twice = vec![sorted[0], sorted[0]];
    let back = vec![sorted[1], sorted[0]];
    let before = vec![sorted[0]];
    for (after, answer, good) in [
        (None, twice, 1),
        (None, back, 1),
        (Some(sorted[1]), before, 0),
    ] {
        let said = answer.clone();
        let list = all(move |_| {
            let blobs = said.iter().map(|addr| {
                BlobStat {
                    addr: *addr,
                    len: 1,
                }
                .into()
            });
            vec![Ok(v1::ListBlobsResponse {
                blobs: blobs.collect(),
            })]
        });
        let fake = Fake {
            blobs: Blobs {
                list,
                ..Blobs::default()
            },
            ..Fake::default()
        };
        let served = fake.serve().await;
        let client = served.client().await;
        let found: Vec<_> = BlobStore::list(&client, after).collect().await;
        assert_eq!(found.len(), good + 1, "an error ends it");
        let error = found.last().unwrap().as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{answer:?}: {error:#}");
        assert_eq!(error.operation(), Some("list"));
    }
}

#[tokio::test]
async fn what_came_before_an_error_is_given_and_the_error_is_the_servers() {
    let sorted = addrs(5);
    let damaged = Error::new(ErrorKind::Corrupt, "a row is damaged").with("addr", sorted[4]);
    let said = (sorted.clone(), damaged.clone());
    let list = all(move |_| {
        let (addrs, damaged) = &said;
        let blobs = addrs[..4].iter().map(|addr| {
            BlobStat {
                addr: *addr,
                len: 1,
            }
            .into()
        });
        let page = v1::ListBlobsResponse {
            blobs: blobs.collect(),
        };
        vec![Ok(page), Err(deriva_proto::status_of(damaged))]
    });
    let fake = Fake {
        blobs: Blobs {
            list,
            ..Blobs::default()
        },
        ..Fake::default()
    };
    let served = fake.serve().await;
    let client = served.client().await;
    let found: Vec<_> = BlobStore::list(&client, None).collect().await;
    assert_eq!(found.len(), 5);
    let error = found[4].as_ref().unwrap_err();
    assert_eq!(format!("{error:#}"), format!("{damaged:#}"));
    assert_eq!(served.calls("list"), 1);
}

#[tokio::test]
async fn recipes_that_are_others_than_their_addresses_say_are_corrupt() {
    let list = all(|_| {
        let recipe = Recipe::new(&"f/1".parse().unwrap(), &[], &Params::new()).unwrap();
        let node = v1::Node {
            addr: wire(Blob::new("another").addr()),
            canonical: recipe.canonical().clone(),
            output: None,
        };
        vec![Ok(v1::ListNodesResponse { nodes: vec![node] })]
    });
    let fake = Fake {
        graph: Graph {
            list,
            ..Graph::default()
        },
        ..Fake::default()
    };
    let served = fake.serve().await;
    let client = served.client().await;
    let listed = DagStore::list(&client, None).try_collect::<Vec<_>>().await;
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::Corrupt);
}
