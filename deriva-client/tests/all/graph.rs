//! Recipes and outputs of a server, which are not believed.

use std::time::Duration;

use deriva_api::{
    Blob, CAddr, DagStore, Divergence, Error, ErrorKind, Node, Output, Params, Recipe, Record,
};
use deriva_proto::{addr_of, status_of, v1};

use crate::fake::{Fake, Graph, all, away, now, wire};

fn recipes(count: i64) -> Vec<Recipe> {
    let recipe = |n| Recipe::new(&"f/1".parse().unwrap(), &[], &Params::new().with("n", n));
    (0..count).map(|n| recipe(n).unwrap()).collect()
}

fn output(text: &'static str) -> Output {
    let blob = Blob::new(text);
    Output {
        addr: blob.addr(),
        len: blob.len(),
        cost: Duration::from_millis(7),
    }
}

fn fake(graph: Graph) -> Fake {
    Fake {
        graph,
        ..Fake::default()
    }
}

#[tokio::test]
async fn an_insert_is_one_message_and_its_answer_is_compared() {
    let batch = recipes(30_000);
    let right: Vec<_> = batch.iter().map(|recipe| wire(recipe.addr())).collect();
    let mut swapped = right.clone();
    swapped.swap(3, 4);
    for (answer, is_right) in [
        (right.clone(), true),
        (right[1..].to_vec(), false),
        (swapped, false),
        (vec!["short".into(); right.len()], false),
    ] {
        let insert = now(move |asked: v1::InsertRequest| {
            assert_eq!(asked.recipes.len(), 30_000);
            let addrs = answer.clone();
            Ok(v1::InsertResponse { addrs })
        });
        let served = fake(Graph {
            insert,
            ..Graph::default()
        })
        .serve()
        .await;
        let client = served.client().await;
        match client.insert(&batch).await {
            Ok(addrs) => {
                assert!(is_right);
                assert!(addrs.into_iter().eq(batch.iter().map(Recipe::addr)));
            }
            Err(error) => {
                assert!(!is_right, "{error:#}");
                assert_eq!(error.kind(), ErrorKind::Internal);
                assert_eq!(error.operation(), Some("insert"));
            }
        }
        assert_eq!(served.calls("insert"), 1);
        assert_eq!(client.insert(&[]).await.unwrap(), []);
        assert_eq!(served.calls("insert"), 1);
    }
}

#[tokio::test]
async fn nodes_come_in_parts_and_go_on_where_they_broke_off() {
    let stored = recipes(10);
    let known = stored.clone();
    // Two of them, then it breaks.
    let get = all(move |asked: v1::GetNodesRequest| {
        let node = |addr: &deriva_api::Bytes| {
            let addr = addr_of("addr", addr).unwrap();
            let recipe = known.iter().find(|recipe| recipe.addr() == addr).cloned();
            let output = Some(output("made"));
            let node = recipe.map(|recipe| Node { recipe, output });
            v1::MaybeNode::from(node.as_ref())
        };
        let some = asked.addrs.iter().take(2).map(node);
        let part = v1::GetNodesResponse {
            nodes: some.collect(),
        };
        match asked.addrs.len() > 2 {
            true => vec![Ok(part), Err(away())],
            false => vec![Ok(part)],
        }
    });
    let served = fake(Graph {
        get,
        ..Graph::default()
    })
    .serve()
    .await;
    let client = served.builder().attempts(2).connect().await.unwrap();
    let absent = Blob::new("no recipe").addr();
    let mut asked: Vec<CAddr> = stored.iter().map(Recipe::addr).collect();
    asked.extend([absent, stored[0].addr()]);
    let found = DagStore::get_many(&client, &asked).await.unwrap();
    let addrs: Vec<_> = found
        .iter()
        .map(|node| node.as_ref().map(|node| node.recipe.addr()))
        .collect();
    let mut expected: Vec<_> = asked.iter().copied().map(Some).collect();
    expected[10] = None;
    assert_eq!(addrs, expected);
    assert_eq!(found[0].as_ref().unwrap().output, Some(output("made")));
    assert_eq!(served.calls("get"), 6);
}

