//! Ranges of bytes within a blob.

/// A range of bytes: `len` bytes from `offset`, cut off at the end of the blob.
///
/// A range that begins at or past the end is empty; no range is an error and none overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte, counted from 0.
    pub offset: u64,
    /// Number of bytes at the most; [`u64::MAX`] means up to the end.
    pub len: u64,
}

impl ByteRange {
    /// The whole blob.
    pub const ALL: Self = Self {
        offset: 0,
        len: u64::MAX,
    };

    /// `len` bytes from `offset`.
    #[must_use]
    pub const fn new(offset: u64, len: u64) -> Self {
        Self { offset, len }
    }

    /// The part of this range that lies inside a blob of `blob_len` bytes, as start and end with
    /// `start <= end <= blob_len`.
    #[must_use]
    pub fn within(&self, blob_len: u64) -> std::ops::Range<u64> {
        let start = self.offset.min(blob_len);
        start..start.saturating_add(self.len).min(blob_len)
    }
}

impl From<std::ops::Range<u64>> for ByteRange {
    fn from(range: std::ops::Range<u64>) -> Self {
        Self::new(range.start, range.end.saturating_sub(range.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_off_at_the_end_and_never_overflow() {
        assert_eq!(ByteRange::ALL.within(5), 0..5);
        assert_eq!(ByteRange::new(2, 2).within(5), 2..4);
        assert_eq!(ByteRange::new(4, 9).within(5), 4..5);
        assert_eq!(ByteRange::new(9, 9).within(5), 5..5);
        assert_eq!(ByteRange::new(u64::MAX, u64::MAX).within(5), 5..5);
        let (start, end) = (3, 1);
        assert_eq!(ByteRange::from(start..end).within(5), 3..3);
    }
}
