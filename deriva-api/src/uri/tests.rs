use proptest::prelude::*;

use super::*;

#[test]
fn uris_parse_and_print_back() {
    let uri: StoreUri = "sled:/a%20b/c?durability=buffered&cache=1MiB"
        .parse()
        .unwrap();
    assert_eq!((uri.scheme(), uri.path()), ("sled", "/a b/c"));
    assert_eq!(
        uri.options().collect::<Vec<_>>(),
        [("durability", "buffered"), ("cache", "1MiB")]
    );
    assert_eq!(
        uri.to_string(),
        "sled:/a%20b/c?durability=buffered&cache=1MiB"
    );
    let error = uri.allow_options(&["durability"]).unwrap_err();
    assert_eq!(
        (error.context("option"), error.advice()),
        (Some("cache"), Some("`sled:` takes: durability"))
    );
}

#[test]
fn stacks_parse_and_print_back() {
    let text = "split(blobs=files:./a(1), dag=retry( sled:./b?cache=1MiB ,attempts=3))";
    let uri: StoreUri = text.parse().unwrap();
    assert_eq!(uri.to_string(), text);
    assert_eq!((uri.scheme(), uri.path()), ("split", ""));
    let names: Vec<_> = uri.stores().map(|(name, _)| name).collect();
    assert_eq!(names, ["blobs", "dag"]);
    assert_eq!(uri.store("blobs").unwrap().path(), "./a(1)");
    let retry = uri.store("dag").unwrap();
    assert_eq!(retry.option("attempts"), Some("3"));
    let sled = retry.store("").unwrap();
    assert_eq!((sled.path(), sled.option("cache")), ("./b", Some("1MiB")));
    assert!(uri.leaves().map(StoreUri::scheme).eq(["files", "sled"]));
    let error = retry.allow_options(&["delay"]).unwrap_err();
    assert_eq!(error.advice(), Some("`retry(..)` takes: delay"));
}

#[test]
fn what_is_no_uri_is_invalid() {
    let deep = "a(".repeat(100_000) + "b:" + &")".repeat(100_000);
    for text in [
        "",
        "data",
        ":x",
        "Sled:x",
        "sled:x?a",
        "sled:x?a=1&a=2",
        "sled:x?a b=1",
        "sled:%ff",
        "(sled:x)",
        "Retry(sled:x)",
        "retry()",
        "retry(a=1)",
        "retry(sled:x",
        "retry(sled:x))",
        "retry(sled:x)(sled:y)",
        "retry(sled:x)?a=1",
        "retry(sled:x,)",
        "retry(,sled:x)",
        "retry(sled:x, 3)",
        "retry(sled:x, a=1, a=2)",
        "retry(sled:x, a=%ff)",
        "retry(sled:a, sled:b)",
        "split(a=sled:x, a=sled:y)",
        "split(sled:x, b=sled:y)",
        "split(a=sled:x, sled:y)",
        "split(A=sled:x, b=sled:y)",
        "retry(a_b=sled:x)",
        "retry(sled:a(b)",
        "retry(./x)",
        deep.as_str(),
    ] {
        let error = text.parse::<StoreUri>().expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        assert!(error.to_string().len() < 500, "{}", error.to_string().len());
    }
}

#[test]
fn stacks_are_made_within_their_bounds() {
    let leaf = || StoreUri::new("sled", "x").unwrap();
    let wrapped = |it: StoreUri| StoreUri::stack("a", [("", it)]);
    let most = (0..StoreUri::MAX_DEPTH).try_fold(leaf(), |it, _| wrapped(it));
    let most = most.unwrap();
    assert_eq!(most.to_string().parse::<StoreUri>().unwrap(), most);
    assert!(wrapped(most.clone()).is_err());
    assert!(format!("a({most})").parse::<StoreUri>().is_err());
    assert!(StoreUri::stack("a", []).is_err());
    assert!(StoreUri::stack("a", [("", leaf()), ("", leaf())]).is_err());
    assert!(StoreUri::new("A", "x").is_err());
    assert!(leaf().with_option("a b", 1).is_err());
    let once = leaf().with_option("a", 1).unwrap();
    assert!(once.with_option("a", 1).is_err());
}

fn options(uri: StoreUri, options: &std::collections::BTreeMap<String, String>) -> StoreUri {
    let mut options = options.iter();
    options
        .try_fold(uri, |uri, (key, value)| uri.with_option(key, value))
        .unwrap()
}

fn any_uri() -> impl Strategy<Value = StoreUri> {
    let text = || prop_oneof!["\\PC{0,8}", "[ (),%?&=:a-c/\t\n]{0,8}", ".{0,4}"];
    let some = move || proptest::collection::btree_map("[a-z_]{1,4}", text(), 0..3);
    let leaf = ("[a-z0-9-]{1,4}", text(), some())
        .prop_map(|(scheme, path, some)| options(StoreUri::new(&scheme, &path).unwrap(), &some));
    leaf.prop_recursive(4, 16, 3, move |inner| {
        let stores = prop_oneof![
            inner.clone().prop_map(|it| vec![(String::new(), it)]),
            proptest::collection::btree_map("[a-z]{1,3}", inner, 1..4)
                .prop_map(|them| them.into_iter().collect()),
        ];
        ("[a-z0-9-]{1,4}", stores, some()).prop_map(|(name, stores, some)| {
            let named = stores.iter().map(|(name, it)| (name.as_str(), it.clone()));
            options(StoreUri::stack(&name, named).unwrap(), &some)
        })
    })
}

proptest! {
    #[test]
    fn what_is_printed_is_read_as_it_was_meant(uri in any_uri()) {
        let printed = uri.to_string();
        let read: StoreUri = printed.parse().unwrap();
        prop_assert_eq!(&read, &uri);
        prop_assert_eq!(read.to_string(), printed);
    }

    #[test]
    fn no_text_is_too_much(text in "[a-c(),:=?& ]{0,40}") {
        if let Ok(uri) = text.parse::<StoreUri>() {
            prop_assert_eq!(uri.to_string(), text);
            prop_assert_eq!(&uri.written().parse::<StoreUri>().unwrap(), &uri);
        }
    }
}
