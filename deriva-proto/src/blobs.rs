//! What the service `Blobs` tells of a store.

use deriva_api::{BlobCheck, BlobStat, BlobUsage, CAddr, Error, Evidence, Result};

use crate::fields::invalid;
use crate::v1;

impl From<BlobCheck> for v1::BlobCheck {
    fn from(check: BlobCheck) -> Self {
        match check {
            BlobCheck::Absent => Self::Absent,
            BlobCheck::Damaged => Self::Damaged,
            BlobCheck::Right(Evidence::Read) => Self::Read,
            BlobCheck::Right(Evidence::Remembered) => Self::Remembered,
            BlobCheck::Right(Evidence::Vouched) => Self::Vouched,
        }
    }
}

impl TryFrom<v1::BlobCheck> for BlobCheck {
    type Error = Error;

    fn try_from(check: v1::BlobCheck) -> Result<Self> {
        Ok(match check {
            v1::BlobCheck::Absent => Self::Absent,
            v1::BlobCheck::Damaged => Self::Damaged,
            v1::BlobCheck::Read => Self::Right(Evidence::Read),
            v1::BlobCheck::Remembered => Self::Right(Evidence::Remembered),
            v1::BlobCheck::Vouched => Self::Right(Evidence::Vouched),
            v1::BlobCheck::Unspecified => return Err(invalid("BlobCheck", "a known number")),
        })
    }
}

impl v1::VerifyResponse {
    /// What was found, one answer for each address.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](deriva_api::ErrorKind::Invalid) for a number that only a later version knows.
    pub fn found(&self) -> Result<Vec<BlobCheck>> {
        let numbers = self.checks.iter();
        let field = "VerifyResponse.checks";
        let found = numbers.map(|number| crate::fields::number::<v1::BlobCheck, _>(field, *number));
        found.collect()
    }
}

impl From<Option<BlobStat>> for v1::MaybeStat {
    fn from(stat: Option<BlobStat>) -> Self {
        Self {
            len: stat.map(|stat| stat.len),
        }
    }
}

impl v1::MaybeStat {
    /// What it says of the address that was asked for.
    #[must_use]
    pub fn of(&self, addr: CAddr) -> Option<BlobStat> {
        self.len.map(|len| BlobStat { addr, len })
    }
}

impl From<BlobUsage> for v1::BlobUsage {
    fn from(usage: BlobUsage) -> Self {
        let BlobUsage { blobs, bytes } = usage;
        Self { blobs, bytes }
    }
}

impl From<v1::BlobUsage> for BlobUsage {
    fn from(usage: v1::BlobUsage) -> Self {
        let v1::BlobUsage { blobs, bytes } = usage;
        Self { blobs, bytes }
    }
}