#[tokio::test]
async fn nodes_are_those_that_were_asked_for() {
    let stored = recipes(3);
    let asked: Vec<CAddr> = stored[..2].iter().map(Recipe::addr).collect();
    let node = |n: usize| {
        let recipe = stored[n].clone();
        v1::MaybeNode::from(Some(&Node {
            recipe,
            output: None,
        }))
    };
    let mut broken = node(1);
    broken.node.as_mut().unwrap().canonical = "no recipe".into();
    for (what, nodes, kind) in [
        ("too few", vec![node(0)], ErrorKind::Internal),
        (
            "too many",
            vec![node(0), node(1), node(2)],
            ErrorKind::Internal,
        ),
        ("another", vec![node(0), node(2)], ErrorKind::Internal),
        ("another order", vec![node(1), node(0)], ErrorKind::Internal),
        ("damaged", vec![node(0), broken], ErrorKind::Corrupt),
    ] {
        let get = all(move |_| {
            vec![Ok(v1::GetNodesResponse {
                nodes: nodes.clone(),
            })]
        });
        let served = fake(Graph {
            get,
            ..Graph::default()
        })
        .serve()
        .await;
        let client = served.client().await;
        let error = DagStore::get_many(&client, &asked).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{what}: {error:#}");
    }
}

#[tokio::test]
async fn outputs_are_as_many_as_addresses() {
    let asked: Vec<CAddr> = recipes(2).iter().map(Recipe::addr).collect();
    let none = || v1::MaybeOutput { output: None };
    let some = || v1::MaybeOutput::from(Some(output("made")));
    for (outputs, is_right) in [
        (vec![some(), none()], true),
        (vec![some()], false),
        (vec![some(), none(), none()], false),
    ] {
        let answer = now(move |_| {
            Ok(v1::OutputsResponse {
                outputs: outputs.clone(),
            })
        });
        let served = fake(Graph {
            outputs: answer,
            ..Graph::default()
        })
        .serve()
        .await;
        let client = served.client().await;
        match client.outputs(&asked).await {
            Ok(found) => assert!(is_right && found == [Some(output("made")), None]),
            Err(error) => assert!(!is_right && error.kind() == ErrorKind::Internal),
        }
    }
}

#[tokio::test]
async fn what_diverges_is_answered_and_no_more_than_was_recorded() {
    let recipe = recipes(1)[0].addr();
    let diverged = Divergence {
        addr: recipe,
        recorded: output("first"),
        offered: output("second"),
    };
    for count in [1, 3] {
        let record = now(move |asked: v1::RecordRequest| {
            assert_eq!(asked.records.len(), 1);
            let divergences = vec![diverged.into(); count];
            Ok(v1::RecordResponse { divergences })
        });
        let served = fake(Graph {
            record,
            ..Graph::default()
        })
        .serve()
        .await;
        let client = served.client().await;
        let record = Record {
            addr: recipe,
            resolved: None,
            output: output("second"),
        };
        match client.record(&[record]).await {
            Ok(found) => assert!(count == 1 && found == [diverged]),
            Err(error) => assert!(count == 3 && error.kind() == ErrorKind::Internal),
        }
    }
}

#[tokio::test]
async fn what_is_atomic_is_never_cut_into_several_calls() {
    let addrs: Vec<CAddr> = (0..20_000u32)
        .map(|n| CAddr::of_blob(&n.to_le_bytes()))
        .collect();
    let graph = Graph {
        forget: now(|asked: v1::ForgetRequest| {
            let outputs = asked.addrs.len() as u64;
            Ok(v1::ForgetResponse { outputs })
        }),
        remove: now(|asked: v1::RemoveRecipesRequest| {
            let recipes = asked.addrs.len() as u64;
            Ok(v1::RemoveRecipesResponse { recipes })
        }),
        ..Graph::default()
    };
    let served = fake(graph).serve().await;
    let client = served.client().await;
    assert_eq!(client.forget(&addrs).await.unwrap(), 20_000);
    assert_eq!(DagStore::remove(&client, &addrs).await.unwrap(), 20_000);
    assert_eq!((served.calls("forget"), served.calls("remove")), (1, 1));
    assert_eq!(client.forget(&[]).await.unwrap(), 0);
    assert_eq!(served.calls("forget"), 1);
}

#[tokio::test]
async fn roots_of_applications_are_told_from_those_of_deriva() {
    let there = Blob::new("there").addr();
    let graph = Graph {
        set_root: now(move |asked: v1::SetRootRequest| {
            let refused = |kind| Err(status_of(&Error::new(kind, "refused")));
            match asked.name.is_empty() || asked.name.starts_with("deriva:") {
                _ if !asked.must_exist => Ok(v1::SetRootResponse {}),
                true => refused(ErrorKind::Invalid),
                false if asked.addr != wire(there) => refused(ErrorKind::NotFound),
                false => Ok(v1::SetRootResponse {}),
            }
        }),
        remove_root: now(|_| Ok(v1::RemoveRootResponse { removed: true })),
        roots: all(move |_| {
            let root = |name: &str| v1::Root {
                name: name.to_owned(),
                addr: wire(there),
            };
            let roots = ["a", "deriva:checks/1", "z"].map(root).into();
            vec![Ok(v1::RootsResponse { roots })]
        }),
        ..Graph::default()
    };
    let served = fake(graph).serve().await;
    let client = served.client().await;
    client.set_root("name", there).await.unwrap();
    for (name, addr, kind) in [
        ("deriva:x", there, ErrorKind::Invalid),
        ("", there, ErrorKind::Invalid),
        ("name", Blob::new("absent").addr(), ErrorKind::NotFound),
    ] {
        let error = client.set_root(name, addr).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{name}");
    }
    assert_eq!(
        served.calls("set_root"),
        4,
        "the server looks, and keeps its own names"
    );
    let names: Vec<String> = client
        .roots()
        .await
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["a", "z"]);
    assert!(client.remove_root("name").await.unwrap());
    assert!(!client.remove_root("deriva:checks/1").await.unwrap());
    // A runtime that computes here keeps its own there.
    DagStore::set_root(&client, "deriva:checks/2", there)
        .await
        .unwrap();
    assert!(
        DagStore::remove_root(&client, "deriva:checks/2")
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn functions_are_told_with_their_docs() {
    let functions = now(|_| {
        let doc = |name: &str, weight| v1::FunctionDoc {
            function: Some(v1::FunctionId {
                name: name.to_owned(),
                version: "1".to_owned(),
            }),
            description: "does something".to_owned(),
            params: vec![v1::ParamDoc {
                name: "n".to_owned(),
                kind: "int".to_owned(),
                required: true,
                description: "how many".to_owned(),
            }],
            weight,
        };
        let functions = vec![doc("a", v1::Weight::Light.into()), doc("b", 77)];
        Ok(v1::FunctionsResponse { functions })
    });
    let served = fake(Graph {
        functions,
        ..Graph::default()
    })
    .serve()
    .await;
    let client = served.client().await;
    let found = client.functions().await.unwrap();
    assert_eq!(found[0].id.to_string(), "a/1");
    assert_eq!(found[0].weight, deriva_api::Weight::Light);
    assert_eq!(found[1].weight, deriva_api::Weight::Heavy);
    assert!(found[0].params[0].required && found[0].description == "does something");
}
