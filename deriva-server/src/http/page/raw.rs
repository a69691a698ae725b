//! The bytes of an image, and of nothing else.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use deriva::stores::BlobStore;
use deriva::{ByteRange, CAddr, Error, ErrorKind};
use deriva_draw::size;

use super::content::{IMAGE, image};
use super::failed::Failed;
use super::{Answer, Pages};

/// Nothing of it may do anything, were it opened by itself.
const POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";
/// Bytes that tell what an image is.
const FIRST: u64 = 16;

pub(super) async fn image_at(State(pages): State<Pages>, Path(addr): Path<String>) -> Answer {
    answer(&**pages.site.deriva.blobs(), addr.parse()?).await
}

async fn answer(blobs: &dyn BlobStore, addr: CAddr) -> Answer {
    let gone = || Error::new(ErrorKind::NotFound, "no blob has this address").with("addr", addr);
    let stat = blobs.stat(&[addr]).await?;
    let stat = stat.into_iter().next().flatten().ok_or_else(gone)?;
    let first = blobs.get_range(addr, ByteRange::new(0, FIRST)).await?;
    let Some(kind) = image(&first.ok_or_else(gone)?) else {
        let what = "the blob is no image of a kind that is shown: PNG, JPEG, GIF or WebP";
        let error = Error::new(ErrorKind::Unsupported, what).with("addr", addr);
        let error = error.hint(format!("`deriva get {addr}` gives any bytes"));
        return Err(Failed::with(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    };
    if stat.len > IMAGE {
        let what = format!("the image is larger than {}", size(IMAGE));
        let error = Error::new(ErrorKind::Unsupported, what).with("addr", addr);
        let error = error.hint(format!("`deriva get {addr}` gives any bytes"));
        return Err(Failed::with(StatusCode::PAYLOAD_TOO_LARGE, error));
    }
    let bytes = blobs.get_range(addr, ByteRange::new(0, IMAGE)).await?;
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CONTENT_DISPOSITION, "inline"),
    ];
    Ok((headers, bytes.ok_or_else(gone)?).into_response())
}
