//! How much goes into one message.

/// Addresses, or blobs, of one call.
pub(crate) const MAX_ITEMS: usize = 4096;
/// Bytes of blobs in one frame.
pub(crate) const FRAME: usize = 512 << 10;
/// Addresses of one call that verifies: each may be a large blob that is read.
pub(crate) const MAX_VERIFIED: usize = 256;
/// Calls at once, where one call of the contracts makes several.
pub(crate) const AT_ONCE: usize = 16;
