//! What users wrote stays text.

use super::{Answer, World, got, page};

/// Would be something else than text in one place or another.
const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(2)> javascript:alert(3) </title></style></pre></svg> &lt;b&gt; \u{202e}";

/// Nothing of it is a tag, and no link leads elsewhere.
#[track_caller]
fn is_tame(answer: &Answer, path: &str) {
    let text = answer.text().to_ascii_lowercase();
    for wrong in [
        "<script",
        "<img src=x",
        "</title></style>",
        "</pre></svg>",
        "\u{202e}",
    ] {
        assert!(!text.contains(wrong), "{path}: {wrong} in {text}");
    }
    assert_eq!(
        text.matches("</title>").count(),
        1 + text.matches("<g><title>").count()
    );
    for name in ["href", "src", "action"] {
        for link in answer.attributes(name) {
            let is_ours = link == "#main" || (link.starts_with('/') && !link.starts_with("//"));
            assert!(is_ours, "{path}: {name} {link}");
            assert!(
                !link.contains(['<', '>', '\'', ' ']),
                "{path}: {name} {link}"
            );
        }
    }
    // Without the values of attributes, in which no quote stands: what is left of a tag runs nothing.
    let outside: String = text.split('"').step_by(2).collect();
    let tags = outside.split('<').skip(1);
    for tag in tags.filter_map(|rest| rest.split('>').next()) {
        for wrong in [" style", " on", "javascript"] {
            assert!(!tag.contains(wrong), "{path}: {tag}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_users_wrote_is_text_on_every_page() {
    let world = World::new().await;
    let (deriva, http) = (&world.deriva, world.http);
    let blob = deriva.put(HOSTILE).await.unwrap();
    let nested = deriva::Value::List(vec![HOSTILE.into(), 1.into()]);
    let with = |value: deriva::Value| {
        let recipe = deriva.recipe("javascript.alert", "1").input(blob);
        let recipe = recipe.param(HOSTILE, value).param("nested", nested.clone());
        recipe.insert()
    };
    let one = with(HOSTILE.into()).await.unwrap();
    let other = with(1.into()).await.unwrap();
    // Longer than the name of a root may be, otherwise.
    let name: String = HOSTILE.chars().take(120).collect();
    deriva.set_root(&name, one).await.unwrap();
    for path in [
        "/".to_owned(),
        "/roots".to_owned(),
        format!("/address/{blob}"),
        format!("/address/{one}"),
        format!("/graph/{one}"),
        format!("/diff?a={one}&b={other}"),
        "/function?id=javascript.alert/1".to_owned(),
    ] {
        is_tame(&page(http, &path).await, &path);
    }
    page(http, "/roots").await.has("&quot;'&gt;&lt;script&gt;");
    let shown = page(http, &format!("/address/{blob}")).await;
    shown
        .has("&lt;script&gt;alert(1)&lt;/script&gt;")
        .has("&amp;lt;b&amp;gt;")
        .has("[U+202E]");
    page(http, &format!("/diff?a={one}&b={other}"))
        .await
        .has("&lt;script&gt;");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_a_path_or_a_query_is_text_where_it_is_said_again() {
    let world = World::new().await;
    let encoded: String = HOSTILE.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for path in [
        format!("/address/{encoded}"),
        format!("/graph/{encoded}"),
        format!("/blob/{encoded}"),
        format!("/search?prefix={encoded}"),
        format!("/diff?a={encoded}&b={encoded}"),
        format!("/function?id={encoded}"),
        format!("/function?id={encoded}/1"),
        format!("/ledger?after={encoded}"),
        format!("/graph/abc?depth={encoded}"),
        format!("/graph/abc?zoom={encoded}"),
        format!("/{encoded}"),
        "/search?prefix=javascript:alert(1)".to_owned(),
    ] {
        let answer = got(world.http, &path).await;
        assert!([400, 404].contains(&answer.code), "{path}: {}", answer.code);
        is_tame(&answer, &path);
    }
    let roots = page(world.http, &format!("/roots?after={encoded}")).await;
    is_tame(&roots, "roots");
}
