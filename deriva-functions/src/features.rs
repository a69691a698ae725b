//! Whatever features are compiled in: a function is there, or the feature that brings it is known.

use deriva_api::FunctionId;

#[test]
fn every_function_of_the_reference_page_is_there_or_named_by_its_feature() {
    let functions = crate::builtin();
    let page = include_str!("../../docs/reference/functions.md");
    let ids = page.lines().filter_map(|line| line.strip_prefix("### "));
    let ids: Vec<_> = ids.filter(|id| id.contains('/')).collect();
    assert!(ids.len() > 20, "{ids:?}");
    for id in ids {
        let id: FunctionId = id.parse().unwrap();
        let feature = functions.absent_feature(id.name());
        let is_there = functions.get(&id).is_some();
        assert!(is_there != feature.is_some(), "{id}: {feature:?}");
    }
}

#[test]
fn a_feature_is_named_where_it_is_not_compiled_in() {
    let functions = crate::builtin();
    for (feature, is_there) in [
        ("csv", cfg!(feature = "csv")),
        ("flate2", cfg!(feature = "flate2")),
        ("regex", cfg!(feature = "regex")),
        ("sha2", cfg!(feature = "sha2")),
        ("zstd", cfg!(feature = "zstd")),
    ] {
        let (_, names) = super::BY_FEATURE.iter().find(|it| it.0 == feature).unwrap();
        for name in *names {
            let expected = (!is_there).then_some(feature);
            assert_eq!(functions.absent_feature(name), expected, "{name}");
        }
    }
    assert_eq!(functions.absent_feature("my.own"), None);
}
