//! What is shown of the bytes of blobs.

use super::{World, got, page};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_is_shown_as_text_or_hex_up_to_a_bound_and_it_says_so() {
    let world = World::new().await;
    let put = async |bytes: Vec<u8>| {
        let addr = world.deriva.put(bytes).await.unwrap();
        page(world.http, &format!("/address/{addr}")).await
    };
    put(Vec::new()).await.has("It is empty.");
    let text = put(vec![b'x'; 200_000]).await;
    text.has("The first 65,536 of 200,000 bytes, as text.");
    assert!(text.body.len() < 80_000, "{}", text.body.len());
    // The bound lies within a character.
    let mut odd = vec![b'x'; 1];
    odd.extend("\u{e4}".repeat(50_000).into_bytes());
    put(odd)
        .await
        .has("The first 65,535 of 100,001 bytes, as text.");
    let bytes = put((0..=255).cycle().take(100_000).collect()).await;
    bytes.has("The first 4,096 of 100,000 bytes, as hex.");
    bytes.has("00000010  10 11 12 13").lacks("00001000  ");
    put(vec![0xff, 0])
        .await
        .has("All 2 bytes, as hex.")
        .has("00000000  ff 00 ");
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_served_by_what_they_are_and_documents_are_not() {
    let world = World::new().await;
    let put = async |bytes: &[u8]| {
        let addr = world.deriva.put(bytes.to_vec()).await.unwrap();
        let raw = got(world.http, &format!("/blob/{addr}")).await;
        (
            addr,
            raw,
            page(world.http, &format!("/address/{addr}")).await,
        )
    };
    for (bytes, kind) in [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0 rest", "image/jpeg"),
        (b"GIF89a rest", "image/gif"),
        (b"RIFF\x04\0\0\0WEBPVP8 ", "image/webp"),
    ] {
        let (addr, raw, shown) = put(bytes).await;
        assert_eq!((raw.code, raw.header("content-type")), (200, kind));
        assert_eq!(raw.body, bytes);
        let policy = raw.header("content-security-policy");
        assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"));
        assert_eq!(raw.header("x-content-type-options"), "nosniff");
        shown.has(&format!("src=\"/blob/{addr}\" alt=\"The image"));
    }
    for bytes in [
        &b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>"[..],
        b"<!DOCTYPE html><script>alert(1)</script>",
        b"%PDF-1.7",
        b"text",
        b"",
    ] {
        let (_, raw, shown) = put(bytes).await;
        assert_eq!(
            (raw.code, raw.header("content-type")),
            (415, "text/html; charset=utf-8")
        );
        raw.lacks("alert(1)");
        shown.lacks("<img").lacks("<script>");
    }
    let mut large = PNG.to_vec();
    large.resize((4 << 20) + 1, 0);
    let (_, raw, shown) = put(&large).await;
    assert_eq!(raw.code, 413);
    shown
        .has("as hex.")
        .has("larger than the 4.0 MiB")
        .lacks("<img");
    // A recipe is no blob, whatever it makes.
    let recipe = world.joined(&[]).await;
    assert_eq!(got(world.http, &format!("/blob/{recipe}")).await.code, 404);
}
